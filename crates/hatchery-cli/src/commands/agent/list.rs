use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use hatchery::agent::{AgentFilter, AgentInfo, Phase, agent_runs};

use super::spec::pair;
use crate::ages::age;
use crate::colour::Paint;
use crate::columns::{Column, Holds, known, table};
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// List agent runs, the latest first: those that are not over, of whatever supervisor. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Those that are over as well
    #[arg(long, short)]
    all: bool,
    /// Only those in this state: spawning, starting, busy, waiting_input, idle, draining, stopping or exited
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those with this label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Only those of the conversation that is, or was, called so
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only those that work in this folder, or below it
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// No more than so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl ListArgs {
    fn filter(self) -> AgentFilter {
        let mut filter = AgentFilter::default();
        (filter.state, filter.with_ended) = (self.state, self.all);
        (filter.labels, filter.session) = (self.labels.into_iter().collect(), self.session);
        filter.cwd = self.cwd.map(|folder| std::path::absolute(&folder).unwrap_or(folder));
        filter.most = self.limit;
        filter
    }
}

/// Reads what is on disk.
pub(super) async fn list(args: ListArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, _) = configuration::records(&invocation.global)?;
    let runs = agent_runs(&data_dir, &args.filter())?;
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&runs.iter().map(AgentInfo::to_json).collect::<Vec<_>>()).await?;
    } else if !runs.is_empty() {
        printer.text(&sheet(&runs, SystemTime::now(), printer.result_paint())).await?;
    } else if !invocation.global.quiet {
        printer.message(&format!("no such agent run is written down in {}", data_dir.display())).await;
    }
    Ok(Exit::Success)
}

fn sheet(runs: &[AgentInfo], now: SystemTime, paint: Paint) -> String {
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [
        text("run"),
        text("state"),
        text("adapter"),
        number("pid"),
        number("turns"),
        number("cost"),
        number("age"),
        text("task"),
    ];
    let rows: Vec<[String; 8]> = runs.iter().map(|run| row(run, now)).collect();
    table(columns, &rows, paint)
}

fn row(run: &AgentInfo, now: SystemTime) -> [String; 8] {
    let task = run.task.clone().unwrap_or_else(|| run.command.join(" "));
    [
        run.run.to_string(),
        state(&run.state.phase),
        run.adapter.clone(),
        known(run.pid.map(|pid| pid.to_string())),
        run.turns.to_string(),
        known(run.usage.cost.map(|cost| format!("{cost:.2}"))),
        age(seconds(now) - seconds(run.started_at)),
        task.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect(),
    ]
}

/// What it is doing; of one that is over, what it came to.
pub(super) fn state(phase: &Phase) -> String {
    match phase {
        Phase::Exited { outcome } => outcome.kind.name().to_owned(),
        phase => phase.name().to_owned(),
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
