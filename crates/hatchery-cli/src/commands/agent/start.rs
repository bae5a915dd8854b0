use std::convert::Infallible;
use std::path::Path;

use hatchery::Hatchery;
use hatchery::agent::{AgentRun, AgentSpec, Leftover, Outcome};
use tokio::signal::unix::SignalKind;

use super::follow;
use super::spec::{SpecArgs, turn};
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::input_lines::Input;
use crate::invocation::{Invocation, PARTING};
use crate::logs::{Calls, Logs};

/// The third signal ends the run at once; the one after that does not even wait for its end.
pub(crate) const SIGNALS: u32 = 3;

/// Start an agent and stay with it: its output is ours, and it ends, with everything that it has started, when this command does.
/// The first Ctrl-C interrupts its turn, the second stops it, the third kills it
#[derive(clap::Args, Debug)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

/// This command is the supervisor.
pub(super) async fn start(args: StartArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (takes_turns, reports) = (args.spec.takes_turns(), args.spec.reports_leftovers());
    let builder = configuration::agents(&invocation.global)?;
    let spec = invocation.unless_interrupted(args.spec.spec()).await?;
    let logs = Logs::start(&invocation.global, Calls::Many, &invocation.printer)?;
    let ended = match invocation.unless_interrupted(builder.start()).await {
        Ok(hatchery) => supervised(hatchery, spec, takes_turns, invocation).await,
        Err(failure) => Err(failure),
    };
    // A stderr that nobody reads does not hold up the end.
    let _last_lines = tokio::time::timeout(PARTING, logs.finish()).await;
    let (outcome, signal) = ended?;
    Ok(Exit::Agent { outcome: outcome.kind, signal, leaves: reports && !outcome.leftovers.is_empty() })
}

/// What it came to, and the signal that made us end it.
type Ended = (Outcome, Option<i32>);

/// Nothing of it outlives this, but what may.
async fn supervised(
    hatchery: Hatchery,
    spec: AgentSpec,
    takes_turns: bool,
    invocation: &Invocation,
) -> Result<Ended, Failure> {
    let ended = match invocation.unless_interrupted(hatchery.agents().start(spec)).await {
        Ok(run) => attended(&run, takes_turns, invocation).await,
        Err(failure) => Err(failure),
    };
    hatchery.shutdown().await?;
    ended
}

async fn attended(run: &AgentRun, takes_turns: bool, invocation: &Invocation) -> Result<Ended, Failure> {
    let shown = invocation.while_read(shown(run, invocation));
    let turns = async {
        match takes_turns {
            true => converse(run, invocation).await,
            false => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = shown => outcome?,
        outcome = given_up(run, invocation) => outcome,
        never = turns => match never? {},
    };
    let signal = tokio::select! {
        biased;
        number = invocation.told_to_end_so_often(1) => Some(number),
        () = std::future::ready(()) => None,
    };
    Ok((outcome, signal))
}

/// All that it says, and what it came to.
async fn shown(run: &AgentRun, invocation: &Invocation) -> Result<Outcome, Failure> {
    follow::follow(&mut run.events(0), &invocation.printer).await?;
    let outcome = run.wait().await;
    if invocation.printer.json() {
        invocation.printer.document(&serde_json::json!({ "outcome": outcome })).await?;
    }
    tell_leftovers(&outcome.leftovers, invocation).await;
    Ok(outcome)
}

async fn tell_leftovers(left: &[Leftover], invocation: &Invocation) {
    for Leftover { pid, command } in left {
        note(&format!("it has left a process: {pid} {command}"), invocation).await;
    }
}

/// Turns, a line each, to the end of stdin, which is that of the conversation.
async fn converse(run: &AgentRun, invocation: &Invocation) -> Result<Infallible, Failure> {
    let mut lines = Input::open(Path::new("-"))?;
    while let Some(line) = lines.next().await? {
        let text = match line.text {
            Ok(bytes) => turn(bytes)?,
            Err(too_long) => {
                note(&format!("line {}: {too_long}; it was not sent", line.in_file), invocation).await;
                continue;
            }
        };
        if let Err(error) = run.send(text.trim_end_matches(['\r', '\n'])).await {
            note(&format!("line {}: {error}", line.in_file), invocation).await;
        }
    }
    let _over_already = run.end_input().await;
    std::future::pending().await
}

/// What the signals make of it, if nobody takes its output any more. A terminal's first Ctrl-C is about its turn; who asks the command to
/// end otherwise, means all of it.
async fn given_up(run: &AgentRun, invocation: &Invocation) -> Outcome {
    let first = invocation.told_to_end_so_often(1).await;
    if first == SignalKind::interrupt().as_raw_value() {
        note("its turn is interrupted; once more stops it", invocation).await;
        let _over_already = run.interrupt().await;
        invocation.told_to_end_so_often(2).await;
    }
    note("it is stopped; once more kills it", invocation).await;
    tokio::select! {
        _stopped = run.stop(None) => {}
        _number = invocation.told_to_end_so_often(SIGNALS) => {
            note("it is killed", invocation).await;
            run.kill().await;
        }
    }
    let outcome = run.wait().await;
    tokio::time::sleep(PARTING).await;
    outcome
}

async fn note(text: &str, invocation: &Invocation) {
    if !invocation.global.quiet {
        invocation.printer.message(&invocation.printer.message_paint().dim(text)).await;
    }
}
