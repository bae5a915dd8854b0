//! Real workers of Snakepit's contract, in pools.

#![expect(clippy::unwrap_used, reason = "a test that finds something else has failed")]
#![expect(clippy::print_stderr, reason = "what was skipped, and why")]

mod calls;
mod executing;
mod launching;
mod rig;
mod streaming;
