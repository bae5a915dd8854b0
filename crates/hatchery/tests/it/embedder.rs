//! A program that embeds hatchery and has a process state of its own: a handler for SIGCHLD, children, masks, limits. It finds
//! all of it as it was, after a whole life of a hatchery with everything that can go wrong in one.

#![allow(unsafe_code, reason = "no safe wrapper installs a handler, or tells which one is")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use hatchery::Hatchery;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::containment::kill;
use crate::{Rig, app, eventually, eventually_blocking};

/// Every process of whose end this one was told, in the order of the telling.
static TOLD_OF: [AtomicI32; 256] = [const { AtomicI32::new(0) }; 256];
static TOLD: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_sigchld(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a whole siginfo, which for SIGCHLD has a pid.
    let pid = unsafe { (*info).si_pid() };
    if let Some(place) = TOLD_OF.get(TOLD.fetch_add(1, Ordering::SeqCst)) {
        place.store(pid, Ordering::SeqCst);
    }
}

/// A program is one process, so it is this test binary, started again.
#[test]
#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn an_embedder_s_process_state_is_untouched() {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["embedder::alone_as_an_embedder", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    let output = program.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "run alone by an_embedder_s_process_state_is_untouched"]
fn alone_as_an_embedder() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    has_habits();
    let mut early = [child("exit 7"), child("kill -TERM $$"), child("exec sleep 600")];
    let (state, files) = (State::now(), files());

    let (hatcherys_own, middle) = runtime.block_on(a_whole_life());

    assert_eq!(State::now(), state);
    eventually_blocking("every descriptor is closed", || self::files() == files);
    let [exited, signalled, running] = &mut early;
    assert_eq!(exited.wait().unwrap().code(), Some(7));
    assert_eq!(signalled.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    assert_eq!(running.try_wait().unwrap(), None, "it runs on");
    running.kill().unwrap();
    let last = running.id().cast_signed();
    eventually_blocking("its handler is told", || told_of().any(|pid| pid == last));
    assert_eq!(running.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
    let own = early.iter().chain(&middle).map(|child| child.id().cast_signed());
    let known: BTreeSet<i32> = hatcherys_own.into_iter().chain(own).collect();
    let strangers: Vec<i32> = told_of().filter(|pid| !known.contains(pid)).collect();
    assert_eq!(strangers, [0; 0], "SIGCHLD of neither its own children nor a keeper: {known:?}");
    assert_eq!(waitable(), Err(rustix::io::Errno::CHILD), "nothing is left for it to wait for");
}

/// Starts, calls, crashes of all sorts, and a shutdown. The keepers, and children that the program had meanwhile.
async fn a_whole_life() -> (Vec<i32>, Vec<Child>) {
    let mut rig = Rig::of(Hatchery::builder().pool("default", app("confined.py")).workers(2)).await;
    let (first_keeper, first_guardian) = rig.guarded().await;
    let mut child_of_its_own = child("exit 9");
    rig.pool.call::<Value>("who", json!({})).await.unwrap();
    rig.daemon("daemon").await;
    let crashed = rig.pids();
    kill(crashed[0]);
    back_without(&rig, &crashed[..1]).await;
    let crashed = rig.pids();
    kill(first_guardian);
    let (second_keeper, _) = rig.guarded().await;
    back_without(&rig, &crashed).await;
    let crashed = rig.pids();
    kill(second_keeper);
    let (third_keeper, _) = rig.guarded().await;
    back_without(&rig, &crashed).await;
    rig.pool.call::<Value>("who", json!({})).await.unwrap();
    assert_eq!(child_of_its_own.wait().unwrap().code(), Some(9));
    rig.end().await;
    (vec![first_keeper, second_keeper, third_keeper], vec![child_of_its_own])
}

/// Waits until every worker is ready, and none is one of these. A worker whose start fails has its interpreter asked for the
/// reason, by a keeper that no event tells of.
async fn back_without(rig: &Rig, gone: &[i32]) {
    let is_back =
        |worker: &hatchery::WorkerStatus| worker.state == "idle" && !worker.pid.is_none_or(|pid| gone.contains(&pid));
    eventually("its workers are back", || rig.pool.workers().iter().all(is_back)).await;
}

/// A program that is not as any other.
fn has_habits() {
    // SAFETY: the handler writes to atomics, and calls nothing.
    let installed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigchld as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut())
    };
    // SAFETY: a set of its own is filled, and becomes the mask of this thread.
    let masked = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
    };
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    assert_eq!((installed, masked), (0, 0));
    std::fs::write("/proc/self/oom_score_adj", "77").unwrap();
    std::env::set_current_dir("/").unwrap();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
    let mut core = rustix::process::getrlimit(rustix::process::Resource::Core);
    core.current = Some(0);
    rustix::process::setrlimit(rustix::process::Resource::Core, core).unwrap();
    std::fs::write("/proc/thread-self/comm", "peculiar").unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a child of the program's own, which it waits for")]
fn child(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap()
}

/// What a program may set for itself, and would miss.
#[derive(Debug, PartialEq, Eq)]
struct State {
    /// What each signal does: handler, flags.
    dispositions: Vec<(usize, i32)>,
    /// Of this thread: its signal mask, and what it may.
    status: BTreeMap<String, String>,
    environment: BTreeMap<std::ffi::OsString, std::ffi::OsString>,
    folder: std::path::PathBuf,
    subreaper: bool,
    death_signal: Option<Signal>,
    dumpable: bool,
    /// Whole files.
    files: Vec<(&'static str, String)>,
    group_and_session: (i32, i32),
    nice: i32,
}

impl State {
    fn now() -> State {
        const STATUS: [&str; 14] = [
            "Name",
            "Umask",
            "Uid",
            "Gid",
            "Groups",
            "ShdPnd",
            "SigBlk",
            "SigIgn",
            "SigCgt",
            "CapInh",
            "CapEff",
            "CapBnd",
            "NoNewPrivs",
            "Seccomp",
        ];
        const FILES: [&str; 5] = [
            "/proc/self/limits",
            "/proc/self/oom_score_adj",
            "/proc/self/cgroup",
            "/proc/self/comm",
            "/proc/self/coredump_filter",
        ];
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let fields = status.lines().filter_map(|line| line.split_once(":\t"));
        State {
            dispositions: (1..=64).map(disposition).collect(),
            status: fields
                .filter(|(name, _)| STATUS.contains(name))
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
            environment: std::env::vars_os().collect(),
            folder: std::env::current_dir().unwrap(),
            subreaper: rustix::process::child_subreaper().unwrap().is_some(),
            death_signal: rustix::process::parent_process_death_signal().unwrap(),
            dumpable: rustix::process::dumpable_behavior().unwrap() == rustix::process::DumpableBehavior::Dumpable,
            files: FILES.map(|path| (path, std::fs::read_to_string(path).unwrap())).to_vec(),
            group_and_session: group_and_session(),
            nice: rustix::process::getpriority_process(None).unwrap(),
        }
    }
}

/// Either is 0 if its leader is in a PID namespace that we cannot see into, for which rustix has no word.
fn group_and_session() -> (i32, i32) {
    // SAFETY: numbers in, numbers out.
    unsafe { (libc::getpgrp(), libc::getsid(0)) }
}

fn disposition(signal: i32) -> (usize, i32) {
    // SAFETY: the action is only read, into memory of its size. Of two signals the C library tells nothing: zeros stay.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        (action.sa_sigaction, action.sa_flags)
    }
}

/// What is open, but for the folder that is being read.
fn files() -> BTreeMap<String, std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let named = entries.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), target))
    });
    named.filter(|(_, target)| !target.starts_with("/proc")).collect()
}

fn told_of() -> impl Iterator<Item = i32> {
    assert!(TOLD.load(Ordering::SeqCst) <= TOLD_OF.len());
    TOLD_OF.iter().map(|pid| pid.load(Ordering::SeqCst)).take_while(|pid| *pid != 0)
}

/// A child that could be waited for, or why there is none.
fn waitable() -> Result<bool, rustix::io::Errno> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let asked = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
    asked.map(|found| found.is_some())
}
