//! The configuration, read again. How it is read and applied is the affair of whoever started the daemon.

use std::pin::Pin;

use hatchery::{Error, ErrorKind, Reconfigured, Result};

use crate::access::Caller;
use crate::house::House;

/// Reads the configuration again, and has the running pools follow it as far as they can.
pub trait Reload: Send + Sync + 'static {
    /// Nothing of a wrong configuration is taken.
    ///
    /// # Errors
    /// `validation`, with what is wrong.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reconfigured>> + Send + '_>>;
}

/// As after SIGHUP.
///
/// # Errors
/// `unavailable` if the daemon was started without a configuration that could be read again.
pub(crate) async fn reload_configuration(house: &House, caller: &Caller) -> Result<Reconfigured> {
    let work = async {
        let none = || Error::new(ErrorKind::Unavailable, "this daemon has no configuration that could be read again");
        house.configuration().ok_or_else(none)?.reload().await
    };
    caller.order("reload", "configuration", work).await
}
