use hatchery::{EntryState, ProcessEntry, Wanted};

use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// List the processes that runs have written down, with run, worker, pid, identity and state. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct RegistryArgs {
    /// Also of runs whose supervisor is dead, and processes that are gone
    #[arg(long)]
    all_runs: bool,
    /// Only the processes of this worker, of all runs
    #[arg(long, value_name = "WORKER", group = "key")]
    worker: Option<String>,
    /// Only the process with this id, of all runs
    #[arg(long, value_name = "PID", group = "key")]
    pid: Option<u32>,
    /// Only the process with this fingerprint (RUN:NUMBER), of all runs
    #[arg(long, value_name = "RUN:NUMBER", group = "key")]
    fingerprint: Option<String>,
    /// Only runs whose id begins so, the dead ones too
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

impl RegistryArgs {
    fn wanted(&self) -> Wanted {
        match self {
            RegistryArgs { worker: Some(worker), .. } => Wanted::Worker(worker.clone()),
            RegistryArgs { pid: Some(pid), .. } => Wanted::Pid(*pid),
            RegistryArgs { fingerprint: Some(fingerprint), .. } => Wanted::Fingerprint(fingerprint.clone()),
            _ => Wanted::All,
        }
    }

    /// Who asks for one in particular wants to see it, whatever became of it.
    fn shows(&self, entry: &ProcessEntry) -> bool {
        let is_asked_for = self.all_runs || self.run.is_some() || self.wanted() != Wanted::All;
        let is_of_run = self.run.iter().all(|prefix| entry.run.to_string().starts_with(prefix.as_str()));
        is_of_run && (is_asked_for || (entry.state != EntryState::Gone && entry.owner_is_alive()))
    }
}

/// Reads what is on disk.
pub(crate) async fn registry(args: RegistryArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, _) = configuration::records(&invocation.global)?;
    let found = hatchery::registry_lookup(&data_dir, &args.wanted())?;
    let entries: Vec<_> = found.into_iter().filter(|entry| args.shows(entry)).collect();
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&entries).await?;
    } else if !entries.is_empty() {
        printer.text(&sheet(&entries, printer.result_paint())).await?;
    } else if !invocation.global.quiet {
        printer.message(&format!("no such process is written down in {}", data_dir.display())).await;
    }
    Ok(Exit::Success)
}

fn sheet(entries: &[ProcessEntry], paint: Paint) -> String {
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [text("state"), number("pid"), text("run"), text("worker"), text("command")];
    let rows: Vec<[String; 5]> = entries.iter().map(row).collect();
    table(columns, &rows, paint)
}

fn row(entry: &ProcessEntry) -> [String; 5] {
    let pid = entry.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let command = entry.command.clone().unwrap_or_default();
    [entry.state.as_str().to_owned(), pid, entry.run.short(), entry.worker.clone(), command]
}
