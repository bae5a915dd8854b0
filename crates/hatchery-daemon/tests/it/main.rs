//! A real daemon, real workers, and a client that sees only what any client sees.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod access;
mod calls;
mod client;
mod ends;
mod gate;
mod observation;
mod rig;
mod statuses;
mod streams;
