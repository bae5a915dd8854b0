//! Turns, questions and interrupts.

use hatchery::ErrorKind;
use hatchery::agent::{AgentRun, AgentSpec, Answer, Input, OutcomeKind, Phase, Signal, Step};

use super::rig::{Rig, all, event, fake, over, patient, says, until, until_it_is, with};

#[tokio::test]
async fn each_turn_is_answered_and_between_them_it_is_idle() {
    let rig = Rig::new().await;
    let run = rig.start(with(talking(["turns"]), |spec| spec.input = Input::Conversation(Some("first".into())))).await;
    for (number, words) in (1..).zip(["first", "second", "a \"third\"\nwith two lines"]) {
        if number > 1 {
            run.send(words).await.unwrap();
        }
        event(&run, |event| says(event, words)).await;
        let info = until(&run, |info| info.turns == number && info.state.phase == Phase::Idle).await;
        assert_eq!(info.usage.output_tokens, Some(4 * u64::from(number)));
    }
    let report = hang_up(&run).await;
    assert_eq!((report.outcome, report.rung.as_str()), (OutcomeKind::Stopped, "close_stdin"));
    assert_eq!(run.send("one more").await.unwrap_err().kind(), ErrorKind::Conflict);
    rig.end().await;
}

#[tokio::test]
async fn a_question_is_shown_and_gets_its_answer_once() {
    let rig = Rig::new().await;
    for (answer, heard) in
        [(Answer::Allow { input: None }, "\"allow\""), (Answer::Deny { message: Some("no".into()) }, "\"deny\"")]
    {
        let run = rig.start(talking(["init", "ask=one", "result", "turns"])).await;
        until(&run, |info| info.state.phase == Phase::WaitingInput { request: "one".into() }).await;
        let asked =
            event(&run, |event| event.signals.iter().any(|signal| matches!(signal, Signal::NeedsInput { .. }))).await;
        assert_eq!(asked.signals, [Signal::NeedsInput { request: "one".into(), what: "Bash".into() }]);
        assert_eq!(run.answer("another", answer.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
        run.answer("one", answer.clone()).await.unwrap();
        assert_eq!(run.answer("one", answer).await.unwrap_err().kind(), ErrorKind::NotFound, "it has it");
        event(&run, |event| says(event, &format!("answered: {heard}"))).await;
        until_it_is(&run, "idle").await;
        hang_up(&run).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn an_input_that_ends_instead_of_an_answer_is_a_denial() {
    let rig = Rig::new().await;
    let run = rig.start(talking(["init", "ask=one", "result"])).await;
    until_it_is(&run, "waiting_input").await;
    let report = hang_up(&run).await;
    assert_eq!((report.outcome, report.rung.as_str()), (OutcomeKind::Stopped, "close_stdin"));
    assert!(all(&run).await.iter().any(|event| says(event, "denied: the input has ended")));
    rig.end().await;
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_not_the_process() {
    let rig = Rig::new().await;
    let run = rig.start(talking(["turns"])).await;
    run.send("do:text=at it;work").await.unwrap();
    event(&run, |event| says(event, "at it")).await;
    let pid = run.info().pid;
    run.interrupt().await.unwrap();
    until(&run, |info| info.turns == 1 && info.state.phase == Phase::Idle).await;
    run.send("do:text=again;result").await.unwrap();
    let info = until(&run, |info| info.turns == 2).await;
    assert_eq!(info.pid, pid);
    assert_eq!(hang_up(&run).await.outcome, OutcomeKind::Stopped);
    rig.end().await;
}

#[tokio::test]
async fn what_is_given_as_text_is_read_to_its_end() {
    let rig = Rig::new().await;
    let turn = "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"hello\"}}\n";
    let run = rig.start(with(fake("stream-json", ["turns"]), |spec| spec.input = Input::Text(turn.into()))).await;
    assert_eq!(run.send("more").await.unwrap_err().kind(), ErrorKind::Conflict);
    let outcome = over(&run).await;
    assert_eq!((outcome.kind, outcome.last_result), (OutcomeKind::Completed, Some("hello".into())));
    rig.end().await;
}

fn talking<const N: usize>(steps: [&str; N]) -> AgentSpec {
    with(fake("stream-json", steps), |spec| spec.input = Input::Conversation(None))
}

/// By the end of its input alone.
async fn hang_up(run: &AgentRun) -> hatchery::agent::StopReport {
    run.stop(Some(patient([Step::CloseStdin]))).await
}
