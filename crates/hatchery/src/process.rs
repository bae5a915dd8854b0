//! The only room that starts or ends a process.
//!
//! [`spawn`] gives a [`Child`] that owns what it started: dropped, it kills and reaps. [`end`] is the whole ladder from a
//! friendly word to SIGKILL, and tells how the process died. Nothing else in this crate sends a signal or waits for
//! a pid.
//!
//! What holds here, whatever the child does and whatever else the host program does:
//!
//! - A signal goes only to a process group whose leader is our own child, and through its pidfd: the number is never
//!   trusted by itself, so a number that the kernel gave to somebody else is never hit. Or, for what a dead run has left
//!   ([`end_marked`]), through a pidfd whose process was seen to carry that run's mark after the pidfd was opened.
//! - The leader is reaped last, after its group was killed.
//! - Nothing of the host changes: no fork, no signal handler, no `prctl`, no `wait` for any child but ours. A host
//!   that ignores SIGCHLD, or waits for every child, costs us the exit status ([`Status::Unknown`]), and those children
//!   that end in the instant before they are taken hold of ([`SpawnError::Lost`]).
//! - A child holds the descriptors that were listed for it and no others.
//!
//! A process that leaves its group (a daemon that calls `setsid`) leaves our reach too; that is the guardian's part.
//!
//! Linux 5.4 or newer; from 6.9 on the kernel itself closes the last race between a foreign `wait` and a signal.

mod child;
mod command_line;
#[allow(dead_code, reason = "the host's side of it comes with the next step")]
mod guardian;
#[allow(dead_code, reason = "what `find` found is signalled by the host side of the guardian, which comes next")]
mod identity;
mod kill;
#[allow(dead_code, reason = "who sets it comes with the host side of the guardian")]
mod mark;
mod output;
mod raw;
mod run;
mod scan;
mod sight;
mod spawn;
#[cfg(test)]
mod tests;

pub(crate) use child::{Child, Terminator};
pub(crate) use command_line::{command_of, redacted};
pub(crate) use identity::{Identity, Pid, Proof, Remembered, Standing, boot_id};
pub(crate) use kill::{Death, Escalation, Status, end};
pub(crate) use mark::{MAX_WORKER, Mark, Worn};
pub(crate) use output::{Admission, Dropped, Tail, Throttle, drain};
pub(crate) use run::{Output, run_to_end};
pub(crate) use scan::{Census, Ending, Sighting, end_marked};
pub(crate) use sight::{Obstacle, obstacles};
pub(crate) use spawn::{SpawnError, Spawned, Spec, spawn};
