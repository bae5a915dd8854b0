//! How runs begin, and what their conversations are called.

use std::time::Duration;

use hatchery::ErrorKind;
use hatchery::agent::{
    AgentLimits, AgentSpec, Fidelity, Input, Line, OutcomeKind, OutputLimits, OwnerDeath, Signal, Step, Stream,
};

use super::rig::{
    Rig, all, event, everything, fake, lives, over, patient, says, text, until, until_it_is, warnings, with,
};

const SOON: Duration = Duration::from_millis(20);
const NAME: &str = "0d3ad9b6-4fd3-4c4f-8d0a-4f7f5a1c2b3e";
const OTHER: &str = "7b1e6c1c-90f5-4a34-9b1f-53c1a4f0a9d2";

/// A2.
#[tokio::test]
async fn one_that_is_late_is_told_of_and_not_ended() {
    let rig = Rig::new().await;
    let steps = [
        format!("wait={}", rig.path("go")),
        format!("init={NAME}"),
        format!("wait={}", rig.path("more")),
        "result".into(),
    ];
    let limits = AgentLimits { start: Some(SOON), ..AgentLimits::default() };
    let run = rig.start(with(spec(&steps), |spec| spec.limits = limits)).await;
    let late = event(&run, |event| event.stream == Stream::Host).await;
    assert!(matches!(&late.signals[..], [Signal::Warning { .. }]), "{late:?}");
    assert_eq!(run.info().state.phase.name(), "starting");
    rig.touch("go");
    until_it_is(&run, "busy").await;
    assert_eq!(rig.hatchery.agents().get(NAME).unwrap().id(), run.id());
    rig.touch("more");
    let outcome = over(&run).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed, "{outcome:?}");
    assert_eq!(warnings(&all(&run).await).len(), 1, "once");
    rig.end().await;
}

/// A3. A signal that is ignored by default lets the agent say something first, however slowly it starts.
#[tokio::test]
async fn one_that_may_not_be_late_is_ended_with_what_it_has_and_what_it_said_is_kept() {
    let rig = Rig::new().await;
    let steps = [format!("hold={}", rig.path("child")), "line=hello".into(), format!("wait={}", rig.path("go"))];
    let limits = AgentLimits { start: Some(SOON), start_stops: true, ..AgentLimits::default() };
    let stop = Some(patient([Step::Signal(libc::SIGWINCH)]));
    let run = rig
        .start(with(spec(&steps), |spec| {
            spec.limits = limits;
            spec.stop = stop;
        }))
        .await;
    until_it_is(&run, "stopping").await;
    event(&run, |event| text(event) == "hello").await;
    let child = rig.pid("child").await;
    rig.touch("go");
    let outcome = over(&run).await;
    assert_eq!((outcome.kind, outcome.members_ended), (OutcomeKind::StartTimeout, 1), "{outcome:?}");
    assert!(!lives(child), "its child is left");
    assert!(all(&run).await.iter().any(|event| text(event) == "hello"));
    rig.end().await;
}

#[tokio::test]
async fn one_that_never_says_anything_is_ended_by_its_own_ladder() {
    let rig = Rig::new().await;
    let limits = AgentLimits { start: Some(SOON), start_stops: true, ..AgentLimits::default() };
    let (_, outcome) = rig.run(with(spec(&[format!("wait={}", rig.path("never"))]), |spec| spec.limits = limits)).await;
    assert_eq!(outcome.kind, OutcomeKind::StartTimeout, "{outcome:?}");
    rig.end().await;
}

/// A4.
#[tokio::test]
async fn a_name_that_is_said_at_each_turn_is_one_and_an_old_one_keeps_leading_to_the_run() {
    let rig = Rig::new().await;
    let input = Input::Conversation(None);
    let run = rig.start(with(spec(&["turns".into()]), |spec| spec.input = input)).await;
    for number in 1..=5 {
        run.send("hello").await.unwrap();
        until(&run, |info| info.turns == number).await;
    }
    let [name] = &run.info().sessions[..] else { panic!("{:?}", run.info().sessions) };
    run.send(format!("do:init={OTHER};text=moved;result")).await.unwrap();
    let info = until(&run, |info| info.turns == 6).await;
    assert_eq!(info.sessions.iter().map(|session| session.as_str()).collect::<Vec<_>>(), [OTHER, name.as_str()]);
    let agents = rig.hatchery.agents();
    assert_eq!([OTHER, name.as_str()].map(|name| agents.get(name).unwrap().id()), [run.id(); 2]);
    run.stop(Some(patient([Step::CloseStdin]))).await;
    let is_seen = |signal: &&Signal| matches!(signal, Signal::SessionSeen { .. });
    let events = all(&run).await;
    assert_eq!(events.iter().flat_map(|event| &event.signals).filter(is_seen).count(), 2, "as often as it was news");
    let mut of_it = everything();
    of_it.session = Some(name.to_string());
    assert_eq!(agents.history(of_it).await.unwrap().len(), 1);
    rig.end().await;
}

/// A5.
#[tokio::test]
async fn the_name_may_come_with_much_else_and_no_line_is_lost() {
    const LONG: usize = 10 << 20;
    let rig = Rig::new().await;
    for fidelity in [Fidelity::File, Fidelity::Pipe] {
        let output = OutputLimits { fidelity, ring: 1 << 16, ..OutputLimits::default() };
        let steps =
            ["together", "init", "lines=200,30", &format!("long={LONG}"), "text=behind", "result"].map(str::to_owned);
        let (run, outcome) = rig.run(with(spec(&steps), |spec| spec.output = output)).await;
        assert_eq!((outcome.kind, run.info().sessions.len()), (OutcomeKind::Completed, 1), "{outcome:?}");
        let events = all(&run).await;
        assert!(events.iter().map(|event| event.seq).eq(1..=204), "{fidelity:?}");
        assert!(events[1..201].iter().all(|event| text(event) == "x".repeat(29)));
        let Line::Spooled { offset, length } = events[201].line else { panic!("{:?}", events[201]) };
        let line = run.line(Stream::Stdout, offset, usize::try_from(length).unwrap()).await.unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line.pointer("/message/content/0/content").unwrap().as_str().unwrap().len(), LONG);
        assert!(says(&events[202], "behind"));
    }
    rig.end().await;
}

#[tokio::test]
async fn one_that_is_to_outlive_its_supervisor_is_refused_as_long_as_that_cannot_be() {
    let rig = Rig::new().await;
    let refused =
        rig.hatchery.agents().start(with(spec(&["init".into()]), |spec| spec.on_owner_death = OwnerDeath::Keep));
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Validation);
    assert!(rig.hatchery.agents().history(everything()).await.unwrap().is_empty(), "nothing was begun");
    rig.end().await;
}

fn spec(steps: &[String]) -> AgentSpec {
    fake("stream-json", steps)
}
