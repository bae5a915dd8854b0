use clap_complete::Shell;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// Print the completion script for a shell
#[derive(clap::Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// From the definitions that the parser uses.
pub(crate) async fn completions(args: CompletionsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::definition(), "hatchery", &mut script);
    invocation.printer.bytes(script).await?;
    Ok(Exit::Success)
}
