//! What is said above the pools, as the rooms are told it.

use std::path::PathBuf;

use super::layer::{Layer, Setting};
use super::value::Value;
use super::{AgentsConfig, InstanceConfig, SessionsConfig};
use crate::host::PoolTool;

pub(super) fn instance(said: &Layer) -> InstanceConfig {
    InstanceConfig {
        name: said.text("instance.name").map_or(InstanceConfig::default().name, str::to_owned),
        token: said.text("instance.token").map(str::to_owned),
        data_dir: path(said, "instance.data_dir"),
    }
}

pub(super) fn sessions(said: &Layer) -> SessionsConfig {
    SessionsConfig {
        ttl: said.duration("sessions.ttl"),
        max: said.count("sessions.max"),
        cleanup: said.duration("sessions.cleanup"),
        warning: said.number("sessions.warning"),
        strict: said.flag("sessions.strict"),
    }
}

pub(super) fn agents(said: &Layer) -> AgentsConfig {
    let table = |setting: &Setting| match &setting.value {
        Some(Value::Table(table)) => Some(table.clone()),
        _ => None,
    };
    let adapters = said.below("agents.adapters").filter_map(|(name, setting)| Some((name.to_owned(), table(setting)?)));
    AgentsConfig { max_concurrent: said.count("agents.max_concurrent"), adapters: adapters.collect() }
}

/// `None` if it lacks what it needs, which is among the problems.
pub(super) fn host_tool(said: &Layer) -> Option<PoolTool> {
    let mut tool = PoolTool::new(said.text("name")?, said.text("pool")?, said.text("tool")?);
    tool.description = said.text("description").map(str::to_owned);
    tool.exposed = said.flag("exposed").unwrap_or(tool.exposed);
    tool.idempotent = said.flag("idempotent").unwrap_or(tool.idempotent);
    tool.timeout = said.duration("timeout");
    Some(tool)
}

pub(super) fn path(said: &Layer, key: &str) -> Option<PathBuf> {
    match said.value(key)? {
        Value::Path(path) => Some(path.clone()),
        _ => None,
    }
}
