//! What outlives the process of a run.

use std::collections::BTreeSet;

use hatchery::agent::{AgentSpec, Fidelity, Leftovers, Outcome, OutcomeKind, OutputLimits};

use super::rig::{Rig, all, fake, lives, with};

/// A11, `kill`.
#[tokio::test]
async fn what_a_run_leaves_behind_when_it_ends_well_is_ended() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(untidy(&rig, Leftovers::Kill)).await;
    assert_eq!((outcome.kind, &outcome.leftovers[..]), (OutcomeKind::Completed, &[][..]), "{outcome:?}");
    assert_eq!(pids(&rig).await.map(lives), [false; 3]);
    assert_eq!(outcome.members_ended, 2, "{outcome:?}");
    rig.end().await;
}

/// A11, `report`: they live as long as their supervisor.
#[tokio::test]
async fn what_is_to_be_reported_is_listed_and_lives_until_its_supervisor_ends() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(untidy(&rig, Leftovers::Report)).await;
    let [in_its_group, holder, tool] = pids(&rig).await;
    assert!(!lives(in_its_group), "what has not left the group of its run ends with it");
    assert_eq!(listed(&outcome), BTreeSet::from([holder, tool]), "{outcome:?}");
    assert!(outcome.leftovers.iter().all(|leftover| leftover.command.contains("python")), "{outcome:?}");
    assert_eq!([holder, tool].map(lives), [true; 2]);
    rig.end().await;
    assert_eq!([holder, tool].map(lives), [false; 2]);
}

/// A11, `keep`.
#[tokio::test]
async fn what_may_be_kept_is_listed_and_lives_on() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(untidy(&rig, Leftovers::Keep)).await;
    let [in_its_group, holder, tool] = pids(&rig).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!((listed(&outcome), lives(in_its_group)), (BTreeSet::from([holder, tool]), false), "{outcome:?}");
    rig.end_but_for([holder, tool]).await;
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

/// One that leaves a child in its own process group, and two in sessions of their own.
fn untidy(rig: &Rig, leftovers: Leftovers) -> AgentSpec {
    let [child, holder, tool] = ["child", "holder", "tool"].map(|name| rig.path(name));
    let children = [format!("mcp={child}"), format!("hold={holder}"), format!("tool={tool}")];
    let steps = ["init".to_owned()].into_iter().chain(children).chain(["endtool".to_owned(), "result".to_owned()]);
    with(fake("stream-json", steps), |spec| spec.leftovers = leftovers)
}

async fn pids(rig: &Rig) -> [i32; 3] {
    [rig.pid("child").await, rig.pid("holder").await, rig.pid("tool").await]
}

fn listed(outcome: &Outcome) -> BTreeSet<i32> {
    outcome.leftovers.iter().map(|leftover| leftover.pid).collect()
}
