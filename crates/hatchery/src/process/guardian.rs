//! The guardian: the program that starts, watches and ends every worker, and the host's handle of it.

pub(super) mod message;
mod program;
#[cfg(test)]
mod tests;
