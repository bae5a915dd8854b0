//! A process as it is written down, to be asked about later: perhaps by another program, perhaps after a crash.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use super::super::raw::{self, PidfsHandle};
use super::traits::{Likeness, Traits, boot_id};

/// Any process, this one included. Nothing may be signalled on the strength of it; that takes an
/// [`Identity`](super::Identity), or the mark.
///
/// Its text is `4711 start=833 pidfs=90 handle=254:5a00000000000000 boot=…`, in which all but the number may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    number: Pid,
    traits: Traits,
}

/// Whether a remembered process is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It runs.
    Alive,
    /// It has ended, reaped or not, or the machine was booted since.
    Dead(Proof),
    /// Something runs that looks like it, but this kernel cannot prove that it is.
    Unsure,
}

/// How sure a death is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The kernel itself told it apart: by its pidfs handle or inode, or nobody has the number.
    Kernel,
    /// The number is taken by one with another start time, which a clock of another namespace could fake.
    StartTime,
}

impl Remembered {
    pub(super) fn new(number: Pid, traits: Traits) -> Remembered {
        Remembered { number, traits }
    }

    /// The process that calls this.
    pub(crate) fn this_process() -> Remembered {
        let number = getpid();
        let traits = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Traits::of(number, pidfd),
            Err(_no_descriptor_left) => Traits { boot_id: boot_id(), ..Traits::default() },
        };
        Remembered { number, traits }
    }

    pub(crate) fn number(&self) -> i32 {
        self.number.as_raw_pid()
    }

    /// Asks by the strongest that was written down and that this kernel understands.
    pub(crate) fn standing(&self) -> Standing {
        if self.traits.boot_id.is_some() && boot_id().is_some() && self.traits.boot_id != boot_id() {
            return Standing::Dead(Proof::Kernel);
        }
        match self.traits.pidfs_handle.map(raw::open_pidfs_handle) {
            Some(Ok(pidfd)) => runs(&pidfd),
            Some(Err(Errno::STALE)) => Standing::Dead(Proof::Kernel),
            _ => self.standing_by_number(),
        }
    }

    fn standing_by_number(&self) -> Standing {
        let pidfd = match pidfd_open(self.number, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // The last two: the number now names a thread that leads no process.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Standing::Dead(Proof::Kernel),
            Err(_no_descriptor_left) => return Standing::Unsure,
        };
        let found = Traits::of(self.number, &pidfd);
        match self.traits.likeness(&found) {
            Likeness::Same => runs(&pidfd),
            Likeness::Alike if runs(&pidfd) != Standing::Alive => Standing::Dead(Proof::Kernel),
            Likeness::Alike => Standing::Unsure,
            Likeness::Other if self.traits.start_time == found.start_time => Standing::Dead(Proof::Kernel),
            Likeness::Other if self.traits.pidfs_inode.is_some() && found.pidfs_inode.is_some() => {
                Standing::Dead(Proof::Kernel)
            }
            Likeness::Other => Standing::Dead(Proof::StartTime),
        }
    }
}

/// A pidfd is readable from the end of its process on, and does not wait for the reaping.
fn runs(pidfd: &OwnedFd) -> Standing {
    if has_ended(pidfd) { Standing::Dead(Proof::Kernel) } else { Standing::Alive }
}

pub(in crate::process) fn has_ended(pidfd: impl AsFd) -> bool {
    ends_within(pidfd, Duration::ZERO)
}

/// Waits for the end, however often a signal handler of the host's comes between.
pub(in crate::process) fn ends_within(pidfd: impl AsFd, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref()) {
            Err(Errno::INTR) => {}
            ended => return ended.is_ok_and(|count| count > 0),
        }
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())?;
        let Traits { start_time, pidfs_inode, pidfs_handle, boot_id } = self.traits;
        start_time.map_or(Ok(()), |start| write!(f, " start={start}"))?;
        pidfs_inode.map_or(Ok(()), |inode| write!(f, " pidfs={inode}"))?;
        if let Some(PidfsHandle { kind, bytes }) = pidfs_handle {
            write!(f, " handle={kind}:{:016x}", u64::from_be_bytes(bytes))?;
        }
        boot_id.map_or(Ok(()), |boot| write!(f, " boot={boot:032x}"))
    }
}

/// The text is not one of [`Remembered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the identity of a process")]
pub(crate) struct NoIdentity;

impl FromStr for Remembered {
    type Err = NoIdentity;

    /// What it does not know, it leaves out: later versions may say more.
    fn from_str(text: &str) -> Result<Remembered, NoIdentity> {
        let mut words = text.split(' ');
        let number = words.next().and_then(|word| word.parse().ok()).filter(|number| *number > 0);
        let number = number.and_then(Pid::from_raw).ok_or(NoIdentity)?;
        let mut traits = Traits::default();
        for word in words {
            let (name, value) = word.split_once('=').ok_or(NoIdentity)?;
            match name {
                "start" => traits.start_time = Some(value.parse().map_err(|_| NoIdentity)?),
                "pidfs" => traits.pidfs_inode = Some(value.parse().map_err(|_| NoIdentity)?),
                "handle" => traits.pidfs_handle = Some(handle(value).ok_or(NoIdentity)?),
                "boot" => traits.boot_id = Some(u128::from_str_radix(value, 16).map_err(|_| NoIdentity)?),
                _ => {}
            }
        }
        Ok(Remembered { number, traits })
    }
}

fn handle(text: &str) -> Option<PidfsHandle> {
    let (kind, bytes) = text.split_once(':')?;
    let bytes = u64::from_str_radix(bytes, 16).ok()?.to_be_bytes();
    Some(PidfsHandle { kind: kind.parse().ok()?, bytes })
}

impl serde::Serialize for Remembered {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Remembered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Remembered, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn remembered() -> impl Strategy<Value = Remembered> {
        let traits =
            (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<(i32, [u8; 8])>>(), any::<Option<u128>>());
        (1..=i32::MAX, traits).prop_map(|(number, (start_time, pidfs_inode, handle, boot_id))| Remembered {
            number: Pid::from_raw(number).unwrap(),
            traits: Traits {
                start_time,
                pidfs_inode,
                pidfs_handle: handle.map(|(kind, bytes)| PidfsHandle { kind, bytes }),
                boot_id,
            },
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(remembered in remembered()) {
            prop_assert_eq!(remembered.to_string().parse(), Ok(remembered));
        }

        #[test]
        fn garbage_is_no_identity_and_no_panic(text in ".{0,80}") {
            let _either = text.parse::<Remembered>();
        }
    }

    #[test]
    fn numbers_that_are_no_process_are_refused() {
        for text in ["", "0", "-1", "-5 start=1", "x", "1 start", "1 start=x", "1 handle=1", "99999999999"] {
            assert_eq!(text.parse::<Remembered>(), Err(NoIdentity), "{text}");
        }
        assert!("7 colour=blue".parse::<Remembered>().is_ok());
    }

    /// A child that sleeps; killed and reaped when the test is over.
    struct Sleeper(std::process::Child);

    impl Sleeper {
        #[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
        fn start() -> Sleeper {
            Sleeper(std::process::Command::new("sleep").arg("600").spawn().unwrap())
        }

        fn remembered(&self) -> Remembered {
            let number = Pid::from_child(&self.0);
            Remembered { number, traits: Traits::of(number, pidfd_open(number, PidfdFlags::empty()).unwrap()) }
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ended_by_the_test = self.0.kill();
            let _reaped_by_the_test = self.0.wait();
        }
    }

    /// The three kinds of knowledge: all, no handle, neither handle nor inode.
    fn by_less_and_less(full: Remembered) -> [Remembered; 3] {
        let no_handle = Traits { pidfs_handle: None, ..full.traits };
        let no_pidfs = Traits { pidfs_inode: None, ..no_handle };
        [full, Remembered { traits: no_handle, ..full }, Remembered { traits: no_pidfs, ..full }]
    }

    #[test]
    fn a_process_is_alive_then_a_zombie_then_gone_and_both_count_as_dead() {
        let mut sleeper = Sleeper::start();
        let [full, no_handle, no_pidfs] = by_less_and_less(sleeper.remembered());
        assert_eq!((full.standing(), no_handle.standing()), (Standing::Alive, Standing::Alive));
        assert_eq!(no_pidfs.standing(), Standing::Unsure);
        sleeper.0.kill().unwrap();
        let pidfd = pidfd_open(full.number, PidfdFlags::empty()).unwrap();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        for zombie in [full, no_handle, no_pidfs] {
            assert_eq!(zombie.standing(), Standing::Dead(Proof::Kernel), "{zombie}");
        }
        sleeper.0.wait().unwrap();
        assert_eq!(full.standing(), Standing::Dead(Proof::Kernel), "{full}");
    }

    #[test]
    fn a_number_that_somebody_else_has_now_is_a_death() {
        let sleeper = Sleeper::start();
        let now = sleeper.remembered();
        let before = |traits| Remembered { traits, ..now };
        let earlier = Traits { start_time: Some(1), ..now.traits };
        let dead = Standing::Dead(Proof::Kernel);
        assert_eq!(before(Traits { pidfs_handle: None, pidfs_inode: Some(1), ..now.traits }).standing(), dead);
        assert_eq!(before(Traits { pidfs_handle: None, pidfs_inode: Some(1), ..earlier }).standing(), dead);
        let by_time = Traits { pidfs_handle: None, pidfs_inode: None, ..earlier };
        assert_eq!(before(by_time).standing(), Standing::Dead(Proof::StartTime));
        assert_eq!(before(Traits { boot_id: Some(1), ..now.traits }).standing(), dead, "another boot");
    }

    #[test]
    fn this_process_is_alive() {
        let own = Remembered::this_process();
        assert_eq!(own.standing(), Standing::Alive);
        assert_eq!(own.number().unsigned_abs(), std::process::id());
    }
}
