//! The program that stands between a host and its workers, so that none of them outlives the host.
//!
//! Started once by the host, it is the *keeper*, which forks the *guardians*, which start the workers. Each of them
//! adopts what loses its parent below it (`PR_SET_CHILD_SUBREAPER`), so whatever the workers leave behind becomes a
//! child of the guardian, and of the keeper if the guardian dies. `docs/design/guardian.md` has the whole picture.
//!
//! It must be small and must not fail: no standard library, no C library, no allocation, one thread. What it needs is
//! in static buffers that cost nothing until they are touched. It sleeps unless something happens.
//!
//! Whom it may signal: an un-reaped child of its own, whose number cannot be anybody else's, or a process that it has
//! pinned by a pidfd and then found to bear the run's mark.
#![no_std]
#![no_main]
#![no_builtins]
#![deny(unsafe_op_in_unsafe_fn, unreachable_pub)]
#![warn(rust_2018_idioms)]

mod keeper;
mod guardian;
mod birth;
mod cgroup;
mod lineage;
mod marks;
mod pids;
mod folders;
mod channel;
mod outcome;
mod origins;
mod text;
#[allow(dead_code, reason = "the host uses the other half of it")]
#[path = "../src/process/guardian/message.rs"]
mod message;
mod memory;
mod sys;

/// The host sees this exit status if the program has a mistake in it. Whoever watches it treats it as any other death.
const BROKEN: usize = 70;

fn main() -> ! {
    keeper::run()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::processes::exit(BROKEN)
}
