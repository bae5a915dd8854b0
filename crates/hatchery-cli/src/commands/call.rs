use hatchery::Payload;

use crate::arguments::Arguments;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::logs::Calls;
use crate::private_pool::CallingOptions;

/// Call a tool once and print its result as JSON
#[derive(clap::Args, Debug)]
pub(crate) struct CallArgs {
    /// The tool
    #[arg(value_name = "TOOL")]
    pub(crate) tool: String,
    /// Its arguments: one JSON object, or key=value pairs, or - for JSON on stdin
    #[arg(value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
    #[command(flatten)]
    pub(crate) calling: CallingOptions,
}

/// One call, one result.
pub(crate) async fn call(args: CallArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    args.calling.app.require()?;
    let arguments = invocation.unless_interrupted(Arguments::read(&args.arguments)).await?;
    let options = args.calling.call_options();
    let result: Payload = args
        .calling
        .with_pool(invocation, Calls::One, async |pool| {
            let tools = pool.tools();
            let payload = arguments.for_tool(tools.iter().find(|tool| tool.name == args.tool))?;
            Ok(pool.call_payload(&args.tool, payload, &options).await?)
        })
        .await?;
    invocation.printer.progress().clear();
    invocation.printer.result(&result.to_json_text()?).await?;
    Ok(Exit::Success)
}
