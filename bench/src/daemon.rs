//! What the daemon adds to a call: beside the least server of the same protocol, and beside the same call through the library; and
//! what those who listen cost those who call.

mod calls;
mod client;
mod floor;
mod listened;
mod server;

use serde::Serialize;

use crate::Result;
use crate::grid::Grid;
use crate::options::Options;
use crate::pin::Placement;
use crate::targets::Verdict;
use calls::Calls;
use listened::Listened;

pub(crate) use floor::serve as floor;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    calls: Vec<Calls>,
    listened: Vec<Listened>,
}

pub(crate) fn measure_all(options: &Options) -> Result<Table> {
    let calls = [Placement::Pinned, Placement::Free].map(|placement| calls::measure(placement, options));
    Ok(Table { calls: calls.into_iter().collect::<Result<_>>()?, listened: listened::measure(options)? })
}

impl Table {
    pub(crate) fn grids(&self) -> Vec<Grid> {
        let calls = self.calls.iter().map(Calls::grid);
        calls.chain([listened::grid(&self.listened)]).collect()
    }
}

/// The same for every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Protocol {
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http")]
    Http,
}

impl Protocol {
    const ALL: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

    fn name(self) -> &'static str {
        match self {
            Protocol::Grpc => "gRPC",
            Protocol::Http => "HTTP",
        }
    }

    /// The least server.
    fn floor(self) -> &'static str {
        match self {
            Protocol::Grpc => "empty tonic echo",
            Protocol::Http => "empty axum handler",
        }
    }
}

/// At most this.
fn bounded(text: String, ratio: f64, most: f64) -> Verdict {
    Verdict { text, ratio, met: ratio <= most }
}
