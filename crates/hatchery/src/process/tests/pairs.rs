//! Keepers and guardians that are lost, slow or never there.

use std::sync::Mutex;

use super::*;
use crate::process::freezer::Freezer;
use crate::process::guardian::Pair;

/// A guardian of this test's own.
pub(super) fn own_guardian() -> (Guardian, Arc<Pair>) {
    let guardian = Guardian::start(Plan::unrecorded()).unwrap();
    let pair = guardian.admit().unwrap();
    (guardian, pair)
}

fn pinned(identity: &Identity) -> OwnedFd {
    pidfd_open(identity.pid().raw(), PidfdFlags::empty()).unwrap()
}

pub(super) fn send(identity: &Identity, signal: Signal) {
    pidfd_send_signal(pinned(identity), signal).unwrap();
}

pub(super) fn state_of(identity: &Identity) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", identity.pid())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waited).await.unwrap_or_else(|_| panic!("not for a minute: {what}"));
}

pub(super) async fn stop(identity: &Identity) {
    send(identity, Signal::STOP);
    until("it is stopped", || state_of(identity) == Some('T')).await;
}

fn confined(confinement: Confinement, name: &str) -> Spec {
    Spec { confinement, ..fixture(name) }
}

fn reporting() -> Confinement {
    Confinement { on_escape: OnEscape::Report, ..Confinement::default() }
}

#[tokio::test]
async fn the_end_waits_for_what_an_earlier_pair_has_left() {
    let (guardian, first) = own_guardian();
    stop(first.keeper()).await;
    send(first.guardian(), Signal::KILL);
    until("the first pair is lost", || !first.is_up()).await;
    guardian.admit().unwrap();
    assert!(!guardian.closed(Duration::from_millis(300)).await, "the first keeper is still there");
    send(first.keeper(), Signal::CONT);
    assert!(guardian.closed(DEADLINE).await);
    assert_gone(first.keeper());
}

#[tokio::test]
async fn what_was_let_live_until_the_run_ends_is_not_forgotten_with_its_guardians() {
    let (guardian, pair) = own_guardian();
    let Spawned { child, stdout, .. } = guardian.spawn(1, confined(reporting(), "daemonize.py")).unwrap();
    let daemon = Lines::of(stdout.unwrap()).next_pid().await;
    assert_eq!(bounded(end(child, &AT_ONCE, || ())).await.left.len(), 1);
    assert!(is_running(&daemon));
    stop(pair.keeper()).await;
    send(pair.guardian(), Signal::KILL);
    send(pair.keeper(), Signal::KILL);
    assert!(guardian.closed(DEADLINE).await);
    assert!(!is_running(&daemon));
}

#[tokio::test]
async fn a_child_whose_guardian_is_stopped_ends_when_it_is_dropped() {
    let (guardian, pair) = own_guardian();
    let Spawned { child, .. } = guardian.spawn(1, spec("sleep", ["3600".into()])).unwrap();
    let pidfd = pinned(child.identity());
    stop(pair.guardian()).await;
    drop(child);
    assert_ends(pidfd).await;
}

#[tokio::test]
async fn what_stays_is_named_by_the_number_that_it_has_here() {
    let plan = Plan { pidns: true, ..Plan::unrecorded() };
    let guardian = match Guardian::start(plan) {
        Ok(guardian) => guardian,
        Err(error) => return println!("not checked: {error}"),
    };
    let Spawned { child, stdout, .. } = guardian.spawn(1, confined(reporting(), "daemonize.py")).unwrap();
    let inside = Lines::of(stdout.unwrap()).next().await.unwrap();
    let left = bounded(end(child, &AT_ONCE, || ())).await.left;
    let [outside] = left[..] else { panic!("{left:?}") };
    let status = fs::read_to_string(format!("/proc/{outside}/status")).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    // A stranger here may well have the number that it has there.
    assert_eq!(numbers.split_whitespace().collect::<Vec<_>>(), [&*outside.to_string(), &*inside], "{status}");
}

#[tokio::test]
async fn nothing_can_be_adopted_out_of_a_namespace() {
    let guardian = match Guardian::start(Plan { pidns: true, ..Plan::unrecorded() }) {
        Ok(guardian) => guardian,
        Err(error) => return println!("not checked: {error}"),
    };
    let adopting = Confinement { on_escape: OnEscape::Adopt, ..Confinement::default() };
    let refused = guardian.spawn(1, confined(adopting, "exit_at_once.sh")).unwrap_err().to_string();
    assert!(refused.contains("on_escape = adopt") && refused.contains("PID namespace"), "{refused}");
}

/// What was told of the folders that were made, and whether anything was in them then.
#[derive(Default)]
struct Notes(Mutex<Vec<(PathBuf, bool)>>);

impl Watcher for Notes {
    fn made(&self, folder: &Path) {
        let is_empty = fs::read_dir(folder).unwrap().flatten().all(|entry| !entry.path().is_dir())
            && fs::read_to_string(folder.join("cgroup.procs")).unwrap().is_empty();
        self.0.lock().unwrap().push((folder.to_owned(), is_empty));
    }

    fn born(&self, _pair: &Pair) {}
    fn lost(&self, _pair: &Pair) {}
    fn over(&self, _pair: &Pair) {}
}

#[tokio::test]
async fn a_folder_is_told_before_anything_is_in_it() {
    let notes = Arc::new(Notes::default());
    let guardian = Guardian::start(Plan { watcher: Arc::clone(&notes) as _, ..Plan::unrecorded() }).unwrap();
    let pair = guardian.admit().unwrap();
    let told = notes.0.lock().unwrap().clone();
    match pair.cgroup() {
        Some(folder) => assert_eq!(told, [(folder.to_owned(), true)]),
        None => assert_eq!(told, []),
    }
    assert!(guardian.closed(DEADLINE).await);
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_folder() {
    let variable = ("HATCHERY_GUARDIAN".into(), "/no/such/program".into());
    run_alone_with("pairs::alone_without_a_program", vec![variable]).await;
}

#[tokio::test]
#[ignore = "run alone by a_start_that_fails_leaves_no_folder"]
async fn alone_without_a_program() {
    let notes = Arc::new(Notes::default());
    let plan = Plan { watcher: Arc::clone(&notes) as _, ..Plan::unrecorded() };
    assert!(Guardian::start(plan).is_err());
    let told = notes.0.lock().unwrap().clone();
    assert!(told.iter().all(|(folder, _)| !folder.exists()), "{told:?}");
}

#[tokio::test]
async fn what_is_lost_while_the_run_ends_is_cleared_away_too() {
    let (guardian, pair) = own_guardian();
    let Spawned { child, stdout, .. } = guardian.spawn(1, confined(reporting(), "daemonize.py")).unwrap();
    let daemon = Lines::of(stdout.unwrap()).next_pid().await;
    assert_eq!(bounded(end(child, &AT_ONCE, || ())).await.left.len(), 1);
    // Neither can do anything about it before both are killed.
    for identity in [pair.keeper(), pair.guardian()] {
        stop(identity).await;
    }
    guardian.close();
    for identity in [pair.guardian(), pair.keeper()] {
        send(identity, Signal::KILL);
    }
    assert!(guardian.closed(DEADLINE).await);
    assert!(!is_running(&daemon));
}

async fn stop_both(pair: &Pair) {
    stop(pair.keeper()).await;
    stop(pair.guardian()).await;
}

#[tokio::test]
async fn a_pair_of_which_both_are_stopped_is_replaced() {
    let (guardian, pair) = own_guardian();
    let Spawned { child, .. } = guardian.spawn(1, spec("sleep", ["3600".into()])).unwrap();
    stop_both(&pair).await;
    let guardian = Arc::new(guardian);
    let spawning = Arc::clone(&guardian);
    let spawned = tokio::task::spawn_blocking(move || spawning.spawn(2, spec("sleep", ["3600".into()])).map(drop));
    assert!(matches!(bounded(spawned).await.unwrap(), Err(SpawnError::Unguarded)));
    assert_eq!(bounded(end(child, &AT_ONCE, || ())).await.status, Status::Unguarded);
    let Spawned { child, .. } = guardian.spawn(3, spec("sleep", ["3600".into()])).unwrap();
    assert!(matches!(bounded(end(child, &AT_ONCE, || ())).await.status, Status::Signaled { .. }));
    assert!(guardian.closed(DEADLINE).await);
    for identity in [pair.keeper(), pair.guardian()] {
        assert_ne!(identity.standing(), Standing::Alive);
    }
}

#[tokio::test]
async fn a_pair_of_which_both_are_stopped_ends_with_its_host_s_handle() {
    let (guardian, pair) = own_guardian();
    let Spawned { child, stdout, .. } = guardian.spawn(1, fixture("daemonize.py")).unwrap();
    let daemon = Lines::of(stdout.unwrap()).next_pid().await;
    stop_both(&pair).await;
    // As long as a shutdown has.
    assert!(guardian.closed(Duration::from_secs(10)).await);
    assert!(child.has_exited());
    assert_ends(daemon).await;
    assert_ne!(pair.guardian().standing(), Standing::Alive);
    assert_gone(pair.keeper());
}

/// Nobody waits for it, and nobody could tell it twice: it is told again all the same.
#[tokio::test]
async fn an_end_that_could_not_be_heard_is_told_again() {
    let Some(freezer) = Freezer::make() else { return };
    let (guardian, pair) = own_guardian();
    let Spawned { child, .. } = guardian.spawn(1, spec("sleep", ["3600".into()])).unwrap();
    let identity = *child.identity();
    freezer.freeze(pair.guardian().pid().get());
    let began = std::time::Instant::now();
    until("the guardian's socket is full", || !child.signal_group(Signal::WINCH)).await;
    assert!(child.kill_now());
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waits for room: {:?}", began.elapsed());
    let _neither_waited_for_nor_dropped = std::mem::ManuallyDrop::new(child);
    freezer.thaw();
    assert_goes(&identity).await;
    assert!(pair.is_up(), "it was only slow");
    assert!(guardian.closed(DEADLINE).await);
}

/// It is killed and does not die. Its workers do, though nothing of theirs is signalled by its death.
#[tokio::test]
async fn a_guardian_that_the_kernel_holds_is_given_up_and_its_workers_end() {
    let Some(freezer) = Freezer::make() else { return };
    let (guardian, pair) = own_guardian();
    let Spawned { child, .. } = guardian.spawn(1, spec("sleep", ["3600".into()])).unwrap();
    let worker = pinned(child.identity());
    freezer.freeze(pair.guardian().pid().get());
    guardian.close();
    assert_ends(worker).await;
    assert_ne!(pair.keeper().standing(), Standing::Alive, "it could do nothing about it");
    assert!(!guardian.closed(Duration::from_millis(100)).await, "the guardian is still there");
    freezer.thaw();
    assert!(guardian.closed(DEADLINE).await);
    assert_ne!(pair.guardian().standing(), Standing::Alive);
}

/// Holds up the start of every pair but the first until it is told to go on.
struct HoldingUp {
    born: std::sync::atomic::AtomicU32,
    go_on: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Watcher for HoldingUp {
    fn made(&self, _folder: &Path) {}
    fn born(&self, _pair: &Pair) {
        if self.born.fetch_add(1, Ordering::SeqCst) > 0 {
            self.go_on.lock().unwrap().recv().unwrap();
        }
    }
    fn lost(&self, _pair: &Pair) {}
    fn over(&self, _pair: &Pair) {}
}

#[tokio::test]
async fn a_run_is_closed_while_a_pair_is_started() {
    let (tell, go_on) = std::sync::mpsc::channel();
    let watcher = Arc::new(HoldingUp { born: AtomicU32::new(0), go_on: Mutex::new(go_on) });
    let plan = Plan { watcher: Arc::clone(&watcher) as _, ..Plan::unrecorded() };
    let guardian = Arc::new(Guardian::start(plan).unwrap());
    let first = guardian.admit().unwrap();
    send(first.guardian(), Signal::KILL);
    until("the first pair is lost", || !first.is_up()).await;
    let starting = Arc::clone(&guardian);
    let start = tokio::task::spawn_blocking(move || starting.admit().map(drop));
    until("a second one comes up", || watcher.born.load(Ordering::SeqCst) == 2).await;
    // Each of these would wait for it for ever.
    guardian.guarantee();
    guardian.close();
    assert!(!guardian.closed(Duration::from_millis(100)).await, "one is still to come");
    tell.send(()).unwrap();
    assert!(matches!(bounded(start).await.unwrap(), Err(StartError::Closed)));
    assert!(guardian.closed(DEADLINE).await);
}
