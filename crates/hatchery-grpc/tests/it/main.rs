//! The client of `snakepit.bridge` against servers on this machine: good ones, a raw one, and some that break the rules.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod client;
mod fuzz;
mod hostile;
mod rig;
mod streams;
