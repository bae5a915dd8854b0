//! Tools of pools as host tools: how one is called, and what a newly read configuration changes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::{Builder, Hatchery, Reconfigured};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, near_match};
use crate::host::{HostCaller, HostTool, HostToolSource, PoolTool};
use crate::pool::{Pool, WeakPool};
use crate::tool::ToolSpec;
use crate::value::Payload;

/// The pools that host tools reach, once they are there. Keeps none of them.
#[derive(Clone, Default)]
pub(super) struct Reach(Arc<OnceLock<BTreeMap<String, WeakPool>>>);

impl Reach {
    pub(super) fn begin<'a>(&self, pools: impl Iterator<Item = &'a Pool>) {
        let weak = pools.map(|pool| (pool.name().to_owned(), pool.downgrade())).collect();
        let _begun_already = self.0.set(weak);
    }

    fn pool(&self, name: &str) -> Option<Pool> {
        self.0.get()?.get(name)?.upgrade()
    }

    /// Its calls go through the queue of its pool.
    pub(super) fn host_tool(&self, tool: &PoolTool) -> HostTool {
        let doc = tool.description.clone().unwrap_or_default();
        let spec = ToolSpec { doc, ..ToolSpec::new(&tool.name) };
        let (looks, calls, of_look, of_call) = (self.clone(), self.clone(), tool.clone(), tool.clone());
        HostTool::payload(spec, move |arguments, caller| {
            let (pool, tool) = (calls.pool(&of_call.pool), of_call.clone());
            async move { call(pool, &tool, arguments, &caller).await }
        })
        .like(move || {
            let tools = looks.pool(&of_look.pool)?.tools();
            tools.iter().find(|spec| spec.name == of_look.tool).cloned()
        })
        .exposed(tool.exposed)
        .source(HostToolSource::Pool { pool: tool.pool.clone(), tool: tool.tool.clone() })
    }
}

/// It has what its caller has left, and no more than it would have by itself.
async fn call(pool: Option<Pool>, tool: &PoolTool, arguments: Payload, caller: &HostCaller) -> Result<Payload> {
    let gone = || Error::new(ErrorKind::Unavailable, format!("pool {} is shut down", tool.pool));
    let pool = pool.ok_or_else(gone)?;
    let own = tool.timeout.or_else(|| pool.usual_timeout(&tool.tool, &arguments));
    let timeout = own.into_iter().chain(caller.time_left()).min();
    let options = caller.options().idempotent(tool.idempotent);
    let options = timeout.into_iter().fold(options, |options, timeout| options.timeout(timeout));
    pool.call_payload(&tool.tool, arguments, &options).await
}

impl Builder {
    /// A tool of a pool that the workers of other pools may call as `ctx.call(name, **arguments)`.
    #[must_use]
    pub fn pool_tool(self, name: &str, pool: &str, tool: &str) -> Builder {
        self.with_pool_tool(PoolTool::new(name, pool, tool))
    }

    /// The same with more to say of it.
    #[must_use]
    pub fn with_pool_tool(mut self, tool: PoolTool) -> Builder {
        self.pool_tools.push(tool);
        self
    }

    pub(super) fn check_pool_tools(&self) -> Result<()> {
        let names: Vec<&str> = self.pools.iter().map(|(name, _, _)| name.as_str()).collect();
        let stray = self.pool_tools.iter().find(|tool| !names.contains(&tool.pool.as_str()));
        stray.map_or(Ok(()), |PoolTool { name, pool, .. }| {
            let near = near_match(pool, names.iter().copied());
            Err(Error::new(ErrorKind::Validation, format!("host tool {name}: no such pool: {pool}{near}")))
        })
    }
}

/// What becomes of the host tools of a configuration.
pub(super) struct Exchange {
    out: Vec<String>,
    into: Vec<PoolTool>,
    /// What holds afterwards.
    pub(super) held: Vec<PoolTool>,
}

impl Hatchery {
    /// Those that are the same are left alone, whatever became of them meanwhile.
    pub(super) fn compare_host_tools(&self, before: &Config, after: &Config, report: &mut Reconfigured) -> Exchange {
        let mut exchange = Exchange { out: Vec::new(), into: Vec::new(), held: Vec::new() };
        for tool in &after.host_tools {
            let key = format!("host_tools.{}", tool.name);
            let old = before.host_tools.iter().find(|old| old.name == tool.name);
            if old == Some(tool) {
                report.unchanged += 1;
                exchange.held.push(tool.clone());
            } else if !self.pools.contains_key(&tool.pool) {
                report.needs_restart(key, "its pool is added at the start only");
                exchange.held.extend(old.cloned());
            } else {
                report.applied.push(key);
                exchange.out.extend(old.map(|old| old.name.clone()));
                exchange.into.push(tool.clone());
                exchange.held.push(tool.clone());
            }
        }
        let is_kept = |old: &&PoolTool| after.host_tools.iter().any(|tool| tool.name == old.name);
        for old in before.host_tools.iter().filter(|old| !is_kept(old)) {
            report.applied.push(format!("host_tools.{}", old.name));
            exchange.out.push(old.name.clone());
        }
        exchange
    }

    /// All of it or nothing.
    pub(super) fn exchange_host_tools(&self, exchange: &Exchange) -> Result<()> {
        let into = exchange.into.iter().map(|tool| self.reach.host_tool(tool)).collect();
        self.host_tools.exchange(&exchange.out, into)
    }
}
