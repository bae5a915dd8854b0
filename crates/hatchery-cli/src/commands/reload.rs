use serde::Deserialize;
use serde_json::json;

use crate::colour::Paint;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};

/// Have the running daemon read its configuration again, as SIGHUP does; or replace all workers of one pool, and so load its app anew
#[derive(clap::Args, Debug)]
pub(crate) struct ReloadArgs {
    /// The pool whose workers are replaced [default: none; the configuration is read]
    #[arg(value_name = "POOL")]
    pool: Option<String>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

/// What of the daemon's answer people read, for a pool.
#[derive(Deserialize)]
struct Reloading {
    pool: String,
    workers: usize,
}

/// And for the configuration.
#[derive(Deserialize)]
struct Reloaded {
    applied: Vec<String>,
    unchanged: usize,
    needs_restart: Vec<NeedsRestart>,
}

#[derive(Deserialize)]
struct NeedsRestart {
    key: String,
    reason: String,
}

/// Orders it. Nothing of a wrong configuration is taken.
pub(crate) async fn reload(args: ReloadArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    match &args.pool {
        None => {
            invocation
                .show(daemon.order_patiently(&["reload"], json!({})), |done: Reloaded, paint| sheet(&done, paint))
                .await
        }
        Some(pool) => {
            let ordered = daemon.order(&["pools", pool, "reload"], json!({}));
            invocation.show(ordered, |done: Reloading, _| line(&done)).await
        }
    }
}

fn line(Reloading { pool, workers }: &Reloading) -> String {
    format!("pool {pool} replaces its {workers} workers, each when its successor is ready")
}

fn sheet(done: &Reloaded, paint: Paint) -> String {
    let summary = match (done.applied.len(), done.unchanged) {
        (0, unchanged) => format!("nothing is new; {unchanged} keys are as they were"),
        (applied, unchanged) => format!("{applied} keys hold from now on; {unchanged} are as they were"),
    };
    let applied = done.applied.iter().map(|key| format!("{} {key}", paint.green("applied:")));
    let rest =
        done.needs_restart.iter().map(|it| format!("{} {}: {}", paint.yellow("needs a restart:"), it.key, it.reason));
    std::iter::once(summary).chain(applied).chain(rest).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: &str) -> String {
        sheet(&serde_json::from_str(answer).unwrap(), Paint::PLAIN)
    }

    #[test]
    fn what_holds_and_what_does_not_is_told_key_by_key() {
        let answer = r#"{"applied":["pools.default.workers"],"unchanged":41,
            "needs_restart":[{"key":"server.listen","reason":"the daemon listens already"}]}"#;
        let expected = "\
1 keys hold from now on; 41 are as they were
applied: pools.default.workers
needs a restart: server.listen: the daemon listens already";
        assert_eq!(shown(answer), expected);
        assert_eq!(
            shown(r#"{"applied":[],"unchanged":42,"needs_restart":[]}"#),
            "nothing is new; 42 keys are as they were"
        );
    }
}
