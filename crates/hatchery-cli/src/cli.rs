//! The command line as clap reads it. The arguments of a command stand beside the command, in `commands/`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use hatchery::ErrorKind;

use crate::colour::ColorChoice;
use crate::commands::{
    agent, bench, breakers, call, compat, completions, config, doctor, drain, events, host_tools, import, man, map,
    new, orphans, recycle, registry, reload, restart, resume, scale, serve, sessions, stats, status, stop, stream,
    taints, test, token, tools, workers,
};
use crate::exit::Exit;
use crate::logs::{Filter, LogFormat};

/// Run functions that live in other processes, through pools of supervised workers that never become orphans.
#[derive(Debug, Parser)]
#[command(name = "hatchery", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Configuration file [default: ./hatchery.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where hatchery keeps its records
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What is logged on stderr: a level (none, error, warning, info, debug, trace), then levels by category: pool, worker (and
    /// of it output, which is what workers write), call, session, registry, guardian, fault, service, agent, daemon, audit, or hatchery,
    /// which is all but output
    #[arg(long, global = true, value_name = "LEVEL[,CATEGORY=LEVEL]", default_value = "info")]
    pub(crate) log: Filter,
    /// How it is logged
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Machine output on stdout: one JSON document, or one per line. Errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
    /// No logs and no progress on stderr, errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// The commands, in the order in which the help shows them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Call(call::CallArgs),
    Stream(stream::StreamArgs),
    Map(map::MapArgs),
    Tools(tools::ToolsArgs),
    Serve(serve::ServeArgs),
    Status(status::StatusArgs),
    Workers(workers::WorkersArgs),
    Sessions(sessions::SessionsArgs),
    HostTools(host_tools::HostToolsArgs),
    Events(events::EventsArgs),
    Stats(stats::StatsArgs),
    Recycle(recycle::RecycleArgs),
    Restart(restart::RestartArgs),
    Stop(stop::StopArgs),
    Drain(drain::DrainArgs),
    Resume(resume::ResumeArgs),
    Scale(scale::ScaleArgs),
    Reload(reload::ReloadArgs),
    Taints(taints::TaintsArgs),
    Breakers(breakers::BreakersArgs),
    New(new::NewArgs),
    Test(test::TestArgs),
    Orphans(orphans::OrphansArgs),
    Registry(registry::RegistryArgs),
    Agent(agent::AgentArgs),
    Token(token::TokenArgs),
    Doctor(doctor::DoctorArgs),
    Config(config::ConfigArgs),
    Compat(compat::CompatArgs),
    Import(import::ImportArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    /// Print the folder that makes `import hatchery` work, for PYTHONPATH
    PythonPath,
}

/// What the command line asks for, or clap's answer to it: an error, the help, the version.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Answer> {
    let words: Vec<OsString> = words.into_iter().collect();
    Cli::try_parse_from(&words).map_err(|text| Answer { text, json: asks_for_json(&words) })
}

/// The definition of the command line, for completions and man pages.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Clap's answer, and whether it is to be JSON if it is an error.
pub(crate) struct Answer {
    text: clap::Error,
    json: bool,
}

/// Prints the answer: help and version on stdout, errors on stderr, as JSON on stdout if that was asked for. A reader
/// that has gone away is no error.
pub(crate) fn answer(answer: &Answer) -> Exit {
    if !answer.text.use_stderr() {
        return printed(answer.text.print());
    }
    if answer.json {
        let text = answer.text.render().to_string();
        let error = hatchery::Error::new(ErrorKind::Validation, text.trim_start_matches("error: ").trim_end());
        let document = serde_json::json!({ "error": error.to_json() });
        let _nobody_reads = writeln!(std::io::stdout(), "{document}");
    } else {
        let _nobody_reads = answer.text.print();
    }
    Exit::Failed(ErrorKind::Validation)
}

fn printed(outcome: std::io::Result<()>) -> Exit {
    match outcome.and_then(|()| std::io::stdout().flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            let _nobody_reads = writeln!(std::io::stderr(), "error: write to stdout: {why}");
            Exit::Failed(ErrorKind::Internal)
        }
        _ => Exit::Success,
    }
}

fn asks_for_json(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, Answer> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_definitions_are_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in ["hatchery --json --quiet call t", "hatchery call --json --quiet t", "hatchery call t --json -q"] {
            let cli = parsed(line).ok().unwrap();
            assert!(cli.global.json && cli.global.quiet, "{line}");
        }
    }

    #[test]
    fn flags_mix_with_arguments_and_a_lone_dash_is_an_argument() {
        let Command::Call(call) = parsed("hatchery call t a=1 --app app.py b=-2").ok().unwrap().command else {
            panic!()
        };
        assert_eq!(call.arguments, ["a=1", "b=-2"]);
        let Command::Call(call) = parsed("hatchery call t - --app app.py").ok().unwrap().command else { panic!() };
        assert_eq!(call.arguments, ["-"]);
    }

    #[test]
    fn a_usage_error_is_json_only_where_json_is_asked_for() {
        assert!(parsed("hatchery call --json --nonsense").err().unwrap().json);
        assert!(!parsed("hatchery test --nonsense -- --json").err().unwrap().json);
    }
}
