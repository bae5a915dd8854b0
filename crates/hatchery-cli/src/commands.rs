//! The commands: one file each, one function each.

pub(crate) mod agent;
pub(crate) mod bench;
pub(crate) mod breakers;
pub(crate) mod call;
pub(crate) mod compat;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod host_tools;
pub(crate) mod import;
pub(crate) mod man;
pub(crate) mod map;
pub(crate) mod new;
pub(crate) mod orphans;
mod python_path;
pub(crate) mod recycle;
pub(crate) mod registry;
pub(crate) mod reload;
pub(crate) mod restart;
pub(crate) mod resume;
pub(crate) mod scale;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod stream;
pub(crate) mod taints;
pub(crate) mod test;
pub(crate) mod token;
pub(crate) mod tools;
pub(crate) mod workers;

use std::io;

use hatchery::ErrorKind;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::first_process;
use crate::interrupt::{Hangup, Interrupt};
use crate::invocation::Invocation;

/// Runs the command to its end, or to the signal that is one too many: the second, for most.
pub(crate) fn run(cli: Cli) -> Exit {
    let outcome = match &cli.command {
        Command::Serve(_) if first_process::is_this() => first_process::stand_by(),
        command => runtime_for(command).and_then(|runtime| {
            let exit = runtime.block_on(watched(cli));
            // A thread that waits for the system would hold up the end.
            runtime.shutdown_background();
            exit
        }),
    };
    match outcome {
        Ok(exit) => exit,
        Err(why) => {
            let _stderr_may_be_closed =
                io::Write::write_all(&mut io::stderr(), format!("error: start: {why}\n").as_bytes());
            Exit::Failed(ErrorKind::Internal)
        }
    }
}

/// A command makes its calls from one thread; a daemon has clients, of which a large one must not hold up the others.
fn runtime_for(command: &Command) -> io::Result<Runtime> {
    match command {
        Command::Serve(_) => Builder::new_multi_thread().enable_all().build(),
        _ => Builder::new_current_thread().enable_all().build(),
    }
}

fn hangup_for(command: &Command) -> Hangup {
    if matches!(command, Command::Serve(_)) { Hangup::Reloads } else { Hangup::Ends }
}

/// With which signal it ends at once. An agent has several ends before that.
fn patience_of(command: &Command) -> u32 {
    match command {
        Command::Agent(args) if args.stays_with_it() => agent::SIGNALS + 1,
        _ => 2,
    }
}

async fn watched(cli: Cli) -> io::Result<Exit> {
    let interrupt = Interrupt::listen(hangup_for(&cli.command))?;
    let patience = patience_of(&cli.command);
    let invocation = Invocation::new(cli.global, interrupt.clone())?;
    tokio::select! {
        exit = concluded(cli.command, &invocation) => Ok(exit),
        // Everything is dropped, and with it every process ends.
        number = interrupt.after(patience) => Ok(Exit::Signal(number)),
    }
}

async fn concluded(command: Command, invocation: &Invocation) -> Exit {
    let outcome = dispatch(command, invocation).await;
    invocation.conclude(outcome).await
}

async fn dispatch(command: Command, invocation: &Invocation) -> Result<Exit, Failure> {
    match command {
        Command::Call(args) => call::call(args, invocation).await,
        Command::Stream(args) => stream::stream(args, invocation).await,
        Command::Map(args) => map::map(args, invocation).await,
        Command::Tools(args) => tools::tools(args, invocation).await,
        Command::Serve(args) => serve::serve(args, invocation).await,
        Command::Status(args) => status::status(args, invocation).await,
        Command::Workers(args) => workers::workers(args, invocation).await,
        Command::Sessions(args) => sessions::sessions(args, invocation).await,
        Command::HostTools(args) => host_tools::host_tools(args, invocation).await,
        Command::Events(args) => events::events(args, invocation).await,
        Command::Stats(args) => stats::stats(args, invocation).await,
        Command::Recycle(args) => recycle::recycle(args, invocation).await,
        Command::Restart(args) => restart::restart(args, invocation).await,
        Command::Stop(args) => stop::stop(args, invocation).await,
        Command::Drain(args) => drain::drain(args, invocation).await,
        Command::Resume(args) => resume::resume(args, invocation).await,
        Command::Scale(args) => scale::scale(args, invocation).await,
        Command::Reload(args) => reload::reload(args, invocation).await,
        Command::Taints(args) => taints::taints(args, invocation).await,
        Command::Breakers(args) => breakers::breakers(args, invocation).await,
        Command::New(args) => new::new(args, invocation).await,
        Command::Test(args) => test::test(args, invocation).await,
        Command::Orphans(args) => orphans::orphans(args, invocation).await,
        Command::Registry(args) => registry::registry(args, invocation).await,
        Command::Agent(args) => agent::agent(args, invocation).await,
        Command::Token(args) => token::token(args, invocation).await,
        Command::Doctor(args) => doctor::doctor(args, invocation).await,
        Command::Config(args) => config::config(args, invocation).await,
        Command::Compat(args) => compat::compat(args, invocation).await,
        Command::Import(args) => import::import(args, invocation).await,
        Command::Bench(args) => bench::bench(args, invocation).await,
        Command::Completions(args) => completions::completions(args, invocation).await,
        Command::Man(args) => man::man(args, invocation).await,
        Command::PythonPath => python_path::python_path(invocation).await,
    }
}
