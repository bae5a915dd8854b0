mod sheets;

use clap::Subcommand;
use hatchery::ToolSpec;

use crate::arguments::Arguments;
use crate::exit::{Exit, Failure};
use crate::invocation::{Invocation, understood};
use crate::private_pool::Limit;
use crate::remote::{Daemon, DaemonOptions, START_ONE};
use sheets::HostTool;

/// List the tools that workers of the running daemon may call back, or look at one, call one, take one away
#[derive(clap::Args, Debug)]
pub(crate) struct HostToolsArgs {
    #[command(subcommand)]
    command: Option<HostToolsCommand>,
    /// As calls of this session see them: its own, and the global ones
    #[arg(long, global = true, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    daemon: DaemonOptions,
}

#[derive(Debug, Subcommand)]
enum HostToolsCommand {
    /// List all of them, or those that one session sees; the same as no word
    List,
    /// Show what is known of one
    Show {
        /// The tool
        #[arg(value_name = "TOOL")]
        name: String,
    },
    /// Call one as a worker would, and print its result as JSON
    Call {
        /// The tool
        #[arg(value_name = "TOOL")]
        name: String,
        /// Its arguments: one JSON object, or key=value pairs, or - for JSON on stdin
        #[arg(value_name = "ARGS")]
        arguments: Vec<String>,
        /// How long the call may take, like 250ms, 30s, 5m or infinity [default: as long as it takes]
        #[arg(long, value_name = "DURATION")]
        timeout: Option<Limit>,
    },
    /// Take one away: that of the session, or the global one. Calls of it that run go on
    Unregister {
        /// The tool
        #[arg(value_name = "TOOL")]
        name: String,
    },
}

/// What of the daemon's answer people read.
#[derive(serde::Deserialize)]
struct Unregistered {}

/// Asks, calls, or orders.
pub(crate) async fn host_tools(args: HostToolsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let daemon = args.daemon.find(invocation, START_ONE)?;
    let said: Vec<(&str, &str)> = args.session.iter().map(|session| ("session", session.as_str())).collect();
    match args.command.unwrap_or(HostToolsCommand::List) {
        HostToolsCommand::List => {
            let sheet = |tools: Vec<HostTool>, paint| sheets::table_of(&tools, paint);
            invocation.show(daemon.page(&["host-tools"], &said), sheet).await
        }
        HostToolsCommand::Show { name } => {
            let asked = daemon.page(&["host-tools", &name], &said);
            invocation.show(asked, |tool: HostTool, paint| tool.sheet(paint)).await
        }
        HostToolsCommand::Call { name, arguments, timeout } => {
            let options = [
                ("x-hatchery-session", args.session.clone()),
                ("x-hatchery-timeout", timeout.map(|limit| limit.to_string())),
            ];
            let arguments = invocation.unless_interrupted(Arguments::read(&arguments)).await?;
            let called = call(&daemon, &name, arguments, &said, options);
            let result = invocation.unless_interrupted(called).await?;
            invocation.printer.result(&result).await?;
            Ok(Exit::Success)
        }
        HostToolsCommand::Unregister { name } => {
            let order = daemon.delete_of(&["host-tools", &name], &said);
            invocation.show(order, |Unregistered {}, _| format!("host tool {name} is gone")).await
        }
    }
}

/// What a pair's value is depends on the tool, if it says what it takes.
async fn call(
    daemon: &Daemon,
    name: &str,
    arguments: Arguments,
    said: &[(&str, &str)],
    options: [(&'static str, Option<String>); 2],
) -> hatchery::Result<String> {
    let tool = match arguments.depend_on_tool() {
        true => Some(understood::<HostTool>(&daemon.page(&["host-tools", name], said).await?)?),
        false => None,
    };
    let spec = tool.map(|tool| ToolSpec { parameters: tool.parameters, ..ToolSpec::new(name) });
    let body = arguments.for_tool(spec.as_ref())?.to_json_text()?;
    let headers: Vec<_> = options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    daemon.run(&["host-tools", name, "call"], &headers, body).await
}
