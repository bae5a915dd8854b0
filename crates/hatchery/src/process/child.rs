//! A process that we started and have not reaped: who may signal it, and until when.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, pidfd_open, waitid, waitpid,
};

use super::raw;
use super::{Identity, Pid, Status};

/// How long a drop waits for SIGKILL to do its work. Milliseconds, unless the kernel itself is stuck.
const DROP_PATIENCE: Duration = Duration::from_secs(1);

/// How often to look when the kernel cannot tell us (out of descriptors or watches).
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A child of ours that leads a session and a process group of its own, and has not been reaped.
///
/// Dropped, it kills its group and reaps the leader. [`end`](super::end) is the polite way.
pub(crate) struct Child {
    leader: Arc<Leader>,
}

/// Kills a child from anywhere, at any time. Once the child was reaped, it does nothing.
#[derive(Clone)]
pub(crate) struct Terminator(Arc<Leader>);

impl Child {
    /// Takes hold of a process that this process has just started and that leads its own group. `None` if somebody else
    /// has reaped it: its number may already be a stranger's, so nothing may be done to it any more.
    pub(super) fn adopt(raw: i32) -> io::Result<Option<Child>> {
        let Some(pid) = Pid::new(raw) else { return Ok(None) };
        let pidfd = match pidfd_open(pid.raw(), PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => {
                abandon(pid);
                return Err(error.into());
            }
        };
        let identity = Identity::of(pid, &pidfd);
        let leader = Leader { identity, pidfd, owner: std::process::id(), reaped: Mutex::new(None) };
        let is_ours = leader.wait(WaitIdOptions::NOWAIT).is_ok();
        Ok(is_ours.then(|| Child { leader: Arc::new(leader) }))
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.leader.identity
    }

    /// Resolves when the leader has ended. Does not reap it; may be dropped and asked again.
    pub(crate) async fn exited(&self) {
        while !self.has_exited() {
            if self.exit_event().await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.leader.has_ended_within(Duration::ZERO)
    }

    /// A descriptor of its own for each waiter, so that it belongs to the runtime that waits and not to the one in
    /// which the child happened to be started.
    async fn exit_event(&self) -> io::Result<()> {
        let pidfd = raw::watch(self.leader.pidfd.try_clone()?)?;
        pidfd.readable().await.map(|mut readiness| readiness.clear_ready())
    }

    /// SIGKILL to the group, now. Whether there was anything to kill.
    pub(crate) fn kill_now(&self) -> bool {
        self.signal_group(Signal::KILL)
    }

    pub(crate) fn terminator(&self) -> Terminator {
        Terminator(Arc::clone(&self.leader))
    }

    pub(super) fn signal_group(&self, signal: Signal) -> bool {
        self.leader.signal_group(signal)
    }

    /// The leader's end, taken from the kernel. From then on nothing of it can be signalled. `None` while it runs.
    pub(super) fn reap(&self) -> Option<Status> {
        self.leader.reap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.leader.is_ours_to_end() {
            return;
        }
        self.kill_now();
        self.leader.has_ended_within(DROP_PATIENCE);
        if self.reap().is_none() {
            reap_whenever(Arc::clone(&self.leader));
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(self.identity()).finish()
    }
}

impl Terminator {
    /// SIGKILL to the group, now. Whether there was anything to kill.
    pub(crate) fn kill(&self) -> bool {
        self.0.signal_group(Signal::KILL)
    }
}

struct Leader {
    identity: Identity,
    pidfd: OwnedFd,
    /// A host that forks (Python's multiprocessing) copies this value, but the child stays the original's.
    owner: u32,
    /// Signals are sent, and the leader is reaped, under this lock: no signal can come after the reaping.
    reaped: Mutex<Option<Status>>,
}

impl Leader {
    fn signal_group(&self, signal: Signal) -> bool {
        let reaped = self.reaped();
        if reaped.is_some() || self.owner != std::process::id() {
            return false;
        }
        match raw::signal_group(self.pidfd.as_fd(), signal) {
            Ok(()) => true,
            Err(Errno::SRCH) => false,
            Err(_before_linux_6_9) => self.signal_group_by_number(signal),
        }
    }

    /// A group has its leader's number, which is nobody else's while the leader is our un-reaped child. What remains
    /// is a foreign `wait` between the two calls.
    #[expect(clippy::disallowed_methods, reason = "this is the room that may, and the leader was just proven ours")]
    fn signal_group_by_number(&self, signal: Signal) -> bool {
        let ours = self.wait(WaitIdOptions::NOWAIT).is_ok();
        ours && kill_process_group(self.identity.pid().raw(), signal).is_ok()
    }

    fn reap(&self) -> Option<Status> {
        let mut reaped = self.reaped();
        if reaped.is_none() {
            *reaped = self.wait(WaitIdOptions::empty()).unwrap_or(Some(Status::Unknown));
        }
        *reaped
    }

    /// Never blocks. An error means that it is not our child any more: somebody else reaped it.
    fn wait(&self, options: WaitIdOptions) -> Result<Option<Status>, Errno> {
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?.as_ref().map(Status::from))
    }

    fn is_ours_to_end(&self) -> bool {
        self.owner == std::process::id() && self.reaped().is_none()
    }

    fn has_ended_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.poll(Some(left)) {
                Err(Errno::INTR) => {}
                ended => return ended == Ok(true),
            }
        }
    }

    fn poll(&self, patience: Option<Duration>) -> Result<bool, Errno> {
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let mut pidfd = [PollFd::new(&self.pidfd, PollFlags::IN)];
        Ok(poll(&mut pidfd, timeout.as_ref())? > 0)
    }

    fn reaped(&self) -> MutexGuard<'_, Option<Status>> {
        // The lock guards one assignment, which cannot be left half done.
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a process that SIGKILL cannot end yet, because the kernel holds it: a thread that costs nothing until it can.
fn reap_whenever(leader: Arc<Leader>) {
    let wait = move || {
        while leader.reap().is_none() {
            let _looks_again = leader.poll(None);
        }
    };
    let _no_thread_no_reaping = thread::Builder::new().name("hatchery-reaper".to_owned()).spawn(wait);
}

/// Ends a child that we could not take hold of, most likely for want of a descriptor.
#[expect(clippy::disallowed_methods, reason = "this is the room that may, and the leader was just proven ours")]
fn abandon(pid: Pid) {
    let is_ours = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if waitid(WaitId::Pid(pid.raw()), is_ours).is_ok() {
        let _gone_already = kill_process_group(pid.raw(), Signal::KILL);
        let _reaped_elsewhere = waitpid(Some(pid.raw()), WaitOptions::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Spec, spawn};
    use super::*;

    fn sleeper() -> Child {
        let (program, args) = ("/bin/sleep".into(), vec!["60".into()]);
        spawn(Spec { program, args, env: Vec::new(), cwd: None, fds: Vec::new() }).unwrap().child
    }

    /// A kernel before 6.9, as far as this file can tell.
    #[test]
    fn by_number_a_group_is_signalled_only_while_its_leader_is_our_child() {
        let child = sleeper();
        assert!(child.leader.signal_group_by_number(Signal::KILL));
        assert!(child.leader.has_ended_within(Duration::from_secs(60)));
        assert!(child.leader.signal_group_by_number(Signal::KILL), "an un-reaped leader keeps its number");
        assert_eq!(child.reap(), Some(Status::Signaled { signal: libc::SIGKILL, core: false }));
        assert!(!child.leader.signal_group_by_number(Signal::KILL));
    }

    #[test]
    fn one_that_could_not_be_taken_hold_of_is_ended() {
        let child = sleeper();
        abandon(child.identity().pid());
        assert!(child.has_exited());
        assert_eq!(child.reap(), Some(Status::Unknown), "it was reaped, and not by the child");
    }
}
