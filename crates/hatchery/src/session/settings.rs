//! What sessions are given when nobody says otherwise.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How long sessions live, and how many there may be.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSettings {
    /// So long after its last access a session is gone, unless it has a time of its own; `None` is never. 1 h.
    pub ttl: Option<Duration>,
    /// How often those that have expired are taken out of memory. They are of no use before, so this is about memory only, and
    /// about how old a last access on disk may be. 60 s.
    pub cleanup_interval: Duration,
    /// So many at once; `None` is any number. 10 000.
    pub max_sessions: Option<usize>,
    /// From this fraction of `max_sessions` on, each cleanup tells that they accumulate. 0.8.
    pub warning_threshold: f64,
    /// Whether that is told aloud, as a warning, and not only to those who ask. The limit itself holds in any case. Off.
    pub strict: bool,
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        SessionSettings {
            ttl: Some(Duration::from_secs(3600)),
            cleanup_interval: Duration::from_secs(60),
            max_sessions: Some(10_000),
            warning_threshold: 0.8,
            strict: false,
        }
    }
}

impl SessionSettings {
    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Validation, format!("session settings: {what}")));
        match self {
            _ if self.cleanup_interval.is_zero() => wrong("cleanup_interval is 0; it must be longer".into()),
            _ if !(0.0..=1.0).contains(&self.warning_threshold) => {
                wrong(format!("warning_threshold is {}; it must be from 0 to 1", self.warning_threshold))
            }
            _ => Ok(()),
        }
    }

    /// The least number of sessions that is worth a warning.
    pub(super) fn warns_from(&self) -> Option<usize> {
        // Exact below 2^53 sessions.
        self.max_sessions.map(|max| (max as f64 * self.warning_threshold).ceil() as usize)
    }
}
