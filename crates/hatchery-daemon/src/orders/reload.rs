//! The configuration, read again. How it is read is the affair of whoever started the daemon.

use std::sync::Arc;

use hatchery::{Error, ErrorKind, Reconfigured, Result};

use crate::access::Caller;
use crate::house::House;

/// Has a daemon read its configuration again, as an order does. For signals.
#[derive(Clone)]
pub struct Reloader(Arc<House>);

impl Reloader {
    pub(crate) fn new(house: &Arc<House>) -> Reloader {
        Reloader(Arc::clone(house))
    }

    /// Reads the configuration, and has the running pools obey it as far as they can ([`Hatchery::reconfigure`](hatchery::Hatchery::reconfigure)).
    ///
    /// # Errors
    /// `validation` for a wrong configuration, of which nothing is taken; `unavailable` if the daemon does not serve, or was started
    /// without a configuration that could be read again.
    pub async fn reload(&self) -> Result<Reconfigured> {
        self.0.reload().await
    }
}

/// As after SIGHUP.
///
/// # Errors
/// Those of [`Reloader::reload`].
pub(crate) async fn reload_configuration(house: &House, caller: &Caller) -> Result<Reconfigured> {
    caller.order("reload", "configuration", house.reload()).await
}

impl House {
    async fn reload(&self) -> Result<Reconfigured> {
        // One at a time: the manager is told of each by itself.
        let _turn = self.reloads.lock().await;
        // Before, and at the end, the manager is not to hear that all is ready again.
        self.filled().map(drop)?;
        if let Some(notifier) = self.notifier() {
            notifier.reloading();
        }
        let outcome = self.reread().await;
        if let Some(notifier) = self.notifier() {
            notifier.reloaded(outcome.as_ref().err(), self.address);
        }
        outcome
    }

    async fn reread(&self) -> Result<Reconfigured> {
        let none = || Error::new(ErrorKind::Unavailable, "this daemon has no configuration that could be read again");
        let configuration = self.configuration().ok_or_else(none)?;
        let read = tokio::task::spawn_blocking(move || configuration.read()).await;
        let config =
            read.map_err(|why| Error::new(ErrorKind::Internal, format!("read the configuration: {why}")))??;
        let doors = self.doors().check(&config.server)?;
        let report = self.filled()?.reconfigure(&config)?;
        Ok(report.and(doors.obey()))
    }
}
