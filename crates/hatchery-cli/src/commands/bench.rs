mod measurements;

use std::cell::{Cell, RefCell};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};

use hatchery::{Error, ErrorKind, Payload};

use crate::arguments::Arguments;
use crate::commands::call::CallArgs;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::logs::Calls;
use crate::printer::Printer;
use crate::private_pool::Limit;
use crate::target::Target;
use measurements::Measurements;

/// How long a load lasts if nothing else is said.
const DURATION: Duration = Duration::from_secs(5);

/// Put load on a tool and print throughput and latency
#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    of_call: CallArgs,
    /// How many calls at once [default: as many as workers]
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    /// For how long new calls are made [default: 5s]
    #[arg(long, value_name = "DURATION", conflicts_with = "count")]
    duration: Option<Limit>,
    /// How many calls are made
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
}

/// Loads the pool, and prints what was measured, also if a signal ends the load before its time.
pub(crate) async fn bench(args: BenchArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let CallArgs { tool, arguments, calling } = args.of_call;
    let place = calling.place(invocation)?;
    let arguments = invocation.unless_interrupted(Arguments::read(&arguments)).await?;
    let end = match (args.count, args.duration) {
        (Some(count), _) => End::Count(count.get()),
        (None, Some(Limit(duration))) => End::After(duration),
        (None, None) => End::After(Some(DURATION)),
    };
    let measured = RefCell::new(Measurements::new()?);
    let at_once = Cell::new(args.concurrency.map_or(0, NonZeroUsize::get));
    let outcome = place
        .visit(invocation, Calls::Many, async |target: &Target| {
            if args.concurrency.is_none() {
                at_once.set(target.workers().await?);
            }
            let spec = target.tool(&tool).await?;
            let streaming = spec.as_ref().is_some_and(|spec| spec.streaming);
            let payload = arguments.for_tool(spec.as_ref())?;
            let load = Load { target: target.clone(), tool: tool.clone(), payload, streaming };
            put(load, at_once.get(), end, &measured, &invocation.printer).await
        })
        .await;
    let measured = measured.into_inner();
    if measured.has_begun() && matches!(outcome, Ok(()) | Err(Failure::Signal(_))) {
        print(&measured, &tool, at_once.get(), &invocation.printer).await?;
    }
    outcome.map(|()| if measured.has_errors() { Exit::SomeFailed } else { Exit::Success })
}

async fn print(measured: &Measurements, tool: &str, at_once: usize, printer: &Printer) -> Result<(), Failure> {
    printer.progress().clear();
    if printer.json() {
        return printer.document(&measured.to_json(tool, at_once)).await;
    }
    Ok(printer.text(&measured.to_text(tool, at_once, printer.result_paint())).await?)
}

/// When the last call has been made.
#[derive(Clone, Copy, Debug)]
enum End {
    Count(u64),
    /// After so long, or never.
    After(Option<Duration>),
}

impl End {
    fn is_reached(self, made: u64, elapsed: Duration) -> bool {
        match self {
            End::Count(count) => made >= count,
            End::After(limit) => limit.is_some_and(|limit| elapsed >= limit),
        }
    }
}

/// One kind of call, made again and again.
#[derive(Clone)]
struct Load {
    target: Target,
    tool: String,
    payload: Payload,
    streaming: bool,
}

impl Load {
    /// One call, and how long it took.
    async fn call(self) -> (Duration, Result<(), Error>) {
        let began = Instant::now();
        let outcome = if self.streaming { self.drain().await } else { self.call_once().await };
        (began.elapsed(), outcome)
    }

    async fn call_once(&self) -> Result<(), Error> {
        self.target.call(&self.tool, self.payload.clone()).await.map(drop)
    }

    /// A stream is one call, from its beginning to its last chunk.
    async fn drain(&self) -> Result<(), Error> {
        let mut chunks = self.target.stream(&self.tool, self.payload.clone()).await?;
        while let Some(chunk) = chunks.next().await {
            chunk?;
        }
        Ok(())
    }
}

/// Keeps so many calls open until the end, and waits for those that are open then.
async fn put(
    load: Load,
    at_once: usize,
    end: End,
    measured: &RefCell<Measurements>,
    printer: &Printer,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut made = 0;
    let mut calls = tokio::task::JoinSet::new();
    loop {
        while calls.len() < at_once && !end.is_reached(made, began.elapsed()) {
            calls.spawn(load.clone().call());
            made += 1;
        }
        let Some(call) = calls.join_next().await else { return Ok(()) };
        let (took, outcome) =
            call.map_err(|why| Error::new(ErrorKind::Internal, format!("bench: a call's task ended: {why}")))?;
        // A call that can never succeed is not worth measuring.
        if let Err(error) = &outcome
            && matches!(error.kind(), ErrorKind::Validation | ErrorKind::NotFound)
        {
            return Err(error.clone().into());
        }
        let mut measured = measured.borrow_mut();
        measured.add(took, outcome.err().map(|error| error.kind()), began.elapsed());
        printer.progress().load(measured.calls(), began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_ends_by_count_or_by_time_or_not_at_all() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(9));
        assert!(!End::Count(2).is_reached(1, long) && End::Count(2).is_reached(2, short));
        assert!(!End::After(Some(DURATION)).is_reached(9, short) && End::After(Some(DURATION)).is_reached(0, long));
        assert!(!End::After(None).is_reached(u64::MAX, Duration::MAX));
    }
}
