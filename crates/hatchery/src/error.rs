//! The one error at the door. Rooms have small typed errors of their own and turn them into this one where they meet
//! the caller; exit codes, HTTP and gRPC status are chosen elsewhere, from [`ErrorKind`].

mod near;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use near::near_match;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, a start or an order did not succeed.
///
/// `Display` is one sentence for the person who must mend it. A remote exception's traceback is apart, in
/// [`Error::traceback`], and the last lines that a worker wrote before it failed are in [`Error::last_output`].
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    retryable: bool,
    python_type: Option<String>,
    traceback: Option<String>,
    details: Option<serde_json::Value>,
    correlation_id: Option<String>,
    last_output: Vec<String>,
}

/// The closed list of reasons. The text form (`worker_died`) is the one in JSON, on the wire, and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Arguments do not fit the tool, a configuration or an app is wrong. Trying again cannot help.
    Validation,
    /// No such tool, pool or session.
    NotFound,
    /// The tool raised.
    Remote,
    /// The deadline passed; the message names the stage in which it did.
    Deadline,
    /// The caller, or a shutdown, gave the call up.
    Cancelled,
    /// The queue of the pool is full.
    Saturated,
    /// Nothing can serve this now: the pool is closed, or the peer lacks the capability.
    Unavailable,
    /// The worker that ran the call died.
    WorkerDied,
    /// The worker broke the wire protocol and was cut off.
    Protocol,
    /// A size limit was exceeded.
    Limit,
    /// Something else already has what was asked for.
    Conflict,
    /// A bug, or an operating system call that should not fail.
    Internal,
}

impl ErrorKind {
    /// All of them, in their order.
    pub(crate) const ALL: [ErrorKind; 12] = [
        ErrorKind::Validation,
        ErrorKind::NotFound,
        ErrorKind::Remote,
        ErrorKind::Deadline,
        ErrorKind::Cancelled,
        ErrorKind::Saturated,
        ErrorKind::Unavailable,
        ErrorKind::WorkerDied,
        ErrorKind::Protocol,
        ErrorKind::Limit,
        ErrorKind::Conflict,
        ErrorKind::Internal,
    ];

    /// The text form, as in JSON.
    ///
    /// ```
    /// assert_eq!(hatchery::ErrorKind::WorkerDied.as_str(), "worker_died");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Validation => "validation",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Remote => "remote",
            ErrorKind::Deadline => "deadline",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Saturated => "saturated",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::WorkerDied => "worker_died",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Limit => "limit",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Internal => "internal",
        }
    }

    /// The part of the system that the reason lies in.
    ///
    /// ```
    /// use hatchery::{ErrorCategory, ErrorKind};
    /// assert_eq!(ErrorKind::Protocol.category(), ErrorCategory::Transport);
    /// ```
    pub fn category(self) -> ErrorCategory {
        match self {
            ErrorKind::WorkerDied => ErrorCategory::Worker,
            ErrorKind::Deadline => ErrorCategory::Timeout,
            ErrorKind::Remote => ErrorCategory::Remote,
            ErrorKind::Protocol | ErrorKind::Limit => ErrorCategory::Transport,
            ErrorKind::Validation => ErrorCategory::Validation,
            ErrorKind::NotFound
            | ErrorKind::Cancelled
            | ErrorKind::Saturated
            | ErrorKind::Unavailable
            | ErrorKind::Conflict
            | ErrorKind::Internal => ErrorCategory::Pool,
        }
    }

    /// Whether the same call may succeed if it is made again, when nobody said otherwise.
    pub(crate) fn is_usually_retryable(self) -> bool {
        matches!(self, ErrorKind::Saturated | ErrorKind::Unavailable | ErrorKind::WorkerDied | ErrorKind::Protocol)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an error comes from: coarser than [`ErrorKind`], for dashboards and for those who only ask whom to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCategory {
    /// The worker process ended.
    Worker,
    /// Time ran out.
    Timeout,
    /// The tool raised.
    Remote,
    /// What was to travel between host and worker did not fit the wire, or its limits.
    Transport,
    /// What was asked for is wrong in itself.
    Validation,
    /// The pool could not, or would not, take it.
    Pool,
}

impl ErrorCategory {
    /// The text form, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCategory::Worker => "worker",
            ErrorCategory::Timeout => "timeout",
            ErrorCategory::Remote => "remote",
            ErrorCategory::Transport => "transport",
            ErrorCategory::Validation => "validation",
            ErrorCategory::Pool => "pool",
        }
    }
}

impl fmt::Display for ErrorCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// An error of this kind. `message` is a fragment without a full stop, the fact last:
    /// "start worker default-1: no such file: python3.99".
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            retryable: kind.is_usually_retryable(),
            python_type: None,
            traceback: None,
            details: None,
            correlation_id: None,
            last_output: Vec::new(),
        }))
    }

    /// The reason.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// [`ErrorKind::category`].
    pub fn category(&self) -> ErrorCategory {
        self.0.kind.category()
    }

    /// The sentence that `Display` writes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed if made again. That it is safe to make it again, only the caller knows.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The type of the remote exception, like `ValueError` or `app.QuotaExceeded`.
    pub fn python_type(&self) -> Option<&str> {
        self.0.python_type.as_deref()
    }

    /// The remote traceback, as the language prints it.
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }

    /// More facts, an object: the parameter that does not fit, the shape, the device.
    pub fn details(&self) -> Option<&serde_json::Value> {
        self.0.details.as_ref()
    }

    /// The correlation id of the call.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// The last lines that the worker wrote to stdout and stderr before it failed; empty if it did not fail.
    pub fn last_output(&self) -> &[String] {
        &self.0.last_output
    }

    /// The error as `{kind, message, retryable, python_type?, traceback?, details?}`, the form that scripts rely on;
    /// `correlation_id` and `last_output` stand in it too where there are any.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::to_value(ErrorBody::from(self)).unwrap_or_default();
        if let (Some(fields), false) = (json.as_object_mut(), self.last_output().is_empty()) {
            fields.insert(LAST_OUTPUT.into(), self.last_output().into());
        }
        json
    }

    /// The error of which this is the JSON form, as a client of a daemon reads it. `None` if it is none.
    pub fn from_json(json: &serde_json::Value) -> Option<Error> {
        let error: Error = ErrorBody::deserialize(json).ok()?.into();
        let lines = json.get(LAST_OUTPUT).and_then(|lines| Vec::deserialize(lines).ok());
        Some(error.with_last_output(lines.unwrap_or_default()))
    }

    /// Sets [`Error::is_retryable`].
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Error {
        self.0.retryable = retryable;
        self
    }

    /// Sets [`Error::details`].
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Error {
        self.0.details = Some(details);
        self
    }

    pub(crate) fn with_correlation_id(mut self, id: &str) -> Error {
        self.0.correlation_id.get_or_insert_with(|| id.to_owned());
        self
    }

    pub(crate) fn with_last_output(mut self, lines: Vec<String>) -> Error {
        self.0.last_output = lines;
        self
    }

    /// Puts what brought it about behind what was found, and what the worker wrote about that.
    pub(crate) fn because(mut self, reason: impl fmt::Display, cause: &Error) -> Error {
        self.0.message = format!("{}; {reason}", self.0.message);
        self.with_last_output(cause.last_output().to_vec())
    }

    /// Puts what was attempted in front of what was found.
    pub(crate) fn context(mut self, attempted: impl fmt::Display) -> Error {
        self.0.message = format!("{attempted}: {}", self.0.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(traceback) = &self.0.traceback {
            debug.field("traceback", traceback);
        }
        if !self.0.last_output.is_empty() {
            debug.field("last_output", &self.0.last_output);
        }
        debug.finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

/// What the JSON form has beside the fields of the wire: a worker has no last output to tell of.
const LAST_OUTPUT: &str = "last_output";

/// An error as the wire and the JSON surfaces carry it (`docs/design/wire.md` section 6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    #[serde(default = "remote", deserialize_with = "known_or_remote")]
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) retryable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) python_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
}

fn remote() -> ErrorKind {
    ErrorKind::Remote
}

/// A worker newer than this host may know kinds that we do not.
fn known_or_remote<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ErrorKind, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(serde_json::from_value(serde_json::Value::String(text)).unwrap_or(ErrorKind::Remote))
}

impl From<ErrorBody> for Error {
    fn from(body: ErrorBody) -> Error {
        let mut error = Error::new(body.kind, body.message);
        error.0.retryable = body.retryable.unwrap_or(error.0.retryable);
        error.0.python_type = body.python_type;
        error.0.traceback = body.traceback;
        error.0.details = body.details;
        error.0.correlation_id = body.correlation_id;
        error
    }
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> ErrorBody {
        let inner = &*error.0;
        ErrorBody {
            kind: inner.kind,
            message: inner.message.clone(),
            retryable: Some(inner.retryable),
            python_type: inner.python_type.clone(),
            traceback: inner.traceback.clone(),
            details: inner.details.clone(),
            correlation_id: inner.correlation_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_from_a_newer_worker_reads_as_remote() {
        let body: ErrorBody = serde_json::from_str(r#"{"kind":"from_the_future","message":"m"}"#).unwrap();
        assert_eq!(Error::from(body).kind(), ErrorKind::Remote);
    }

    /// So a worker's exceptions, the client's and the host's errors mean the same.
    #[test]
    fn the_kinds_of_the_python_side_are_these() {
        let table = include_str!("../python/hatchery/kinds.py").lines().filter_map(|line| line.strip_prefix("    \""));
        let told: Vec<(&str, bool)> =
            table.filter_map(|line| Some((line.split_once("\": (\"")?.0, line.ends_with(", True),")))).collect();
        assert_eq!(told, ErrorKind::ALL.map(|kind| (kind.as_str(), kind.is_usually_retryable())));
    }

    #[test]
    fn a_category_reads_in_text_as_in_json() {
        use ErrorCategory::{Pool, Remote, Timeout, Transport, Validation, Worker};
        for category in [Worker, Timeout, Remote, Transport, Validation, Pool] {
            assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
        }
    }

    #[test]
    fn the_json_form_can_be_read_again() {
        let text = r#"{"kind":"remote","message":"m","retryable":false,"python_type":"E","traceback":"t","details":{"a":1},"correlation_id":"c","last_output":["x"]}"#;
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Error::from_json(&json).unwrap().to_json(), json);
        assert!(Error::from_json(&serde_json::json!({"kind": "remote"})).is_none());
    }

    #[test]
    fn the_json_form_leaves_out_what_is_not_there() {
        let json = Error::new(ErrorKind::Saturated, "queue is full").to_json();
        assert_eq!(json, serde_json::json!({"kind": "saturated", "message": "queue is full", "retryable": true}));
    }
}
