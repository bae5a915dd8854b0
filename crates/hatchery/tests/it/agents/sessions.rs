//! Who carries a conversation on: one run at a time.

use hatchery::agent::{AgentSessionId, AgentSpec, OutcomeKind, SessionRef};
use hatchery::{Error, ErrorKind};

use super::rig::{Rig, fake, over, until_it_is, with};
use crate::containment::kill;

const NAME: &str = "3c1d7f70-6b0e-4f59-8a60-3c4a5e1f9b11";

/// A15.
#[tokio::test]
async fn the_second_on_a_conversation_is_told_who_has_it_whichever_supervisor_it_asks() {
    let rig = Rig::new().await;
    let second = Rig::over(rig.folder.path()).await;
    let holder = rig.start(waiting(&rig, named())).await;
    for agents in [rig.hatchery.agents(), second.agents()] {
        for session in [named(), SessionRef::Resume(name())] {
            let error = agents.start(waiting(&rig, session)).await.unwrap_err();
            assert_eq!((error.kind(), of(&error)), (ErrorKind::Conflict, Some(holder.id().to_string())), "{error}");
            assert_eq!(error.details().unwrap()["pid"], std::process::id());
        }
    }
    assert_eq!(second.agents().show(NAME).await.unwrap().run, holder.id(), "each finds it in what is written down");
    assert!(second.agents().get(NAME).is_err(), "but it is not the other's to end");
    rig.touch("go");
    assert_eq!(over(&holder).await.kind, OutcomeKind::Completed);
    let next = second.agents().start(done(SessionRef::Resume(name()))).await.unwrap();
    assert_eq!(over(&next).await.kind, OutcomeKind::Completed, "it is free at once");
    second.shutdown().await.unwrap();
    rig.end().await;
}

/// A15.
#[tokio::test]
async fn a_conversation_is_free_at_once_when_its_holder_was_killed() {
    let rig = Rig::new().await;
    let holder = rig.start(waiting(&rig, named())).await;
    let info = until_it_is(&holder, "busy").await;
    kill(info.pid.unwrap());
    assert_eq!(over(&holder).await.kind, OutcomeKind::Crashed);
    let (_, outcome) = rig.run(done(SessionRef::Resume(name()))).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    rig.end().await;
}

#[tokio::test]
async fn a_fork_of_a_conversation_that_is_held_is_another_one() {
    let rig = Rig::new().await;
    let holder = rig.start(waiting(&rig, named())).await;
    let fork = rig.start(waiting(&rig, SessionRef::Fork(name()))).await;
    until_it_is(&fork, "busy").await;
    assert!(!fork.info().is_called(NAME) && holder.info().is_called(NAME));
    assert_eq!(rig.hatchery.agents().get(NAME).unwrap().id(), holder.id());
    rig.touch("go");
    assert_eq!([over(&holder).await.kind, over(&fork).await.kind], [OutcomeKind::Completed; 2]);
    rig.end().await;
}

#[tokio::test]
async fn one_that_says_the_name_of_another_s_conversation_is_told_of_it_and_goes_on() {
    let rig = Rig::new().await;
    let holder = rig.start(waiting(&rig, named())).await;
    until_it_is(&holder, "busy").await;
    let (intruder, outcome) = rig.run(fake("stream-json", [&format!("init={NAME}"), "result"])).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    let warnings = super::rig::warnings(&super::rig::all(&intruder).await);
    assert!(warnings.iter().any(|warning| warning.contains(&holder.id().to_string())), "{warnings:?}");
    rig.touch("go");
    over(&holder).await;
    rig.end().await;
}

#[tokio::test]
async fn a_conversation_that_is_not_there_cannot_be_resumed() {
    let rig = Rig::new().await;
    let session = SessionRef::Resume(name());
    let (run, outcome) =
        rig.run(with(fake("stream-json", ["notfound", "exit=1"]), |spec| spec.session = session)).await;
    assert_eq!(outcome.kind, OutcomeKind::ResumeNotFound, "{outcome:?}");
    assert_ne!(run.info().resumable, Some(true));
    rig.end().await;
}

fn waiting(rig: &Rig, session: SessionRef) -> AgentSpec {
    with(fake("stream-json", ["init".into(), format!("wait={}", rig.path("go")), "result".into()]), |spec| {
        spec.session = session
    })
}

fn done(session: SessionRef) -> AgentSpec {
    with(fake("stream-json", ["init", "result"]), |spec| spec.session = session)
}

fn named() -> SessionRef {
    SessionRef::Named(name())
}

fn name() -> AgentSessionId {
    AgentSessionId::new(NAME)
}

fn of(conflict: &Error) -> Option<String> {
    conflict.details()?.get("run")?.as_str().map(str::to_owned)
}
