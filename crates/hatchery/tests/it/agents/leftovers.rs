//! What outlives the process of a run.

use hatchery::agent::{AgentSpec, Fidelity, Leftovers, OutcomeKind, OutputLimits};

use super::rig::{Rig, all, fake, lives, with};

/// A11, `kill`.
#[tokio::test]
async fn what_a_run_leaves_behind_when_it_ends_well_is_ended() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(untidy(&rig, Leftovers::Kill)).await;
    assert_eq!((outcome.kind, &outcome.leftovers[..]), (OutcomeKind::Completed, &[][..]), "{outcome:?}");
    assert_eq!([rig.pid("child").await, rig.pid("tool").await].map(lives), [false; 2]);
    assert!(outcome.members_ended > 0, "{outcome:?}");
    rig.end().await;
}

/// A11, `report`: they live as long as their supervisor.
#[tokio::test]
async fn what_is_to_be_reported_is_listed_and_lives_until_its_supervisor_ends() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(untidy(&rig, Leftovers::Report)).await;
    let left = [rig.pid("child").await, rig.pid("tool").await];
    let listed: Vec<i32> = outcome.leftovers.iter().map(|leftover| leftover.pid).collect();
    assert!(listed.len() == 2 && left.iter().all(|pid| listed.contains(pid)), "{outcome:?}, and not {left:?}");
    assert!(outcome.leftovers.iter().all(|leftover| leftover.command.contains("python")), "{outcome:?}");
    assert_eq!(left.map(lives), [true; 2]);
    rig.end().await;
    assert_eq!(left.map(lives), [false; 2]);
}

/// A11, `keep`.
#[tokio::test]
async fn what_may_be_kept_is_listed_and_lives_on() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(untidy(&rig, Leftovers::Keep)).await;
    let left = [rig.pid("child").await, rig.pid("tool").await];
    assert_eq!(
        (outcome.kind, outcome.leftovers.len(), left.map(lives)),
        (OutcomeKind::Completed, 2, [true; 2]),
        "{outcome:?}"
    );
    rig.end_but_for(left).await;
}

/// A12.
#[tokio::test]
async fn who_holds_the_output_open_is_not_waited_for() {
    let rig = Rig::new().await;
    for fidelity in [Fidelity::Pipe, Fidelity::File] {
        let name = format!("{fidelity:?}");
        let steps = ["init".to_owned(), format!("hold={}", rig.path(&name)), "result".to_owned()];
        let output = OutputLimits { fidelity, ..OutputLimits::default() };
        let spec = with(fake("stream-json", steps), |spec| {
            spec.output = output;
            spec.leftovers = Leftovers::Report;
        });
        let (run, outcome) = rig.run(spec).await;
        let holder = rig.pid(&name).await;
        assert_eq!(outcome.kind, OutcomeKind::Completed, "{outcome:?}");
        assert_eq!(outcome.leftovers.iter().map(|leftover| leftover.pid).collect::<Vec<_>>(), [holder]);
        assert!(lives(holder), "it has its output still");
        assert_eq!(all(&run).await.len(), 2, "and the log is closed");
    }
    rig.end().await;
}

/// One that leaves a child in its own process group, and one in a session of its own.
fn untidy(rig: &Rig, leftovers: Leftovers) -> AgentSpec {
    let steps = [
        "init".to_owned(),
        format!("mcp={}", rig.path("child")),
        format!("tool={}", rig.path("tool")),
        "endtool".into(),
        "result".into(),
    ];
    with(fake("stream-json", steps), |spec| spec.leftovers = leftovers)
}
