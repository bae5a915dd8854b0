//! What becomes of runs.

use hatchery::agent::{AgentFilter, OutcomeKind, Signal, Stream, Tail};

use super::rig::{Rig, all, fake, text};

#[tokio::test]
async fn one_that_says_that_it_is_done_is_completed() {
    let rig = Rig::new().await;
    let (run, outcome) = rig.run(fake("stream-json", ["init", "text=pong", "result=pong"])).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed, "{outcome:?}");
    assert_eq!((outcome.turns, outcome.tail, &outcome.last_result), (1, Tail::Clean, &Some("pong".into())));
    let events = all(&run).await;
    let said: Vec<_> = events.iter().filter(|event| event.stream == Stream::Stdout).collect();
    assert_eq!(said.len(), 3, "{events:?}");
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=events.len() as u64).collect::<Vec<_>>());
    assert!(said[0].signals.iter().any(|signal| matches!(signal, Signal::SessionSeen { .. })), "{said:?}");
    assert!(said[1].signals.contains(&Signal::Text { text: "pong".into() }), "{}", text(said[1]));
    assert!(rig.hatchery.agents().list(&AgentFilter::default()).is_empty());
    let shown = rig.hatchery.agents().show(&run.id().to_string()).await.unwrap();
    assert_eq!(shown.state.phase.name(), "exited");
    rig.end().await;
}
