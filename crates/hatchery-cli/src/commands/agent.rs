mod follow;
mod list;
mod said;
mod show;
mod spec;
mod start;

use clap::Subcommand;

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

pub(crate) use start::SIGNALS;

/// Start a coding agent, or any program that speaks lines, and see to it that it ends with everything it has started; look at those
/// that run, and at those that are over
#[derive(clap::Args, Debug)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    Start(Box<start::StartArgs>),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Output(said::OutputArgs),
    Events(said::EventsArgs),
}

impl AgentArgs {
    /// Whether it is about an agent that runs for as long as the command.
    pub(crate) fn stays_with_it(&self) -> bool {
        matches!(self.command, AgentCommand::Start(_))
    }
}

/// One of them.
pub(crate) async fn agent(args: AgentArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    match args.command {
        AgentCommand::Start(args) => start::start(*args, invocation).await,
        AgentCommand::List(args) => list::list(args, invocation).await,
        AgentCommand::Show(args) => show::show(args, invocation).await,
        AgentCommand::Output(args) => said::output(args, invocation).await,
        AgentCommand::Events(args) => said::events(args, invocation).await,
    }
}
