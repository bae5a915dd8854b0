//! One line per order: who, what, about what, and how it ended. Never with arguments, and never with a secret.

use super::Caller;

/// Tells of an order, or of an attempt at one. `outcome` is `done`, `left` if the caller went away meanwhile, `unread` if what it
/// sent could not be understood, or the kind of the error: a message of it may quote what was sent.
pub(crate) fn audit(caller: &Caller, order: &str, subject: &str, outcome: &str) {
    tracing::info!(target: "hatchery::audit", caller = %caller.client(), order, subject, outcome);
}
