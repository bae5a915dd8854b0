//! What a daemon can be told. Each order is given by a caller who may, and leaves one line of audit; what it did is its answer.

mod pool;
mod reload;
mod worker;

pub(crate) use pool::{drain, reload, reset_breakers, resume, scale};
pub use reload::Reloader;
pub(crate) use reload::reload_configuration;
pub(crate) use worker::{recycle, restart_worker, stop_worker};

use std::time::Instant;

use hatchery::fault::Device;
use hatchery::{Error, ErrorKind, Result, SweepOptions, SweepReport};
use serde::Serialize;

use crate::Phase;
use crate::access::Caller;
use crate::house::House;
use crate::{host_tools, system};

/// What was forgiven.
#[derive(Serialize)]
pub(crate) struct Cleared {
    /// How many taints.
    pub(crate) cleared: usize,
}

/// What became of the sessions whose time was over.
#[derive(Serialize)]
pub(crate) struct Pruned {
    /// How many were taken away.
    pub(crate) pruned: usize,
    /// How many are left.
    pub(crate) remaining: usize,
}

/// A host tool is gone.
#[derive(Serialize)]
pub(crate) struct Unregistered {
    pub(crate) unregistered: bool,
}

/// The daemon ends, as after SIGTERM.
#[derive(Serialize)]
pub(crate) struct Stopping {
    /// In which phase it was told.
    pub(crate) phase: Phase,
}

/// Forgives one worker or device, or all.
///
/// # Errors
/// `not_found` if the one is not tainted.
pub(crate) async fn clear_taints(house: &House, caller: &Caller, id: Option<&str>) -> Result<Cleared> {
    let work = async {
        let cleared = house.filled()?.taints(|taints| match id {
            Some(id) => forgive(taints, id, Instant::now()),
            None => forgive_all(taints, Instant::now()),
        });
        match (id, cleared) {
            (Some(id), 0) => Err(Error::new(ErrorKind::NotFound, format!("nothing is tainted that is called {id}"))),
            _ => Ok(Cleared { cleared }),
        }
    };
    let name = if id.is_some() { "clear_taint" } else { "clear_taints" };
    caller.order(name, id.unwrap_or("all"), work).await
}

fn forgive(taints: &mut hatchery::fault::Taints, id: &str, now: Instant) -> usize {
    let device = Device::parse(id).is_some_and(|device| taints.clear_device(device, now));
    usize::from(taints.clear_worker(id, now)) + usize::from(device)
}

fn forgive_all(taints: &mut hatchery::fault::Taints, now: Instant) -> usize {
    let count = taints.workers(now).count() + taints.devices(now).count();
    taints.clear();
    count
}

/// Ends exactly the orphans of the instance, of all runs or of those whose id begins so.
pub(crate) async fn kill_orphans(house: &House, caller: &Caller, run: Option<String>) -> Result<SweepReport> {
    let work = async {
        let options = house.filled()?.sweep_options();
        system::swept(SweepOptions { kill: true, run, ..options }).await
    };
    caller.order("kill_orphans", "orphans", work).await
}

/// Takes the sessions away whose time is over. It happens by itself, too, a little later.
pub(crate) async fn prune_sessions(house: &House, caller: &Caller) -> Result<Pruned> {
    let work = async {
        let sessions = house.filled()?.sessions().clone();
        let pruned = sessions.cleanup_expired();
        Ok(Pruned { pruned, remaining: sessions.stats().current })
    };
    caller.order("prune_sessions", "sessions", work).await
}

/// Takes a host tool away, of a session or a global one. Calls of it that run go on.
///
/// # Errors
/// `not_found`.
pub(crate) async fn unregister_host_tool(
    house: &House,
    caller: &Caller,
    name: &str,
    session: Option<&str>,
) -> Result<Unregistered> {
    let work = async {
        host_tools::tools(house)?.unregister(session, name)?;
        Ok(Unregistered { unregistered: true })
    };
    caller.order("unregister_host_tool", name, work).await
}

/// Ends the daemon as SIGTERM does: calls that run may finish within their pool's graces. Does not wait.
pub(crate) async fn stop(house: &House, caller: &Caller) -> Result<Stopping> {
    let work = async {
        let phase = house.phase();
        house.stop();
        Ok(Stopping { phase })
    };
    caller.order("stop", "daemon", work).await
}
