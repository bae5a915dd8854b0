//! Real workers of Snakepit's contract, in pools.

#![expect(clippy::unwrap_used, reason = "a test that finds something else has failed")]
#![expect(clippy::print_stderr, reason = "what was skipped, and why; what was found")]

mod ancestor;
mod bridge;
mod calls;
mod configured;
mod doctor;
mod executing;
mod hostile;
mod launching;
mod pooling;
mod rig;
mod sessions;
mod streaming;
mod supervisor_killed;
mod telemetry;
mod threads;
