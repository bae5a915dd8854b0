use hatchery::agent::{AgentEvent, AgentEvents, Heard, Line, Phase, Stream, agent_events, agent_run};
use hatchery::{Error, ErrorKind};

use super::follow::{follow, forgotten};
use crate::colour::Paint;
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// So much of a line stands in a list of events.
const SHOWN: usize = 160;

/// Print what a run has written until now: its standard output, and on stderr its standard error. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct OutputArgs {
    /// Its id, the beginning of that, or the name of its conversation
    #[arg(value_name = "RUN|SESSION")]
    run: String,
    /// Only its last answer, as JSON
    #[arg(long)]
    result: bool,
}

/// Print the events of a run until now, from any one on: each line, what it means, and when it was said. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct EventsArgs {
    /// Its id, the beginning of that, or the name of its conversation
    #[arg(value_name = "RUN|SESSION")]
    run: String,
    /// From this number on
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
}

/// Reads the spool.
pub(super) async fn output(args: OutputArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    if args.result {
        return result(&args.run, invocation).await;
    }
    let mut events = open(&args.run, 0, invocation)?;
    let printed = invocation.while_read(follow(&mut events, &invocation.printer));
    invocation.unless_interrupted(printed).await?;
    Ok(Exit::Success)
}

async fn result(name: &str, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, _) = configuration::records(&invocation.global)?;
    let run = agent_run(&data_dir, name)?;
    let none = || {
        Error::new(
            ErrorKind::NotFound,
            format!("agent run {} has no answer (it is {})", run.run, run.state.phase.name()),
        )
    };
    let Phase::Exited { outcome } = &run.state.phase else { return Err(none().into()) };
    let answer = outcome.last_result.as_ref().ok_or_else(none)?;
    invocation.printer.result(&answer.to_string()).await?;
    Ok(Exit::Success)
}

/// Reads the spool, too.
pub(super) async fn events(args: EventsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut events = open(&args.run, args.from, invocation)?;
    let printer = &invocation.printer;
    let printed = invocation.while_read(async {
        while let Some(heard) = events.next().await {
            match heard {
                heard if printer.json() => printer.document(&heard).await?,
                Heard::Event(event) => printer.text(&line(&event, printer.result_paint())).await?,
                Heard::Gap(gap) => printer.text(&printer.result_paint().yellow(&forgotten(&gap))).await?,
            }
        }
        Ok(())
    });
    invocation.unless_interrupted(printed).await?;
    Ok(Exit::Success)
}

fn open(name: &str, from: u64, invocation: &Invocation) -> Result<AgentEvents, Error> {
    let (data_dir, _) = configuration::records(&invocation.global)?;
    let run = agent_run(&data_dir, name)?;
    agent_events(&data_dir, run.run, from)
}

/// Number, time, stream, and as much of the line as a list has room for.
fn line(event: &AgentEvent, paint: Paint) -> String {
    let seconds = event.t_ms as f64 / 1000.0;
    let before = format!("{:>6} {seconds:>9.3} s", event.seq);
    format!("{}  {:6}  {}", paint.dim(&before), name(event.stream), words(&event.line))
}

fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Host => "host",
    }
}

fn words(line: &Line) -> String {
    match line {
        Line::Here(bytes) => shortened(bytes),
        Line::Partial(bytes) => format!("{} (without an end)", shortened(bytes)),
        Line::Spooled { length, .. } => format!("{length} bytes"),
    }
}

/// What it says goes to no terminal as it is.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(SHOWN).map(safe).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use hatchery::agent::AgentRunId;

    use super::*;

    fn said(bytes: &'static [u8]) -> String {
        let run = AgentRunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let line = Line::Here(bytes.into());
        let event = AgentEvent { run, seq: 7, t_ms: 1250, stream: Stream::Stdout, signals: Vec::new(), line };
        super::line(&event, Paint::PLAIN)
    }

    #[test]
    fn an_event_is_a_line_that_a_terminal_can_show() {
        assert_eq!(said(b"hello\x1b[2J"), "     7     1.250 s  stdout  hello [2J");
        assert!(said(&[b'x'; 200]).ends_with("x…"));
    }
}
