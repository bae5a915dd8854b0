//! Who is let in, and who is not.

mod certificates;
mod limits;
mod open;
mod public;
mod revoked;
mod secrets;
mod socket;
mod stalled;

pub(crate) use open::Open;
