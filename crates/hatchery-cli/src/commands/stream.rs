use crate::arguments::Arguments;
use crate::commands::call::CallArgs;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::logs::Calls;
use crate::target::Target;

/// Call a streaming tool and print each chunk as a line of JSON, as it arrives
#[derive(clap::Args, Debug)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    of_call: CallArgs,
}

/// One call, a line per chunk.
pub(crate) async fn stream(args: StreamArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let CallArgs { tool, arguments, calling } = args.of_call;
    let place = calling.place(invocation)?;
    let arguments = invocation.unless_interrupted(Arguments::read(&arguments)).await?;
    place
        .visit(invocation, Calls::One, async |target: &Target| {
            let arguments = target.fitted(arguments, &tool).await?;
            let print = async {
                let mut chunks = target.stream(&tool, arguments).await?;
                while let Some(chunk) = chunks.next().await {
                    invocation.printer.line(&chunk?.text()?).await?;
                }
                Ok(Exit::Success)
            };
            invocation.while_read(print).await
        })
        .await
}
