//! Processes that SIGKILL does not end, as those of a dead network disk: the freezer of cgroup v1 holds them.

use super::*;
use crate::process::freezer::Freezer;

#[tokio::test]
async fn one_that_is_held_is_not_taken_for_gone() {
    let Some(freezer) = Freezer::make() else { return };
    let (child, _lines) = start(fixture("ignore_sigterm.py"));
    let identity = *child.identity();
    freezer.freeze(identity.pid().get());
    let death = end(child, &AT_ONCE, || ()).await;
    assert_eq!(death.status, Status::Unkillable);
    let remains = death.remains.unwrap();
    assert!(remains.held_by().starts_with("state "), "{}", remains.held_by());
    assert_eq!(identity.standing(), Standing::Alive);
    freezer.thaw();
    assert_eq!(bounded(remains.gone()).await, Status::Signaled { signal: 9, core: false });
    assert_gone(&identity);
}

#[tokio::test]
async fn nor_if_its_guardian_is_killed() {
    let Some(freezer) = Freezer::make() else { return };
    let guardian = Guardian::start(Plan::unrecorded()).unwrap();
    let Spawned { child, .. } = guardian.spawn(1, fixture("ignore_sigterm.py")).unwrap();
    let identity = *child.identity();
    freezer.freeze(identity.pid().get());
    let pair = guardian.admit().unwrap();
    pidfd_send_signal(pidfd_open(pair.guardian().pid().raw(), PidfdFlags::empty()).unwrap(), Signal::KILL).unwrap();
    let death = end(child, &AT_ONCE, || ()).await;
    assert_eq!(death.status, Status::Unkillable);
    assert_eq!(identity.standing(), Standing::Alive);
    freezer.thaw();
    assert_eq!(bounded(death.remains.unwrap().gone()).await, Status::Unguarded);
    assert_ne!(identity.standing(), Standing::Alive);
}
