//! The workloads and how much of each is measured.

use serde_json::{Value, json};

use crate::Result;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Calls one after another to one worker, after warm-up.
    W1,
    /// 64 calls in flight over two workers.
    W2,
    /// An array of 64 MiB to one worker, and one from it.
    W3,
    /// A stream of 10 000 small chunks from one worker.
    W4,
}

/// Calls in flight in W2.
pub(crate) const IN_FLIGHT: usize = 64;
/// Workers in W2.
pub(crate) const WORKERS: usize = 2;
/// Chunks of one stream in W4.
pub(crate) const CHUNKS: usize = 10_000;

impl Workload {
    #[cfg(test)]
    pub(crate) const ALL: [Workload; 4] = [Workload::W1, Workload::W2, Workload::W3, Workload::W4];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::W1 => "w1",
            Workload::W2 => "w2",
            Workload::W3 => "w3",
            Workload::W4 => "w4",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Workload::W1 => "W1  echo calls one after another, one worker",
            Workload::W2 => "W2  64 echo calls in flight, two workers",
            Workload::W3 => "W3  64 MiB of float32 to the worker, which sums them; and from it, summed by the client",
            Workload::W4 => "W4  streams of 10 000 small chunks, one worker",
        }
    }

    pub(crate) fn workers(self) -> usize {
        if self == Workload::W2 { WORKERS } else { 1 }
    }
}

/// How much is measured in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Calls of W1, after a fifth as many for warm-up.
    pub(crate) calls: usize,
    /// Calls of W2.
    pub(crate) in_flight: usize,
    /// Arrays of W3 in each direction, after two for warm-up.
    pub(crate) arrays: usize,
    /// Streams of W4, after one for warm-up.
    pub(crate) streams: usize,
    /// Calls that wait at once, in `scale`.
    pub(crate) backlog: usize,
}

impl Size {
    pub(crate) const FULL: Size = Size { calls: 5_000, in_flight: 50_000, arrays: 5, streams: 5, backlog: 100_000 };
    pub(crate) const QUICK: Size = Size { calls: 1_000, in_flight: 10_000, arrays: 3, streams: 2, backlog: 20_000 };

    pub(crate) fn warm_up(self) -> usize {
        self.calls / 5
    }
}

/// The value that travels in W1 and W2.
pub(crate) fn payload(id: u64) -> Value {
    json!({ "id": id, "text": "hello world", "values": [1, 2, 3, 4, 5, 6, 7, 8] })
}

/// Whether an answer is the one to this call.
pub(crate) fn check(answer: &Value, id: u64) -> Result<()> {
    if answer["id"] == id { Ok(()) } else { Err(format!("call {id} was answered with {answer}").into()) }
}
