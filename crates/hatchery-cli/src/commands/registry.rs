use hatchery::{EntryState, ProcessEntry};

use crate::colour::Paint;
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// List the processes that runs have written down, with run, worker, pid, identity and state. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct RegistryArgs {
    /// Also of runs whose supervisor is dead, and processes that are gone
    #[arg(long)]
    all_runs: bool,
}

/// Reads what is on disk.
pub(crate) async fn registry(args: RegistryArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, _) = configuration::data(&invocation.global)?;
    let is_wanted = |entry: &ProcessEntry| args.all_runs || (entry.state != EntryState::Gone && entry.owner_is_alive());
    let entries: Vec<_> = hatchery::registry_entries(&data_dir)?.into_iter().filter(is_wanted).collect();
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&entries).await?;
    } else if !entries.is_empty() {
        let paint = printer.result_paint();
        printer.text(&entries.iter().map(|entry| row(entry, paint)).collect::<Vec<_>>().join("\n")).await?;
    }
    Ok(Exit::Success)
}

fn row(entry: &ProcessEntry, paint: Paint) -> String {
    let state = format!("{:11}", entry.state.as_str());
    let state = match entry.state {
        EntryState::Active => paint.green(&state),
        EntryState::Gone => paint.dim(&state),
        _ => paint.yellow(&state),
    };
    let pid = entry.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let (run, command) = (entry.run.short(), entry.command.as_deref().unwrap_or_default());
    format!("{state}  {pid:>7}  {run:7}  {:12}  {command}", entry.worker).trim_end().to_owned()
}
