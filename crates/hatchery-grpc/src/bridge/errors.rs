//! Failures: the JSON and the statuses in which they are told, as errors, and back.
//!
//! | told | error |
//! |---|---|
//! | JSON, in `error_message` or with INTERNAL | `remote`, with `python_type`, `traceback`, and the `context` in `details` |
//! | plain text in `error_message` | `remote` with this message |
//! | UNAVAILABLE, or a connection that is gone | of a worker `worker_died`, of a host `unavailable` |
//! | a stream that was refused before it was looked at | `unavailable`, to be tried again: nothing has happened |
//! | UNIMPLEMENTED | `unavailable`, not to be tried again: the peer has no such method, or no such way to run the tool |
//! | UNKNOWN | of a worker `remote`: an exception that its own code did not catch |
//! | INTERNAL without JSON, or no status at all | `protocol`, not to be tried again |
//! | RESOURCE_EXHAUSTED, OUT_OF_RANGE | `limit` |
//! | DEADLINE_EXCEEDED, CANCELLED, NOT_FOUND, INVALID_ARGUMENT, … | as everywhere: [`status::error`](crate::status::error) |
//!
//! A host of ours writes its own errors in the same JSON, with `hatchery.` and the kind as the type. Only of a
//! [`Peer::Host`] such a type is believed: a worker can raise what it likes.

use std::error::Error as _;

use hatchery::{Error, ErrorKind};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};

use super::Peer;
use super::client::Refused;
use crate::status::{begin, by_code, end};

/// What workers look for in the refusal of a registration: that their tools are there already, which is well.
pub const DUPLICATE: &str = "duplicate_tool";

/// Of a JSON object in a status, in bytes, before it is percent-encoded: its message, and its traceback.
const LONGEST_MESSAGE: usize = 512;
const LONGEST_TRACEBACK: usize = 1024;

/// How the message of a status begins that says no more than that the service below the client takes no request.
const NOT_READY: &str = "Service was not ready";

/// How that of an answer begins which ends without a status.
const NO_STATUS: &str = "protocol error";

/// The type of an error that is no exception.
const OURS: &str = "hatchery.";

/// The error of an `error_message`.
pub fn of_message(text: &str, peer: Peer) -> Error {
    exception(text, peer).unwrap_or_else(|| match text.trim() {
        "" => Error::new(ErrorKind::Remote, "the tool failed, and said nothing"),
        _ => Error::new(ErrorKind::Remote, text),
    })
}

/// The error of a refused registration.
pub fn of_registration(text: &str) -> Error {
    let kind = if text.contains(DUPLICATE) { ErrorKind::Conflict } else { ErrorKind::Validation };
    Error::new(kind, format!("register tools: {text}"))
}

/// The error of a status.
pub fn of_status(status: &Status, peer: Peer) -> Error {
    let exception = if status.code() == Code::Internal { exception(status.message(), peer) } else { None };
    let said = || by_code(status).message().to_owned();
    exception.unwrap_or_else(|| match (status.code(), status.source()) {
        (_, Some(source)) if source.is::<Refused>() => Error::new(ErrorKind::Unavailable, said()),
        // What is below gRPC failed; tonic knows no better name for it.
        (Code::Unknown, Some(_)) | (Code::Unavailable, _) => Error::new(absence(peer), said()),
        (Code::Unknown, None) if status.message().starts_with(NOT_READY) => Error::new(absence(peer), said()),
        (Code::Unknown, None) if status.message().starts_with(NO_STATUS) => breach(said()),
        (Code::Unimplemented, _) => Error::new(ErrorKind::Unavailable, said()).with_retryable(false),
        (Code::Unknown, None) if peer == Peer::Worker => Error::new(ErrorKind::Remote, said()),
        (Code::Internal, _) => breach(said()),
        _ => by_code(status),
    })
}

/// An `error_message` for who asked for a tool of a worker or of a host: JSON, all of it.
pub fn to_message(error: &Error) -> String {
    to_json(error, error.message(), error.traceback()).to_string()
}

/// An `error_message` for the Python code that called a host tool, which sees nothing else: text.
pub fn to_text(error: &Error) -> String {
    match error.python_type() {
        Some(python_type) => format!("{python_type}: {error}"),
        None => error.to_string(),
    }
}

/// An `error_message` for a worker that registers tools. Of a `conflict` it has [`DUPLICATE`] in it, and the worker goes on.
pub fn to_registration(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Conflict => format!("{DUPLICATE}: {error}"),
        _ => error.to_string(),
    }
}

/// The status of a stream that failed. Its message is short enough for a worker's client, which takes 8 KiB of headers: texts in it are
/// cut.
pub fn to_status(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::Validation => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Deadline => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Saturated | ErrorKind::Limit => Code::ResourceExhausted,
        ErrorKind::Unavailable if !error.is_retryable() => Code::Unimplemented,
        ErrorKind::Unavailable | ErrorKind::WorkerDied => Code::Unavailable,
        ErrorKind::Conflict => Code::FailedPrecondition,
        _ => return Status::internal(short_json(error)),
    };
    Status::new(code, begin(error.message(), LONGEST_MESSAGE))
}

fn absence(peer: Peer) -> ErrorKind {
    match peer {
        Peer::Worker => ErrorKind::WorkerDied,
        Peer::Host => ErrorKind::Unavailable,
    }
}

fn breach(message: String) -> Error {
    Error::new(ErrorKind::Protocol, message).with_retryable(false)
}

/// The error of such a JSON object. `None` if it is none: it has a `type`, and a `message`.
fn exception(text: &str, peer: Peer) -> Option<Error> {
    let json: Value =
        super::json::strict(&text.to_owned().into()).and_then(|json| serde_json::from_slice(&json).ok())?;
    let (name, message) = (json["type"].as_str()?, json["message"].as_str()?);
    let kind = name.strip_prefix(OURS).filter(|_| peer == Peer::Host);
    let mut details = match (peer, &json["details"]) {
        (Peer::Host, Value::Object(details)) => details.clone(),
        _ => Map::new(),
    };
    if let Some(context) = json["context"].as_object().filter(|context| !context.is_empty()) {
        details.insert("context".into(), context.clone().into());
    }
    Error::from_json(&json!({
        "kind": kind.unwrap_or("remote"),
        "message": message,
        "python_type": kind.is_none().then_some(name),
        "traceback": traceback(&json),
        "details": (!details.is_empty()).then_some(details),
    }))
}

/// The text, or else its lines.
fn traceback(json: &Value) -> Option<String> {
    let lines = || json["stacktrace"].as_array()?.iter().map(Value::as_str).collect::<Option<String>>();
    let text = json["traceback"].as_str().map(str::to_owned).or_else(lines);
    text.filter(|text| !text.is_empty())
}

fn to_json(error: &Error, message: &str, traceback: Option<&str>) -> Value {
    let ours = || format!("{OURS}{}", error.kind());
    let mut details = error.details().and_then(Value::as_object).cloned().unwrap_or_default();
    let context = details.remove("context").unwrap_or_else(|| json!({}));
    let lines: Vec<&str> = traceback.map(|text| text.split_inclusive('\n').collect()).unwrap_or_default();
    let mut json = json!({
        "type": error.python_type().map_or_else(ours, str::to_owned),
        "message": message,
        "stacktrace": lines,
        "traceback": traceback.unwrap_or_default(),
        "context": context,
    });
    if !details.is_empty() {
        json["details"] = details.into();
    }
    json
}

/// The traceback once, and no details: what makes an error long.
fn short_json(error: &Error) -> String {
    let traceback = error.traceback().map(|text| end(text, LONGEST_TRACEBACK));
    let mut json = to_json(error, &begin(error.message(), LONGEST_MESSAGE), traceback.as_deref());
    json["type"] = begin(json["type"].as_str().unwrap_or_default(), LONGEST_MESSAGE / 4).into();
    for (key, most) in [("stacktrace", 0), ("details", 0), ("context", LONGEST_MESSAGE)] {
        let is_long = json.get(key).is_some_and(|value| value.to_string().len() > most);
        if let Some(fields) = json.as_object_mut().filter(|_| is_long) {
            fields.remove(key);
        }
    }
    json.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RAISED: &str = r#"{"type": "ValueError", "message": "x", "stacktrace": ["Traceback\n", "  line\n"],
        "traceback": "Traceback\n  line\n", "context": {"tool_name": "t", "session_id": "s"}}"#;

    fn read(text: &str) -> Error {
        of_message(text, Peer::Worker)
    }

    #[test]
    fn an_exception_is_read_with_all_that_is_said_of_it() {
        let error = read(RAISED);
        let expected = json!({
            "kind": "remote", "message": "x", "retryable": false, "python_type": "ValueError", "traceback": "Traceback\n  line\n",
            "details": {"context": {"tool_name": "t", "session_id": "s"}},
        });
        assert_eq!(error.to_json(), expected);
        assert_eq!(of_status(&Status::internal(RAISED), Peer::Worker).to_json(), expected);
    }

    #[test]
    fn what_is_less_than_an_exception_is_read_too() {
        assert_eq!(read(r#"{"type": "E", "message": "m"}"#).to_json()["python_type"], "E");
        assert_eq!(read(r#"{"type": "E", "message": "m", "stacktrace": ["a\n", "b"]}"#).traceback(), Some("a\nb"));
        assert_eq!(
            read(r#"{"type": "E", "message": "m", "context": {"x": NaN}}"#).details().unwrap()["context"]["x"],
            Value::Null
        );
        for plain in ["no such thing", r#"{"type": "E"}"#, r#"{"type": 1, "message": "m"}"#, "[]", "{"] {
            let error = read(plain);
            assert_eq!((error.kind(), error.message(), error.python_type()), (ErrorKind::Remote, plain, None));
        }
        assert_eq!(read(" ").message(), "the tool failed, and said nothing");
    }

    #[test]
    fn a_status_is_read_by_what_the_peer_means_by_it() {
        use ErrorKind::{Cancelled, Deadline, Limit, NotFound, Protocol, Remote, Unavailable, Validation, WorkerDied};
        for (code, worker, host) in [
            (Code::Unavailable, WorkerDied, Unavailable),
            (Code::Unimplemented, Unavailable, Unavailable),
            (Code::Unknown, Remote, Unavailable),
            (Code::Internal, Protocol, Protocol),
            (Code::ResourceExhausted, Limit, Limit),
            (Code::OutOfRange, Limit, Limit),
            (Code::DeadlineExceeded, Deadline, Deadline),
            (Code::Cancelled, Cancelled, Cancelled),
            (Code::NotFound, NotFound, NotFound),
            (Code::InvalidArgument, Validation, Validation),
        ] {
            let kind = |peer| of_status(&Status::new(code, "m"), peer).kind();
            assert_eq!((kind(Peer::Worker), kind(Peer::Host)), (worker, host), "{code:?}");
        }
        assert!(!of_status(&Status::unimplemented("m"), Peer::Worker).is_retryable());
        let below = Status::from_error(std::io::Error::other("the pipe broke").into());
        let not_ready = Status::unknown("Service was not ready: closed");
        for status in [below, not_ready] {
            assert_eq!(of_status(&status, Peer::Worker).kind(), ErrorKind::WorkerDied);
        }
    }

    #[test]
    fn what_was_refused_unseen_may_be_asked_again_and_is_nobody_s_death() {
        let mut status = Status::unavailable("http2 error: refused stream");
        assert_eq!(of_status(&status, Peer::Worker).kind(), ErrorKind::WorkerDied);
        status.set_source(std::sync::Arc::new(Refused));
        let error = of_status(&status, Peer::Worker);
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    }

    #[test]
    fn a_worker_s_exception_is_nothing_of_ours() {
        let text = r#"{"type": "hatchery.worker_died", "message": "m", "details": {"a": 1}}"#;
        let error = read(text);
        assert_eq!((error.kind(), error.python_type()), (ErrorKind::Remote, Some("hatchery.worker_died")));
        assert_eq!(of_message(text, Peer::Host).kind(), ErrorKind::WorkerDied);
    }

    #[test]
    fn an_error_of_the_host_comes_back_as_it_was() {
        let raised = json!({
            "kind": "remote", "message": "m", "retryable": false, "python_type": "E", "traceback": "a\nb\n",
            "details": {"context": {"tool_name": "t"}, "device": "cuda:0"},
        });
        let missing = Error::new(ErrorKind::NotFound, "no such tool: x").to_json();
        let bare = Error::new(ErrorKind::Remote, "m").to_json();
        for json in [raised, missing, bare] {
            let error = Error::from_json(&json).unwrap();
            assert_eq!(of_message(&to_message(&error), Peer::Host).to_json(), json);
        }
    }

    #[test]
    fn every_kind_comes_back_from_its_status() {
        use ErrorKind::{
            Cancelled, Conflict, Deadline, Internal, Limit, NotFound, Protocol, Remote, Unavailable, Validation,
        };
        for kind in
            [Cancelled, Conflict, Deadline, Internal, Limit, NotFound, Protocol, Remote, Unavailable, Validation]
        {
            let status = to_status(&Error::new(kind, "m"));
            assert_eq!(of_status(&status, Peer::Host).kind(), kind, "{status:?}");
        }
        let lacking = Error::new(Unavailable, "not a streaming tool").with_retryable(false);
        assert_eq!(to_status(&lacking).code(), Code::Unimplemented);
    }

    #[test]
    fn python_is_told_in_words() {
        assert_eq!(to_text(&read(RAISED)), "ValueError: x");
        assert_eq!(to_text(&Error::new(ErrorKind::NotFound, "Tool x not found")), "Tool x not found");
        let twice = Error::new(ErrorKind::Conflict, "a tool `x` is there");
        assert_eq!(to_registration(&twice), "duplicate_tool: a tool `x` is there");
        assert_eq!(of_registration(&to_registration(&twice)).kind(), ErrorKind::Conflict);
        let empty = Error::new(ErrorKind::Validation, "a tool without a name");
        assert!(!to_registration(&empty).contains(DUPLICATE));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_long_an_error_is_a_worker_s_client_takes_its_status(
            message in "(\\PC|\n){0,3000}", name in "[\"ä]{0,800}", traceback in "(\"\n|ü){0,4000}", context in ".{0,900}",
        ) {
            let error = Error::from_json(&json!({
                "kind": "remote", "message": message, "python_type": name, "traceback": traceback, "details": {"context": {"a": context}},
            }));
            let status = to_status(&error.unwrap());
            let headers = status.clone().into_http::<()>().into_parts().0.headers;
            let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            prop_assert!(length <= 8 << 10, "{}", length);
            prop_assert_eq!(of_status(&status, Peer::Host).kind(), ErrorKind::Remote);
        }

        #[test]
        fn any_text_is_an_error(text: String, object in "\\{\"type\": (\"E\"|1), \"message\": \".*\"(, \"(context|stacktrace|details)\": .{0,20})?\\}") {
            for text in [text, object] {
                for peer in [Peer::Worker, Peer::Host] {
                    let _error = of_message(&text, peer);
                    let _error = of_status(&Status::internal(&text), peer);
                }
            }
        }
    }
}
