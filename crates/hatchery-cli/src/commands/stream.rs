use hatchery::{Payload, Pool};

use crate::arguments::Arguments;
use crate::commands::call::CallArgs;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::logs::Calls;

/// Call a streaming tool and print each chunk as a line of JSON, as it arrives
#[derive(clap::Args, Debug)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    of_call: CallArgs,
}

/// One call, a line per chunk.
pub(crate) async fn stream(args: StreamArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let CallArgs { tool, arguments, calling } = args.of_call;
    calling.app.require()?;
    let arguments = invocation.unless_interrupted(Arguments::read(&arguments)).await?;
    let options = calling.call_options();
    calling
        .with_pool(invocation, Calls::One, async |pool: &Pool| {
            let tools = pool.tools();
            let payload = arguments.for_tool(tools.iter().find(|spec| spec.name == tool))?;
            let print = async {
                let mut chunks = pool.stream_payload(&tool, payload, &options).await?;
                while let Some(chunk) = chunks.next().await {
                    let chunk: Payload = chunk?;
                    invocation.printer.line(&chunk.to_json_text()?).await?;
                }
                Ok(Exit::Success)
            };
            invocation.while_read(print).await
        })
        .await
}
