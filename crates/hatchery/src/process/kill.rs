//! How a process is ended, and how it died. The ladder is one function.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Child;
use super::guardian::Gone;

/// How many seconds SIGKILL may take before the process counts as unkillable. The library's own tests have one that is.
const KILL_PATIENCE: u32 = if cfg!(test) { 3 } else { 10 };

/// The graces of [`end`]. Zero skips the wait, not the rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Escalation {
    /// From asking to SIGTERM.
    pub(crate) ask: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) term: Duration,
}

impl Escalation {
    /// SIGKILL, without a word before it. (SIGTERM is sent, and not waited for.)
    pub(crate) const AT_ONCE: Escalation = Escalation { ask: Duration::ZERO, term: Duration::ZERO };
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) status: Status,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests of the ladder look at it"))]
    pub(crate) rung: Rung,
    /// From the first rung to the reaping.
    pub(crate) took: Duration,
    /// Processes that had left its group (daemons) and were ended with it.
    pub(crate) escaped: u32,
    /// Processes that outlive it, as its pool's `on_escape` says.
    pub(crate) left: Vec<u32>,
    /// The kernel ended a process of it for want of memory: its pool's limit was reached.
    pub(crate) out_of_memory: bool,
    /// With [`Status::Unkillable`]: what is still there.
    pub(crate) remains: Option<Remains>,
}

/// A worker that was killed and is still there. Its place must not be given to another.
#[derive(Debug)]
pub(crate) struct Remains(Child);

impl Remains {
    /// Resolves when nothing of it is left. Cancel safe.
    pub(crate) async fn gone(&self) -> Status {
        self.0.gone().await.as_ref().map_or(Status::Unguarded, Status::from)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.identity().pid().get()
    }

    /// [`held_by`], of its leader.
    pub(crate) fn held_by(&self) -> String {
        held_by(self.pid())
    }
}

/// In what state the kernel has a process, and in which of its functions it waits, where that is told: "state D (disk sleep)
/// in do_exit".
pub(crate) fn held_by(pid: i32) -> String {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let status = read("status");
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("unknown").trim();
    match read("wchan").as_str() {
        "" | "0" => format!("state {state}"),
        function => format!("state {state} in {function}"),
    }
}

/// What the kernel says about the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(i32),
    Signaled {
        signal: i32,
        core: bool,
    },
    /// Its guardian was lost, and its exit status with it. It ends too.
    Unguarded,
    /// SIGKILL was sent and something of it is still there: the kernel holds it. The guardian stays with it; until that
    /// ends it must not be taken for gone.
    Unkillable,
}

/// The rung of the ladder on which it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// It had ended before anybody asked.
    Itself,
    Ask,
    Term,
    Kill,
}

/// Ends the process and its whole tree: asks, then SIGTERM, then SIGKILL. Each rung waits for the leader only as long as
/// `escalation` says; one that has already ended goes through without a wait. `ask` is then not called.
///
/// In any case what is left of the tree is killed, and the leader is reaped last. Dropped half-way, the tree is killed
/// at once.
pub(crate) async fn end(mut child: Child, escalation: &Escalation, ask: impl FnOnce()) -> Death {
    let began = Instant::now();
    let rung = descend(&child, escalation, ask).await;
    let out_of_memory = child.ran_out_of_memory();
    let gone = within(KILL_PATIENCE, child.gone()).await;
    let status = match &gone {
        Some(Some(gone)) => Status::from(gone),
        Some(None) => Status::Unguarded,
        None => Status::Unkillable,
    };
    if status != Status::Unkillable {
        child.release().await;
    }
    let remains = (status == Status::Unkillable).then(|| Remains(child));
    let (escaped, left) = gone.flatten().map(|gone| (gone.escaped, gone.left)).unwrap_or_default();
    Death { status, rung, took: began.elapsed(), escaped, left, out_of_memory, remains }
}

async fn descend(child: &Child, escalation: &Escalation, ask: impl FnOnce()) -> Rung {
    if child.has_exited() {
        return Rung::Itself;
    }
    ask();
    if exits_within(child, escalation.ask).await {
        return Rung::Ask;
    }
    child.signal_group(Signal::TERM);
    // A stopped process would not see it.
    child.signal_group(Signal::CONT);
    match exits_within(child, escalation.term).await {
        true => Rung::Term,
        false => Rung::Kill,
    }
}

/// Counts seconds that were waited: a machine that stood still has lost one of them.
async fn within<T>(seconds: u32, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    for _ in 0..seconds {
        if let Ok(done) = tokio::time::timeout(Duration::from_secs(1), &mut what).await {
            return Some(done);
        }
    }
    None
}

async fn exits_within(child: &Child, grace: Duration) -> bool {
    tokio::time::timeout(grace, child.exited()).await.is_ok()
}

impl From<&Gone> for Status {
    fn from(gone: &Gone) -> Status {
        Status::of(gone.code, gone.status)
    }
}

impl Status {
    /// Of `si_code` and `si_status` of `waitid`.
    pub(crate) fn of(code: i32, status: i32) -> Status {
        match code {
            libc::CLD_EXITED => Status::Exited(status),
            code => Status::Signaled { signal: status, core: code == libc::CLD_DUMPED },
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)?;
        f.write_str(if self.out_of_memory { ": out of memory, its limit was reached" } else { "" })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Status::Exited(code) => write!(f, "exit status {code}"),
            Status::Signaled { signal, core } => {
                write!(f, "killed by signal {signal}")?;
                if let Some(name) = signal_name(signal) {
                    write!(f, " ({name})")?;
                }
                f.write_str(if core { ", core dumped" } else { "" })
            }
            Status::Unguarded => f.write_str("ended with its guardian, which was killed"),
            Status::Unkillable => f.write_str("still there after SIGKILL: the kernel holds it"),
        }
    }
}

pub(crate) fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(i32, &str); 24] = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGVTALRM, "SIGVTALRM"),
        (libc::SIGPROF, "SIGPROF"),
        (libc::SIGIO, "SIGIO"),
        (libc::SIGPWR, "SIGPWR"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGSTKFLT, "SIGSTKFLT"),
        (libc::SIGSTOP, "SIGSTOP"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_stood_still_for_an_hour_has_waited_a_second() {
        let waiting = tokio::spawn(within(2, std::future::pending::<()>()));
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(3600)).await;
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[test]
    fn a_status_reads_as_a_person_would_say_it() {
        let text = |status: Status| status.to_string();
        assert_eq!(text(Status::Exited(3)), "exit status 3");
        assert_eq!(text(Status::Signaled { signal: 9, core: false }), "killed by signal 9 (SIGKILL)");
        assert_eq!(text(Status::Signaled { signal: 11, core: true }), "killed by signal 11 (SIGSEGV), core dumped");
        assert_eq!(text(Status::Signaled { signal: 40, core: false }), "killed by signal 40");
    }
}
