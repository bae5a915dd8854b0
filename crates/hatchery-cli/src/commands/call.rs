use crate::arguments::Arguments;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::logs::Calls;
use crate::target::{CallingOptions, Target};

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
    let place = args.calling.place(invocation)?;
    let arguments = invocation.unless_interrupted(Arguments::read(&args.arguments)).await?;
    let result = place
        .visit(invocation, Calls::One, async |target: &Target| {
            let arguments = target.fitted(arguments, &args.tool).await?;
            Ok(target.call(&args.tool, arguments).await?)
        })
        .await?;
    invocation.printer.progress().clear();
    invocation.printer.result(&result.text()?).await?;
    Ok(Exit::Success)
}
