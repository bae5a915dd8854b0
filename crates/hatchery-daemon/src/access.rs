//! Who may reach the daemon, and what for. Each request has a [`Caller`] in its extensions before anything else looks at it,
//! and whoever answers asks that for the [`Scope`] that the answer takes.

mod audit;
mod caller;
mod extract;

pub(crate) use audit::audit;
pub use caller::Scope;
pub(crate) use caller::{Caller, Client, Scopes};
pub(crate) use extract::admit;
