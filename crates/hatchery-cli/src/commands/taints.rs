use clap::Subcommand;
use serde::Deserialize;

use crate::ages::age;
use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::remote::{DaemonOptions, START_ONE};

/// List the workers and devices of the running daemon that get no calls for a while after a crash, or forgive them
#[derive(clap::Args, Debug)]
pub(crate) struct TaintsArgs {
    #[command(subcommand)]
    command: Option<TaintsCommand>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

#[derive(Debug, Subcommand)]
enum TaintsCommand {
    /// Forgive one, or all
    Reset {
        /// The worker, like default-3, or the device, like cuda:0 [default: all]
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
}

/// What of the daemon's answer people read.
#[derive(Deserialize)]
struct Taint {
    id: String,
    of: String,
    class: String,
    age_seconds: f64,
    remaining_seconds: f64,
}

#[derive(Deserialize)]
struct Cleared {
    cleared: usize,
}

/// Asks, or orders.
pub(crate) async fn taints(args: TaintsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    match &args.command {
        None => invocation.show(daemon.get(&["taints"]), |taints: Vec<Taint>, paint| sheet(&taints, paint)).await,
        Some(TaintsCommand::Reset { id: None }) => {
            invocation.show(daemon.delete(&["taints"]), |done: Cleared, _| forgiven(done.cleared)).await
        }
        Some(TaintsCommand::Reset { id: Some(id) }) => {
            invocation.show(daemon.delete(&["taints", id]), |_: Cleared, _| format!("{id} is forgiven")).await
        }
    }
}

fn forgiven(count: usize) -> String {
    match count {
        0 => "nothing was tainted".to_owned(),
        1 => "1 taint is forgiven".to_owned(),
        count => format!("{count} taints are forgiven"),
    }
}

fn sheet(taints: &[Taint], paint: Paint) -> String {
    if taints.is_empty() {
        return "nothing is tainted".to_owned();
    }
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [text("id"), text("of"), text("crash"), number("since"), number("left")];
    let row = |taint: &Taint| {
        let (since, left) = (age(taint.age_seconds), age(taint.remaining_seconds));
        [taint.id.clone(), taint.of.clone(), taint.class.clone(), since, left]
    };
    table(columns, &taints.iter().map(row).collect::<Vec<_>>(), paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_no_calls_and_for_how_long() {
        let answer = r#"[
            {"id":"default-1","of":"worker","generation":3,"class":"segfault","age_seconds":1.0,"remaining_seconds":59.0},
            {"id":"cuda:0","of":"device","class":"gpu","age_seconds":1.0,"remaining_seconds":8.0}]"#;
        let expected = "\
id         of      crash     since  left
default-1  worker  segfault    1 s  59 s
cuda:0     device  gpu         1 s   8 s";
        assert_eq!(sheet(&serde_json::from_str::<Vec<Taint>>(answer).unwrap(), Paint::PLAIN), expected);
        assert_eq!(sheet(&[], Paint::PLAIN), "nothing is tainted");
    }
}
