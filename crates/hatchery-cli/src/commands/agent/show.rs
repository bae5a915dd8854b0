use std::collections::BTreeMap;

use hatchery::agent::{AgentInfo, Leftover, Outcome, Phase, Usage, agent_run};

use super::list::state;
use crate::colour::Paint;
use crate::columns::{known, pairs};
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// Tell all that is known of an agent run, also of one that is over. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct ShowArgs {
    /// Its id, the beginning of that, or the name of its conversation
    #[arg(value_name = "RUN|SESSION")]
    run: String,
}

/// Reads what is on disk.
pub(super) async fn show(args: ShowArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, _) = configuration::records(&invocation.global)?;
    let run = agent_run(&data_dir, &args.run)?;
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&run.to_json()).await?;
    } else {
        printer.text(&sheet(&run, printer.result_paint())).await?;
    }
    Ok(Exit::Success)
}

fn sheet(run: &AgentInfo, paint: Paint) -> String {
    let sessions: Vec<&str> = run.sessions.iter().map(|session| session.as_str()).collect();
    let mut said = vec![
        ("run", run.run.to_string()),
        ("state", reasoned(&state(&run.state.phase), &run.state.reason)),
        ("session", known((!sessions.is_empty()).then(|| sessions.join(", before ")))),
        ("resumable", known(run.resumable.map(|yes| if yes { "yes" } else { "no" }.to_owned()))),
        ("adapter", run.adapter.clone()),
        ("command", run.command.join(" ")),
        ("folder", run.cwd.display().to_string()),
        ("pid", known(run.pid.map(|pid| pid.to_string()))),
        ("task", known(run.task.clone())),
        ("model", known(run.model.clone())),
        ("labels", known((!run.labels.is_empty()).then(|| joined(&run.labels)))),
        ("turns", run.turns.to_string()),
        ("usage", usage(&run.usage)),
        ("output", format!("{} events, {} bytes", run.events, run.bytes)),
    ];
    if let Phase::Exited { outcome } = &run.state.phase {
        said.extend(ending(outcome));
    }
    said.extend(run.notes.iter().map(|note| ("note", note.clone())));
    pairs(&said, paint)
}

fn ending(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let left = |Leftover { pid, command }: &Leftover| ("left", format!("{pid} {command}"));
    let took = format!("{:.1} s", outcome.took_ms as f64 / 1000.0);
    let members = format!("{} ended with it, {} left", outcome.members_ended, outcome.leftovers.len());
    let facts = [("took", took), ("exit", format!("{:?}", outcome.exit)), ("members", members)];
    facts.into_iter().chain(outcome.leftovers.iter().map(left)).collect()
}

fn reasoned(state: &str, reason: &str) -> String {
    if reason.is_empty() { state.to_owned() } else { format!("{state}: {reason}") }
}

fn joined(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn usage(usage: &Usage) -> String {
    let said = [
        usage.input_tokens.map(|tokens| format!("{tokens} tokens read")),
        usage.output_tokens.map(|tokens| format!("{tokens} written")),
        usage.cost.map(|cost| format!("{cost:.2} USD")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    known((!said.is_empty()).then(|| said.join(", ")))
}
