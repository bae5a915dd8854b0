//! The peers: other ways to call Python from a program. What is not installed here is left out, and its row says why.

use crate::Result;
use crate::child::output;
use crate::options::Options;
use crate::sample::Sample;
use crate::workload::Workload;

#[cfg(feature = "peers")]
mod grpc;
mod http;
mod mosec;
mod server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Pool,
    Executor,
    Loky,
    Mosec,
    /// A client of tonic, a synchronous server of grpcio.
    Grpc,
    Ray,
}

impl Peer {
    pub(crate) fn of(workload: Workload) -> &'static [Peer] {
        use Peer::{Executor, Grpc, Loky, Mosec, Pool, Ray};
        match workload {
            Workload::W1 | Workload::W2 => &[Pool, Executor, Loky, Mosec, Grpc, Ray],
            Workload::W3 => &[Pool, Executor, Mosec, Ray],
            // Pools of functions have no streams; what is nearest to one is a queue beside them.
            Workload::W4 => &[Loky, Mosec, Grpc, Ray],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Pool => "multiprocessing.Pool",
            Peer::Executor => "ProcessPoolExecutor",
            Peer::Loky => "loky",
            Peer::Mosec => "mosec, blocking client over HTTP",
            Peer::Grpc => "tonic to grpcio",
            Peer::Ray => "Ray actors",
        }
    }

    /// Ray takes seconds to come up and to go.
    pub(crate) fn most_rounds(self) -> usize {
        if self == Peer::Ray { 2 } else { usize::MAX }
    }

    pub(crate) fn measure(self, workload: Workload, options: &Options) -> Result<Sample> {
        match self {
            Peer::Pool => executors("pool", workload, options),
            Peer::Executor => executors("executor", workload, options),
            Peer::Loky => executors("loky", workload, options),
            Peer::Ray => executors("ray", workload, options),
            Peer::Mosec => mosec::measure(&options.python, workload, options.size),
            #[cfg(feature = "peers")]
            Peer::Grpc => grpc::measure(&options.python, workload, options.size),
            #[cfg(not(feature = "peers"))]
            Peer::Grpc => Err("built without the feature `peers`, which `cargo xtask bench` turns on".into()),
        }
    }
}

/// Peers whose clients are Python measure themselves; they get fewer calls in W2, being slower.
fn executors(kind: &str, workload: Workload, options: &Options) -> Result<Sample> {
    let count = match workload {
        Workload::W1 => options.size.calls,
        Workload::W2 => options.size.in_flight / 5,
        Workload::W3 => options.size.arrays,
        Workload::W4 => options.size.streams,
    };
    let printed = output(&options.python, "peers/executors.py", &[kind, workload.name(), &count.to_string()])?;
    Ok(serde_json::from_str(&printed)?)
}
