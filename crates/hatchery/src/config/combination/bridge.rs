//! What goes together with `transport = "grpc"`, and what only with it.

use super::Seen;
use crate::config::bridge::{ShimMode, shim};
use crate::config::origin::ConfigProblem;
use crate::config::settings::{OF_A_SCRIPT, OF_THE_NATIVE_WIRE, is_bridged};
use crate::config::value::Value;

const WANTED: &str = "expected `script` and `adapter`, or `command`, with transport = \"grpc\"; found";

pub(super) fn script_or_command(pool: &Seen<'_>) -> Option<ConfigProblem> {
    if !is_bridged(pool.layer()) {
        return None;
    }
    let said = |key| pool.layer().get(key);
    match (said("app"), said("script"), said("command")) {
        (Some(app), _, _) => Some(pool.error("app", app, format!("{WANTED} `app`"))),
        (None, Some(_), Some(command)) => Some(pool.error("command", command, format!("{WANTED} both"))),
        (None, None, None) if said("adapter").is_none() => Some(pool.whole(format!("{WANTED} neither"))),
        _ => None,
    }
}

pub(super) fn script_and_adapter(pool: &Seen<'_>) -> Option<ConfigProblem> {
    if !is_bridged(pool.layer()) || pool.layer().get("command").is_some() {
        return None;
    }
    match (pool.layer().get("script"), pool.layer().get("adapter")) {
        (Some(script), None) => Some(pool.error("script", script, "expected beside `adapter`, found alone")),
        (None, Some(adapter)) => Some(pool.error("adapter", adapter, "expected beside `script`, found alone")),
        _ => None,
    }
}

pub(super) fn script_beside_native(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let (key, setting) = OF_A_SCRIPT.into_iter().find_map(|key| Some((key, pool.own(key)?)))?;
    let message = "expected only with transport = \"grpc\", found transport = \"native\"";
    (!is_bridged(pool.layer())).then(|| pool.error(key, setting, message))
}

pub(super) fn script_beside_command(pool: &Seen<'_>) -> Option<ConfigProblem> {
    if !is_bridged(pool.layer()) || pool.layer().get("script").is_some() {
        return None;
    }
    pool.layer().get("command")?;
    let (key, setting) = OF_A_SCRIPT.into_iter().find_map(|key| Some((key, pool.own(key)?)))?;
    Some(pool.error(key, setting, "expected only beside `script`, found beside `command`"))
}

/// A template forks workers of the native wire, and shared memory is spoken of on it. That there are none is no mistake.
pub(super) fn native_beside_bridge(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let wanted = |key| {
        let setting = pool.own(key)?;
        let is_none = matches!(&setting.value, Some(Value::Flag(false)));
        (!is_none).then_some((key, setting))
    };
    let (key, setting) = OF_THE_NATIVE_WIRE.into_iter().find_map(wanted)?;
    let message = "expected only with transport = \"native\", found transport = \"grpc\"";
    is_bridged(pool.layer()).then(|| pool.error(key, setting, message))
}

/// Said of all pools it is not left out: somebody relies on it.
pub(super) fn user_beside_bridge(pool: &Seen<'_>) -> Option<ConfigProblem> {
    let (key, setting) = ["user", "group"].into_iter().find_map(|key| Some((key, pool.layer().get(key)?)))?;
    let message = "expected only with transport = \"native\": another user cannot write into the supervisor's folder, \
                   where such a worker says on which port it listens";
    is_bridged(pool.layer()).then(|| pool.error(key, setting, message))
}

/// Told of whichever of the two was said.
pub(super) fn open_to_all(pool: &Seen<'_>) -> Option<ConfigProblem> {
    pool.layer().get("script")?;
    let is_open = !shim(pool.layer())?.contains(&ShimMode::Loopback);
    let is_meant = pool.layer().flag("unsafe_bind") == Some(true);
    let message = "without \"loopback\" its workers listen on all addresses, and ask nobody for a password; expected it \
                   in the list, or unsafe_bind = true besides";
    (is_bridged(pool.layer()) && is_open && !is_meant)
        .then(|| Some(pool.error("shim", pool.layer().get("shim")?, message)))?
}
