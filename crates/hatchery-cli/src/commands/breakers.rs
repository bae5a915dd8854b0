use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};

/// List the circuit breakers of the running daemon, by pool and tool, or close them
#[derive(clap::Args, Debug)]
pub(crate) struct BreakersArgs {
    #[command(subcommand)]
    command: Option<BreakersCommand>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

#[derive(Debug, Subcommand)]
enum BreakersCommand {
    /// Close those of a pool, so that calls pass again
    Reset {
        /// The pool
        #[arg(value_name = "POOL")]
        pool: String,
        /// The tool [default: all of the pool]
        #[arg(value_name = "TOOL")]
        tool: Option<String>,
    },
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct PoolBreakers {
    pool: String,
    all: Breaker,
    tools: BTreeMap<String, Breaker>,
}

#[derive(Deserialize)]
struct Breaker {
    state: String,
    failure_count: u32,
    failure_threshold: u32,
    success_count: u64,
    rejected_count: u64,
}

/// Asks, or orders.
pub(crate) async fn breakers(args: BreakersArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let Some(BreakersCommand::Reset { pool, tool }) = &args.command else {
        return invocation.show(daemon.get(&["breakers"]), |all: Vec<PoolBreakers>, paint| sheet(&all, paint)).await;
    };
    let body = tool.as_ref().map_or(json!({}), |tool| json!({ "tool": tool }));
    let ordered = daemon.order(&["pools", pool, "breakers", "reset"], body);
    invocation.show(ordered, |done: PoolBreakers, _| closed(&done.pool, tool.as_deref())).await
}

fn closed(pool: &str, tool: Option<&str>) -> String {
    match tool {
        Some(tool) => format!("the breaker of {tool} in pool {pool} is closed: calls pass again"),
        None => format!("all breakers of pool {pool} are closed: calls pass again"),
    }
}

fn sheet(pools: &[PoolBreakers], paint: Paint) -> String {
    if pools.is_empty() {
        return "no pool has circuit breakers; `breaker = { failures = 5, reset = \"30s\" }` in hatchery.toml gives it some".to_owned();
    }
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [
        text("pool"),
        text("tool"),
        text("state"),
        number("failures"),
        number("opens at"),
        number("successes"),
        number("refused"),
    ];
    table(columns, &pools.iter().flat_map(rows).collect::<Vec<_>>(), paint)
}

/// That of the pool as a whole, then those of its tools.
fn rows(pool: &PoolBreakers) -> Vec<[String; 7]> {
    let whole = std::iter::once(("(all)", &pool.all));
    let tools = pool.tools.iter().map(|(tool, breaker)| (tool.as_str(), breaker));
    whole.chain(tools).map(|(tool, breaker)| row(&pool.pool, tool, breaker)).collect()
}

fn row(pool: &str, tool: &str, breaker: &Breaker) -> [String; 7] {
    [
        pool.to_owned(),
        tool.to_owned(),
        breaker.state.replace('_', " "),
        breaker.failure_count.to_string(),
        breaker.failure_threshold.to_string(),
        breaker.success_count.to_string(),
        breaker.rejected_count.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_one_and_each_of_its_tools() {
        let breaker = |state: &str, failures: u32| {
            format!(
                r#"{{"state":"{state}","failure_count":{failures},"success_count":7,"rejected_count":2,"failure_threshold":5,"half_open_calls":0}}"#
            )
        };
        let answer = format!(
            r#"[{{"pool":"gpu","all":{},"tools":{{"embed":{}}}}}]"#,
            breaker("closed", 1),
            breaker("half_open", 5)
        );
        let expected = "\
pool  tool   state      failures  opens at  successes  refused
gpu   (all)  closed            1         5          7        2
gpu   embed  half open         5         5          7        2";
        assert_eq!(sheet(&serde_json::from_str::<Vec<PoolBreakers>>(&answer).unwrap(), Paint::PLAIN), expected);
        assert!(sheet(&[], Paint::PLAIN).starts_with("no pool has circuit breakers"));
    }
}
