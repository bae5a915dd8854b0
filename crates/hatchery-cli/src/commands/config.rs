use clap::Subcommand;
use hatchery::{ConfigProblem, Settings};
use serde_json::json;

use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::printer::error_line;

/// Show the configuration that holds and where it comes from, or check it without starting anything
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with what holds, as a file that says the same; secrets are left out
    Show {
        /// Behind each where it comes from: default, timeout profile, FILE:LINE, a variable or a flag
        #[arg(long)]
        origin: bool,
    },
    /// Find everything that is wrong. The exit status is 2 if there is an error
    Check,
    /// Print the page that names every key, as Markdown
    Reference,
}

/// Reads the file and the variables, and starts nothing.
pub(crate) async fn config(args: ConfigArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    match args.command {
        ConfigCommand::Show { origin } => show(origin, invocation).await,
        ConfigCommand::Check => check(invocation).await,
        ConfigCommand::Reference => {
            invocation.printer.bytes(hatchery::config_reference().into_bytes()).await?;
            Ok(Exit::Success)
        }
    }
}

async fn show(origin: bool, invocation: &Invocation) -> Result<Exit, Failure> {
    let settings = settings(invocation)?.with_surroundings(invocation.global.data_dir.as_deref());
    if let Some(exit) = refusal(&settings, invocation).await? {
        return Ok(exit);
    }
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&settings.to_json()).await?;
    } else {
        printer.bytes(settings.to_toml(origin).into_bytes()).await?;
    }
    Ok(Exit::Success)
}

async fn check(invocation: &Invocation) -> Result<Exit, Failure> {
    let settings = settings(invocation)?;
    if let Some(exit) = refusal(&settings, invocation).await? {
        return Ok(exit);
    }
    let printer = &invocation.printer;
    let warnings = settings.problems();
    if printer.json() {
        let warnings: Vec<_> = warnings.iter().map(ConfigProblem::to_json).collect();
        printer.document(&json!({ "pools": settings.pools(), "problems": warnings })).await?;
    } else {
        tell(warnings, invocation).await;
        printer.text(&verdict(&settings, invocation)).await?;
    }
    Ok(Exit::Success)
}

fn settings(invocation: &Invocation) -> hatchery::Result<Settings> {
    Settings::load(configuration::file(invocation.global.config.as_deref()))
}

/// Tells everything that is wrong, if there is an error among it: each on a line of its own, as editors read it.
async fn refusal(settings: &Settings, invocation: &Invocation) -> Result<Option<Exit>, Failure> {
    let Err(first) = settings.config() else { return Ok(None) };
    if invocation.printer.json() {
        invocation.printer.line(&error_line(&first)).await?;
    } else {
        tell(settings.problems(), invocation).await;
    }
    Ok(Some(Exit::Failed(first.kind())))
}

async fn tell(problems: &[ConfigProblem], invocation: &Invocation) {
    let wanted = problems.iter().filter(|problem| !problem.is_warning || !invocation.global.quiet);
    for problem in wanted {
        invocation.printer.message(&problem.to_string()).await;
    }
}

fn verdict(settings: &Settings, invocation: &Invocation) -> String {
    let file = configuration::file(invocation.global.config.as_deref());
    let name = file.map_or("no file, variables only".to_owned(), |file| file.display().to_string());
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (pools, warnings) = (count(settings.pools(), "pool"), count(settings.problems().len(), "warning"));
    format!("ok: {name}: {pools}, {warnings}")
}
