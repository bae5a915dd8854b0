//! What a run says, as whoever started it would have seen it, or as JSON.

use hatchery::agent::{AgentEvent, AgentEvents, Gap, Heard, Line, Stream};

use crate::exit::Failure;
use crate::printer::Printer;

/// Of a line that is too long to be handed out, so much is read at once.
const PIECE: u64 = 1 << 20;

/// Its lines as they are, each to the output that it was meant for; with `--json`, each event as a line. To the end of the run, or of
/// what is there.
pub(super) async fn follow(events: &mut AgentEvents, printer: &Printer) -> Result<(), Failure> {
    while let Some(heard) = events.next().await {
        match heard {
            heard if printer.json() => printer.document(&heard).await?,
            Heard::Event(event) => pass_on(event, events, printer).await?,
            Heard::Gap(gap) => printer.message(&forgotten(&gap)).await,
        }
    }
    Ok(())
}

/// How much of what it has said is not there any more.
pub(super) fn forgotten(gap: &Gap) -> String {
    let bytes = gap.bytes.map_or(String::new(), |bytes| format!(", {bytes} bytes"));
    format!("{} events are not there any more{bytes}", gap.events)
}

async fn pass_on(event: AgentEvent, events: &AgentEvents, printer: &Printer) -> Result<(), Failure> {
    let stream = event.stream;
    match event.line {
        // The log has it.
        _ if stream == Stream::Host => Ok(()),
        Line::Here(bytes) => write(stream, [bytes.as_ref(), b"\n"].concat(), printer).await,
        Line::Partial(bytes) => write(stream, bytes.into(), printer).await,
        Line::Spooled { offset, length } => {
            let end = offset + length;
            let mut at = offset;
            while at < end {
                let piece = events.bytes(stream, at, PIECE.min(end - at) as usize).await?;
                at += piece.len() as u64;
                write(stream, piece.into(), printer).await?;
            }
            write(stream, b"\n".to_vec(), printer).await
        }
    }
}

async fn write(stream: Stream, bytes: Vec<u8>, printer: &Printer) -> Result<(), Failure> {
    match stream {
        Stream::Stderr => printer.message_bytes(bytes).await,
        _ => printer.bytes(bytes).await?,
    }
    Ok(())
}
