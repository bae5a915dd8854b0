//! How long runs may take for what. That something is not ended for the time it took is shown by others, with the same limit, that are.

use std::time::Duration;

use hatchery::agent::{AgentLimits, AgentRun, AgentSpec, Answer, Input, OutcomeKind, Phase, Step};

use super::rig::{Rig, all, fake, over, patient, until_it_is, warnings, with};

const LIMIT: Duration = Duration::from_millis(100);

/// A16: three that were idle for as long as they may, one after another, are over, and it lives.
#[tokio::test]
async fn a_tool_may_be_silent_for_as_long_as_it_likes() {
    let rig = Rig::new().await;
    let tool = format!("tool={}", rig.path("tool"));
    let run = rig.start(working(["together", "init", &tool, "apart", &format!("wait={}", rig.path("never"))])).await;
    until_it_is(&run, "busy").await;
    three_are_idle(&rig).await;
    assert_eq!(run.info().state.phase, Phase::Busy { tool: Some("Bash".into()) });
    let report = run.kill().await;
    assert_eq!((report.outcome, warnings(&all(&run).await)), (OutcomeKind::Killed, vec![]));
    rig.end().await;
}

/// A16.
#[tokio::test]
async fn one_that_waits_for_an_answer_may_wait_for_as_long_as_that_takes() {
    let rig = Rig::new().await;
    let run = rig.start(talking(["together", "init", "ask=one", "result"])).await;
    until_it_is(&run, "waiting_input").await;
    three_are_idle(&rig).await;
    assert_eq!(run.info().state.phase, Phase::WaitingInput { request: "one".into() });
    assert_eq!(warnings(&so_far(&run).await), [""; 0]);
    run.answer("one", Answer::Allow { input: None }).await.unwrap();
    super::rig::event(&run, |event| super::rig::says(event, "answered: \"allow\"")).await;
    over(&run).await;
    rig.end().await;
}

/// A16.
#[tokio::test]
async fn one_that_is_idle_for_too_long_is_warned_of_stopped_and_can_be_resumed() {
    let rig = Rig::new().await;
    let run = rig.start(idle()).await;
    let outcome = over(&run).await;
    assert_eq!((outcome.kind, outcome.asked), (OutcomeKind::Stopped, None), "{outcome:?}");
    assert!(outcome.reason.contains("idle"), "{outcome:?}");
    assert_eq!(run.info().resumable, Some(true));
    let [near, passed] = &warnings(&all(&run).await)[..] else { panic!("{:?}", all(&run).await) };
    assert!(near.contains("passes in") && passed.contains("has passed"), "{near}; {passed}");
    rig.end().await;
}

#[tokio::test]
async fn each_other_limit_stops_and_says_which_it_was() {
    let rig = Rig::new().await;
    let none = AgentLimits::default();
    let limits = [
        (AgentLimits { turn: Some(LIMIT), ..none }, "turn"),
        (AgentLimits { runtime: Some(LIMIT), ..none }, "run time"),
    ];
    for (limits, name) in limits {
        let never = format!("wait={}", rig.path("never"));
        let (_, outcome) = rig.run(with(fake("stream-json", ["init", &never]), |spec| spec.limits = limits)).await;
        assert_eq!(outcome.kind, OutcomeKind::Stopped, "{outcome:?}");
        assert!(outcome.reason.contains(name), "{outcome:?}");
    }
    rig.end().await;
}

/// Each of them is idle for as long as it may, and then over.
async fn three_are_idle(rig: &Rig) {
    for _ in 0..3 {
        let (_, outcome) = rig.run(idle()).await;
        assert_eq!(outcome.kind, OutcomeKind::Stopped, "{outcome:?}");
    }
}

fn idle() -> AgentSpec {
    talking(["together", "init", "text=hello", "result", "turns"])
}

/// It has a turn from its start: without one, a conversation is idle before it has said anything.
fn talking<const N: usize>(steps: [&str; N]) -> AgentSpec {
    with(working(steps), |spec| {
        spec.stop = Some(patient([Step::CloseStdin]));
        spec.input = Input::Conversation(Some("go on".into()));
    })
}

fn working<const N: usize>(steps: [&str; N]) -> AgentSpec {
    with(fake("stream-json", steps), |spec| spec.limits.idle = Some(LIMIT))
}

/// What it has said, of one that is not over.
async fn so_far(run: &AgentRun) -> Vec<hatchery::agent::AgentEvent> {
    let (mut events, mut heard) = (run.events(0), Vec::new());
    for _ in 0..run.info().events {
        match events.next().await {
            Some(hatchery::agent::Heard::Event(event)) => heard.push(event),
            other => panic!("{other:?}"),
        }
    }
    heard
}
