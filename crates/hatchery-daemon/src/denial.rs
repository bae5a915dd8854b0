//! Why somebody is not let in. No kind of error means that: all are `unavailable` or `limit`, with `reason` in their details,
//! by which those who know statuses tell them apart.

use std::time::Duration;

use hatchery::{Error, ErrorKind};
use serde_json::json;

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Nobody knows who makes it: 401, UNAUTHENTICATED.
    Unauthenticated,
    /// Its caller may not do that: 403, PERMISSION_DENIED.
    Forbidden,
    /// Its caller makes too many: 429 with `Retry-After`, RESOURCE_EXHAUSTED.
    TooMany { retry_after: Duration },
}

const UNAUTHENTICATED: &str = "unauthenticated";
const FORBIDDEN: &str = "forbidden";
const RATE: &str = "rate";

impl Denial {
    pub(crate) fn error(self, message: impl Into<String>) -> Error {
        match self {
            Denial::Unauthenticated => refused(UNAUTHENTICATED, message),
            Denial::Forbidden => refused(FORBIDDEN, message),
            Denial::TooMany { retry_after } => {
                let details = json!({ "reason": RATE, "retry_after": retry_after.as_secs_f64() });
                Error::new(ErrorKind::Limit, message).with_retryable(true).with_details(details)
            }
        }
    }

    /// The denial that an error is, if it is one.
    pub(crate) fn of(error: &Error) -> Option<Denial> {
        let details = error.details()?;
        match (error.kind(), details["reason"].as_str()?) {
            (ErrorKind::Unavailable, UNAUTHENTICATED) => Some(Denial::Unauthenticated),
            (ErrorKind::Unavailable, FORBIDDEN) => Some(Denial::Forbidden),
            (ErrorKind::Limit, RATE) => {
                let seconds = details["retry_after"].as_f64()?;
                Some(Denial::TooMany { retry_after: Duration::try_from_secs_f64(seconds).ok()? })
            }
            _ => None,
        }
    }
}

/// The same request will be refused again.
fn refused(reason: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_retryable(false).with_details(json!({ "reason": reason }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_read_from_its_error() {
        let retry_after = Duration::from_millis(1500);
        for denial in [Denial::Unauthenticated, Denial::Forbidden, Denial::TooMany { retry_after }] {
            assert_eq!(Denial::of(&denial.error("no")), Some(denial));
        }
        for kind in [ErrorKind::Unavailable, ErrorKind::Limit] {
            assert_eq!(Denial::of(&Error::new(kind, "no")), None);
        }
        // What an app raises is not taken for ours.
        let raised = Error::new(ErrorKind::Remote, "no").with_details(json!({ "reason": "forbidden" }));
        assert_eq!(Denial::of(&raised), None);
    }
}
