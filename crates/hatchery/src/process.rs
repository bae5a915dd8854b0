//! The only room that starts or ends a process.
//!
//! [`Guardian::spawn`] gives a [`Child`] that owns what it started: dropped, its whole tree is killed. [`end`] is the whole
//! ladder from a friendly word to SIGKILL, and tells how the process died. Nothing else in this crate sends a signal or
//! waits for a pid. The guardian's own design is in `docs/design/guardian.md`.
//!
//! What holds here, whatever the child does and whatever becomes of this program:
//!
//! - Every process is a descendant of the guardian, which is a subreaper: it cannot get away by forking twice, by `setsid` or
//!   by losing its parent. Keeper and guardian end everything when this program dies, and when one of the two does.
//! - A signal goes to an un-reaped child of the one who sends it, or through a pidfd whose process was verified after it was
//!   opened: a number that the kernel gave to somebody else is never hit.
//! - The leader is reaped last, after its tree was killed.
//! - Nothing of the host changes: no fork, no signal handler, no `prctl`, no child but the keeper. A host that ignores SIGCHLD,
//!   or waits for every child, costs nobody anything.
//! - A child holds the descriptors that were listed for it and no others.
//!
//! Linux 5.9 or newer; control groups and unforgeable identities need a newer one, and [`Guarantee`] says what holds.

mod cage;
mod child;
mod command_line;
mod fork;
#[cfg(test)]
pub(crate) mod freezer;
mod guardian;
mod identity;
mod kill;
mod mark;
mod memory;
mod output;
mod raw;
mod run;
mod scan;
mod sight;
mod spawn;
mod strings;
#[cfg(test)]
mod tests;

pub use cage::ResourceLimits;
pub(crate) use cage::remove_groups_of;
pub(crate) use child::{Child, Terminator};
pub(crate) use command_line::{command_of, is_secret_name, redacted, redacted_each, redacted_value};
pub(crate) use fork::{Fork, ForkError, Forker};
pub use guardian::guarantee::{Guarantee, Layer, LayerState};
pub use guardian::message::OnEscape;
pub(crate) use guardian::{
    AttachError, Attached, Guardian, Moment, Pair, Plan, Provisions, StartError, Watcher, try_guardian, write_program,
};
pub(crate) use identity::{Identity, Pid, Proof, Remembered, Standing, boot_id};
pub(crate) use kill::{Death, Escalation, Remains, Status, end, held_by, signal_name};
pub(crate) use mark::{ADOPTED, MAX_WORKER, Mark, Worn};
pub(crate) use memory::{resident_bytes, resident_bytes_of_tree};
pub(crate) use output::{Admission, Dropped, Tail, Throttle, drain};
pub(crate) use raw::{group_of as process_group, watch as readable};
pub(crate) use run::{Output, run_to_end};
pub(crate) use scan::{Census, Ending, Sighting, end_marked};
pub(crate) use sight::{Obstacle, obstacles};
pub use spawn::Containment;
pub(crate) use spawn::{Confinement, SpawnError, Spawned, Spec, Stdin, Stdio, Stdout};
