//! Log lines for programs that have no subscriber of `tracing` of their own. The library itself only emits, and is silent without
//! a subscriber; this is one, made for it (feature `logs`).
//!
//! ```
//! use hatchery::logs::{LogFilter, Logs};
//!
//! // Errors and what workers write, as JSON on stderr.
//! Logs::new("error,output=info".parse()?).json().install()?;
//! // In this scope everything about calls, in this thread alone.
//! let all_of_calls = "error,call=debug".parse::<LogFilter>()?.scope();
//! drop(all_of_calls);
//! # Ok::<(), hatchery::Error>(())
//! ```
//!
//! Those who have a registry of `tracing_subscriber` add [`Logs::layer`] to it, or any layer of theirs: the targets are
//! `hatchery::pool`, `hatchery::worker`, … ([`LogFilter::CATEGORIES`]).

mod filter;
mod line;
mod scope;

use std::io::Write as _;
use std::time::SystemTime;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::error::{Error, ErrorKind, Result};

pub use filter::LogFilter;
pub use line::LogLine;
pub use scope::{LogScope, Scoped};

/// Writes the lines that a [`LogFilter`] lets pass. Text on stderr, unless told otherwise.
#[must_use]
pub struct Logs {
    filter: LogFilter,
    sink: Sink,
}

type Sink = Box<dyn Fn(&LogLine) + Send + Sync>;

impl Logs {
    /// Lines of text on stderr.
    pub fn new(filter: LogFilter) -> Logs {
        Logs { filter, sink: Box::new(|line| to_stderr(&line.to_string())) }
    }

    /// One JSON object per line.
    pub fn json(self) -> Logs {
        self.to(|line| to_stderr(&line.to_json().to_string()))
    }

    /// Each line to this instead, in the thread that the line comes from: it should not wait.
    pub fn to(self, sink: impl Fn(&LogLine) + Send + Sync + 'static) -> Logs {
        Logs { sink: Box::new(sink), ..self }
    }

    /// As a layer among others.
    pub fn layer<S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>>(self) -> impl Layer<S> {
        Writing(self.sink).with_filter(self.filter)
    }

    /// As the subscriber of the whole program.
    ///
    /// # Errors
    /// `conflict` if it has one.
    pub fn install(self) -> Result<()> {
        tracing::subscriber::set_global_default(self.subscriber()).map_err(|_| {
            Error::new(ErrorKind::Conflict, "install logs: this program has a subscriber of tracing already")
        })
    }

    fn subscriber(self) -> impl Subscriber + Send + Sync {
        // Nobody else listens, so that what this filter does not let pass is not even put together. A filter of one layer among others
        // could say so of places in the program, but not of moments.
        tracing_subscriber::registry().with(self.filter).with(Writing(self.sink))
    }
}

/// Nobody reads it: then it is lost, as there is nobody to tell.
fn to_stderr(text: &str) {
    let _nobody_reads = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

struct Writing(Sink);

impl<S: Subscriber> Layer<S> for Writing {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        (self.0)(&LogLine::of(event, SystemTime::now()));
    }
}

#[cfg(test)]
mod tests;
