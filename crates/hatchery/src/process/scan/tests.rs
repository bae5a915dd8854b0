//! Real processes with real marks. The innocents are of the same program, with the same arguments.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, prlimit};

use super::*;
use crate::id::RunId;

const PATIENCE: Duration = Duration::from_secs(60);

/// Children of this test. Killed and reaped at its end.
struct Fleet(Vec<Child>);

impl Fleet {
    fn of(count: usize, mark: Option<Mark>) -> Fleet {
        let fleet = Fleet((0..count).map(|_| sleeper()).collect());
        for (worker, child) in (1..).zip(&fleet.0) {
            mark.into_iter().for_each(|mark| wear(child, mark.worn_by(worker)));
        }
        fleet
    }

    fn pids(&self) -> Vec<i32> {
        self.0.iter().map(|child| child.id().cast_signed()).collect()
    }

    /// How many have ended, by their parent's own word.
    fn ended(&mut self) -> usize {
        self.0.iter_mut().filter_map(|child| child.try_wait().unwrap()).count()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ended_already = child.kill();
            let _reaped_already = child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
fn sleeper() -> Child {
    Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap()
}

/// What the guardian does to its children.
fn wear(child: &Child, mark: Mark) {
    let limit = Rlimit { current: Some(mark.soft), maximum: Some(mark.hard) };
    prlimit(Some(rustix::process::Pid::from_child(child)), Resource::Locks, limit).unwrap();
}

fn new_mark() -> Mark {
    Mark::of_run(RunId::random(), Worn::by_this_process().map(|worn| worn.mark))
}

fn seen(mark: Mark) -> Vec<(i32, u32)> {
    let census = Census::take().unwrap();
    let mut seen: Vec<_> = census.of(mark).map(|sighting| (sighting.pid.get(), sighting.worn.worker)).collect();
    seen.sort_unstable();
    seen
}

#[test]
fn two_hundred_among_many_are_found_and_ended_and_nobody_else() {
    let mark = new_mark();
    let mut marked = Fleet::of(200, Some(mark));
    let mut plain = Fleet::of(100, None);
    let mut of_another_run = Fleet::of(100, Some(new_mark()));
    let mut expected: Vec<_> = marked.pids().into_iter().zip(1..).collect();
    expected.sort_unstable();
    assert_eq!(seen(mark), expected);

    let ending = end_marked(mark, PATIENCE, |_| false).unwrap();
    assert_eq!((ending.ended.len(), ending.left.len()), (200, 0));
    assert_eq!(seen(mark), [], "zombies are not seen, although nobody has reaped them");
    assert_eq!((marked.ended(), plain.ended(), of_another_run.ended()), (200, 0, 0));
}

#[test]
fn the_spared_live() {
    let mark = new_mark();
    let mut fleet = Fleet::of(3, Some(mark));
    let ending = end_marked(mark, PATIENCE, |sighting| sighting.worn.worker == 2).unwrap();
    assert_eq!((ending.ended.len(), ending.left.len(), fleet.ended()), (2, 0, 2));
}

#[test]
fn one_worker_of_a_run_differs_from_another_run_in_its_soft_part_only() {
    let outer = new_mark();
    let inner = Mark::of_run(RunId::random(), Some(outer));
    let (_outer, mut inner_fleet) = (Fleet::of(2, Some(outer)), Fleet::of(2, Some(inner)));
    assert_eq!(end_marked(outer, PATIENCE, |_| false).unwrap().ended.len(), 2);
    assert_eq!(inner_fleet.ended(), 0);
}

/// A shell that waits until it has its mark, starts a daemon (own session, no parent, empty environment, deaf to polite
/// signals), tells its number, and goes.
#[test]
#[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
fn a_daemon_that_hides_is_found() {
    const SCRIPT: &str = r#"read go
        setsid env -i sh -c 'trap "" TERM HUP INT; echo $$; exec sleep 600 >/dev/null 2>&1' < /dev/null &"#;
    let mark = new_mark();
    let mut shell =
        Command::new("sh").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wear(&shell, mark.worn_by(7));
    drop(io::Write::write_all(&mut shell.stdin.take().unwrap(), b"go\n"));
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    shell.wait().unwrap();

    let daemon: i32 = line.trim().parse().unwrap();
    let identity = super::super::Identity::of(Pid::new(daemon).unwrap(), pidfd(daemon));
    let ending = end_marked(mark, PATIENCE, |_| false).unwrap();
    assert_eq!(ending.ended.iter().map(|s| (s.pid.get(), s.worn.worker)).collect::<Vec<_>>(), [(daemon, 7)]);
    assert_ne!(identity.standing(), super::super::Standing::Alive);
}

fn pidfd(pid: i32) -> OwnedFd {
    pidfd_open(rustix::process::Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap()
}

#[test]
fn a_process_that_has_changed_its_mark_is_not_hit() {
    let (before, after) = (new_mark(), new_mark());
    let mut fleet = Fleet::of(1, Some(before.worn_by(1)));
    let sighting = Census::take().unwrap().of(before).next().unwrap().clone();
    prlimit(
        Some(rustix::process::Pid::from_child(&fleet.0[0])),
        Resource::Locks,
        Rlimit { current: Some(after.soft), maximum: Some(before.hard) },
    )
    .unwrap();
    assert!(pin(&sighting).unwrap().is_none());
    assert_eq!(fleet.ended(), 0);
}

/// Eight lineages that fork and exit, so that none has a number for long. Several times: who is not looked for well is found by luck.
#[test]
fn those_that_fork_and_exit_are_found() {
    for _ in 0..6 {
        let (mark, mut comets) = (new_mark(), Comets::fly());
        comets.begin(mark.worn_by(3));
        let ending = end_marked(mark, PATIENCE, |_| false).unwrap();
        assert!(ending.ended.len() >= 8 && ending.left.is_empty(), "{ending:?}");
        assert_eq!(comets.rest(), [0u8; 0], "the pipe ends when the last of them does");
    }
}

/// Each writes a dot when it is there.
struct Comets(Child);

impl Comets {
    #[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
    fn fly() -> Comets {
        const SCRIPT: &str = r#"
import os, time
os.read(0, 1)
for lineage in range(8):
    if os.fork() == 0:
        break
else:
    os._exit(0)
os.write(1, b".")
for generation in range(20_000):
    if os.fork():
        os._exit(0)
    time.sleep(0.0001)
"#;
        let mut python = Command::new("python3");
        Comets(python.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn begin(&mut self, worn: Mark) {
        wear(&self.0, worn);
        io::Write::write_all(&mut self.0.stdin.take().unwrap(), b"g").unwrap();
        io::Read::read_exact(self.0.stdout.as_mut().unwrap(), &mut [0; 8]).unwrap();
        assert!(self.0.wait().unwrap().success());
    }

    fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        io::Read::read_to_end(self.0.stdout.as_mut().unwrap(), &mut rest).unwrap();
        rest
    }
}
