mod order;

use std::path::PathBuf;

use hatchery::{Error, ErrorKind, Payload};
use serde_json::Value;
use tokio::task::{JoinError, JoinSet};

use crate::exit::{Exit, Failure};
use crate::input_lines::{Input, Line, TooLong};
use crate::invocation::Invocation;
use crate::json_input;
use crate::logs::Calls;
use crate::printer::{Printer, error_line};
use crate::target::{CallingOptions, Target};
use order::InOrder;

/// How many lines may be under way or wait for an earlier one: what a slow line can hold back, and so the memory it can cost.
const WINDOW: usize = 256;

/// Call a tool for each line of JSON arguments and print the results in the order of the lines
#[derive(clap::Args, Debug)]
pub(crate) struct MapArgs {
    /// The tool
    #[arg(value_name = "TOOL")]
    tool: String,
    /// One JSON object of arguments per line; - is stdin
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    #[command(flatten)]
    calling: CallingOptions,
}

/// A call per line, as many at once as there are workers.
pub(crate) async fn map(args: MapArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let place = args.calling.place(invocation)?;
    let input = Input::open(&args.input)?;
    let failed = place
        .visit(invocation, Calls::Many, async |target: &Target| {
            refuse_streaming(target, &args.tool).await?;
            let at_once = target.workers().await?;
            let caller = Caller { target: target.clone(), tool: args.tool };
            invocation.while_read(run(input, caller, at_once, &invocation.printer)).await
        })
        .await?;
    Ok(if failed == 0 { Exit::Success } else { Exit::SomeFailed })
}

async fn refuse_streaming(target: &Target, tool: &str) -> Result<(), Error> {
    let streams = target.tool(tool).await?.is_some_and(|spec| spec.streaming);
    let message =
        || format!("map {tool}: it is a streaming tool, which has no one result per line; use `hatchery stream`");
    if streams { Err(Error::new(ErrorKind::Validation, message())) } else { Ok(()) }
}

/// The loop: takes lines while there is room, starts a call for each, prints what is due. Returns how many lines failed.
/// Calls run as tasks; they end with the set that holds them.
async fn run(mut input: Input, caller: Caller, at_once: usize, printer: &Printer) -> Result<u64, Failure> {
    let mut calls: JoinSet<Result<Answer, Error>> = JoinSet::new();
    let mut order = InOrder::default();
    let mut failed = 0;
    let mut more = true;
    printer.progress().begin_lines(input.length());
    while more || !calls.is_empty() {
        let has_room = calls.len() < at_once && order.held() + calls.len() < WINDOW;
        tokio::select! {
            // Results first: they make room, and their readers wait.
            biased;
            Some(answer) = calls.join_next() => {
                let answer = answered(answer)?;
                failed += u64::from(answer.failed);
                order.put(answer.number, answer.text);
                for text in order.due() {
                    printer.line(&text).await?;
                }
                printer.progress().lines(order.passed(), failed, answer.up_to);
            }
            line = input.next(), if more && has_room => match line? {
                Some(line) => { calls.spawn(caller.clone().answer(line)); }
                None => more = false,
            }
        }
    }
    Ok(failed)
}

/// The answer, unless it says that no line can succeed.
fn answered(answer: Result<Result<Answer, Error>, JoinError>) -> Result<Answer, Failure> {
    let broken = |why: JoinError| Error::new(ErrorKind::Internal, format!("map: a call's task ended: {why}"));
    Ok(answer.map_err(broken)??)
}

#[derive(Clone)]
struct Caller {
    target: Target,
    tool: String,
}

/// What becomes of one line.
struct Answer {
    number: u64,
    text: String,
    failed: bool,
    /// The input up to here is taken.
    up_to: u64,
}

impl Caller {
    async fn answer(self, line: Line) -> Result<Answer, Error> {
        let outcome = self.call(&line).await;
        // A tool that does not exist does not exist for any line.
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::NotFound
        {
            return Err(error.clone());
        }
        let failed = outcome.is_err();
        let text = outcome.unwrap_or_else(|error| error_line(&error));
        Ok(Answer { number: line.number, text, failed, up_to: line.up_to })
    }

    async fn call(&self, line: &Line) -> Result<String, Error> {
        let too_long = |why: &TooLong| Error::new(ErrorKind::Limit, format!("line {}: {why}", line.in_file));
        let object = json_input::object_on_line(line.in_file, line.text.as_ref().map_err(too_long)?)?;
        let arguments = Payload::from_json(Value::Object(object))?;
        self.target.call(&self.tool, arguments).await?.text()
    }
}
