//! The configuration, read again. How it is read and applied is the affair of whoever started the daemon.

use std::pin::Pin;

use hatchery::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::access::Caller;
use crate::house::House;

/// Reads the configuration again, and has the running pools follow it as far as they can.
pub trait Reload: Send + Sync + 'static {
    /// Nothing of a wrong configuration is taken.
    ///
    /// # Errors
    /// `validation`, with what is wrong.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded>> + Send + '_>>;
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The key paths whose new values hold now.
    pub applied: Vec<String>,
    /// How many keys are as they were.
    pub unchanged: usize,
    /// Those that cannot be changed in a running daemon.
    pub needs_restart: Vec<NeedsRestart>,
}

/// A key whose new value holds after the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeedsRestart {
    /// Its path.
    pub key: String,
    /// Why not now.
    pub reason: String,
}

/// As after SIGHUP.
///
/// # Errors
/// `unavailable` if the daemon was started without a configuration that could be read again.
pub(crate) async fn reload_configuration(house: &House, caller: &Caller) -> Result<Reloaded> {
    let work = async {
        let none = || Error::new(ErrorKind::Unavailable, "this daemon has no configuration that could be read again");
        house.configuration().ok_or_else(none)?.reload().await
    };
    caller.order("reload", "configuration", work).await
}
