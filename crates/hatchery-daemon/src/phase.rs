//! Where a daemon is in its life.

use serde::Serialize;

/// Where a daemon is in its life. The order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is bound, and nothing else.
    Starting,
    /// It ends what dead runs of its instance have left.
    Sweeping,
    /// Its workers start. It answers, but takes no calls.
    Filling,
    /// It takes calls.
    Serving,
    /// It was told to end: it takes no more calls, and those that run may finish.
    Draining,
    /// Every worker is gone.
    Closed,
}

impl Phase {
    /// The text form, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Sweeping => "sweeping",
            Phase::Filling => "filling",
            Phase::Serving => "serving",
            Phase::Draining => "draining",
            Phase::Closed => "closed",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
