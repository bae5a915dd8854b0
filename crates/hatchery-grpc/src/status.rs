//! Errors as gRPC statuses, and back. This is the only place that knows which code means what.
//!
//! The structured error stands in `grpc-status-details-bin`: a `google.rpc.Status` with a [`v1::Error`] in its details. Metadata has
//! to be short (clients take 8 KiB by default), so long texts in it are cut; HTTP has them whole.

use hatchery::{Error, ErrorKind};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::google::{Any, RpcStatus};
use crate::v1;

/// Of `grpc-message`, in bytes. Encoded it can be three times as long.
const LONGEST_HEADLINE: usize = 512;

/// Of the message in the details.
const LONGEST_MESSAGE: usize = 1024;

/// Of the name of an exception's type.
const LONGEST_TYPE: usize = 256;

/// Of the details. Encoded they are a third longer.
const LONGEST_DETAILS: usize = 4096;

/// What the details of an error say if its caller may not do that, or is not known: no kind means that.
const UNAUTHENTICATED: &str = "unauthenticated";
const FORBIDDEN: &str = "forbidden";

/// Where `google.rpc.Status` has the structured error.
const TYPE_URL: &str = "type.googleapis.com/hatchery.v1.Error";

/// The status of an error.
pub fn of(error: &Error) -> Status {
    let code = code(error);
    let message = begin(error.message(), LONGEST_HEADLINE);
    let told = Any { type_url: TYPE_URL.to_owned(), value: fitted(told(error)).encode_to_vec().into() };
    let details = RpcStatus { code: code as i32, message: message.clone(), details: vec![told] };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// The error of a status, for clients: what stands in its details, else what its code says.
pub fn error(status: &Status) -> Error {
    let details = RpcStatus::decode(status.details()).unwrap_or_default().details;
    let told = details.iter().find(|detail| detail.type_url == TYPE_URL);
    let told = told.and_then(|detail| v1::Error::decode(detail.value.clone()).ok());
    told.and_then(heard).unwrap_or_else(|| by_code(status))
}

fn code(error: &Error) -> Code {
    let reason = error.details().and_then(|details| details["reason"].as_str());
    match (error.kind(), reason) {
        (ErrorKind::Unavailable, Some(UNAUTHENTICATED)) => Code::Unauthenticated,
        (ErrorKind::Unavailable, Some(FORBIDDEN)) => Code::PermissionDenied,
        (ErrorKind::Validation, _) => Code::InvalidArgument,
        (ErrorKind::NotFound, _) => Code::NotFound,
        (ErrorKind::Remote, _) => Code::Aborted,
        (ErrorKind::Deadline, _) => Code::DeadlineExceeded,
        (ErrorKind::Cancelled, _) => Code::Cancelled,
        (ErrorKind::Saturated | ErrorKind::Limit, _) => Code::ResourceExhausted,
        (ErrorKind::Unavailable | ErrorKind::WorkerDied, _) => Code::Unavailable,
        (ErrorKind::Conflict, _) => Code::FailedPrecondition,
        // `protocol`, `internal`, and kinds that a newer library may have: all are ours to explain.
        _ => Code::Internal,
    }
}

/// Of a status that is not a daemon's own: what stands between said it, or the transport.
pub(crate) fn by_code(status: &Status) -> Error {
    let kind = match status.code() {
        Code::InvalidArgument => ErrorKind::Validation,
        Code::NotFound => ErrorKind::NotFound,
        Code::Aborted => ErrorKind::Remote,
        Code::DeadlineExceeded => ErrorKind::Deadline,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::ResourceExhausted | Code::OutOfRange => ErrorKind::Limit,
        Code::FailedPrecondition | Code::AlreadyExists => ErrorKind::Conflict,
        Code::Unimplemented | Code::DataLoss => ErrorKind::Protocol,
        Code::Ok | Code::Internal => ErrorKind::Internal,
        Code::Unavailable | Code::Unknown | Code::Unauthenticated | Code::PermissionDenied => ErrorKind::Unavailable,
    };
    let error = Error::new(kind, format!("{}: {}", status.code(), status.message()));
    match status.code() {
        Code::Unauthenticated => error.with_retryable(false).with_details(json!({ "reason": UNAUTHENTICATED })),
        Code::PermissionDenied => error.with_retryable(false).with_details(json!({ "reason": FORBIDDEN })),
        _ => error,
    }
}

fn told(error: &Error) -> v1::Error {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    v1::Error {
        kind: error.kind().as_str().to_owned(),
        message: begin(error.message(), LONGEST_MESSAGE),
        retryable: error.is_retryable(),
        python_type: error.python_type().map(|name| begin(name, LONGEST_TYPE)),
        traceback: owned(error.traceback()),
        details: error.details().map(|details| details.to_string().into()),
        correlation_id: owned(error.correlation_id()),
        last_output: error.last_output().to_vec(),
    }
}

/// Takes from it what is too much: of a traceback the begin, of the last lines the first, then the facts.
fn fitted(mut error: v1::Error) -> v1::Error {
    if let Some(traceback) = &mut error.traceback {
        *traceback = end(traceback, LONGEST_DETAILS / 2);
    }
    if error.details.as_ref().is_some_and(|details| details.len() > LONGEST_DETAILS / 4) {
        error.details = None;
    }
    while error.encoded_len() > LONGEST_DETAILS - LONGEST_HEADLINE && !error.last_output.is_empty() {
        error.last_output.remove(0);
    }
    error
}

/// As [`Error::from_json`] reads it.
fn heard(error: v1::Error) -> Option<Error> {
    let details = error.details.as_deref().and_then(|text| serde_json::from_slice::<Value>(text).ok());
    Error::from_json(&json!({
        "kind": error.kind,
        "message": error.message,
        "retryable": error.retryable,
        "python_type": error.python_type,
        "traceback": error.traceback,
        "details": details,
        "correlation_id": error.correlation_id,
        "last_output": error.last_output,
    }))
}

/// As much of the begin as may be.
pub(crate) fn begin(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most - '…'.len_utf8())])
}

/// As much of the end as may be.
pub(crate) fn end(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("…{}", &text[text.ceil_char_boundary(text.len() - most + '…'.len_utf8())..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code_and_comes_back() {
        let expected = [
            (ErrorKind::Validation, Code::InvalidArgument),
            (ErrorKind::NotFound, Code::NotFound),
            (ErrorKind::Remote, Code::Aborted),
            (ErrorKind::Deadline, Code::DeadlineExceeded),
            (ErrorKind::Cancelled, Code::Cancelled),
            (ErrorKind::Saturated, Code::ResourceExhausted),
            (ErrorKind::Limit, Code::ResourceExhausted),
            (ErrorKind::Unavailable, Code::Unavailable),
            (ErrorKind::WorkerDied, Code::Unavailable),
            (ErrorKind::Conflict, Code::FailedPrecondition),
            (ErrorKind::Protocol, Code::Internal),
            (ErrorKind::Internal, Code::Internal),
        ];
        for (kind, code) in expected {
            let status = of(&Error::new(kind, "m"));
            assert_eq!((status.code(), status.message()), (code, "m"));
            assert_eq!(error(&status).kind(), kind);
        }
    }

    #[test]
    fn nothing_of_an_error_is_lost_on_the_way() {
        let sent = Error::from_json(&json!({
            "kind": "remote", "message": "no", "retryable": true, "python_type": "app.Quota", "traceback": "T\n", "details": {"a": 1},
            "correlation_id": "c", "last_output": ["x", "y"],
        }));
        let sent = sent.unwrap();
        assert_eq!(error(&of(&sent)).to_json(), sent.to_json());
        let bare = Error::new(ErrorKind::Saturated, "full");
        assert_eq!(error(&of(&bare)).to_json(), bare.to_json());
    }

    #[test]
    fn however_long_an_error_is_its_metadata_is_short_and_the_best_of_it_is_there() {
        let lines: Vec<String> = (0..50).map(|line| format!("{line} {}", "ö".repeat(100))).collect();
        let long = Error::from_json(&json!({
            "kind": "remote", "message": "é".repeat(5000), "python_type": "T".repeat(5000),
            "traceback": format!("{}the last line", "ü".repeat(5000)), "details": {"a": "ä".repeat(5000)}, "last_output": lines,
        }));
        let status = of(&long.unwrap());
        let headers = status.clone().into_http::<()>().into_parts().0.headers;
        let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(length <= 8 << 10, "{length}");
        let came = error(&status);
        assert!(came.traceback().unwrap().starts_with('…') && came.traceback().unwrap().ends_with("the last line"));
        assert!(came.message().ends_with('…') && came.details().is_none());
        let died = Error::from_json(&json!({ "kind": "worker_died", "message": "m", "last_output": lines })).unwrap();
        let came = error(&of(&died));
        assert!(came.last_output().len() > 5 && came.last_output().last() == lines.last(), "{came:?}");
    }

    #[test]
    fn who_is_not_let_in_is_told_so_by_the_code() {
        for (reason, code) in [(UNAUTHENTICATED, Code::Unauthenticated), (FORBIDDEN, Code::PermissionDenied)] {
            let denied = Error::new(ErrorKind::Unavailable, "no").with_details(json!({ "reason": reason }));
            assert_eq!(of(&denied).code(), code);
            let elsewhere = error(&Status::new(code, "no"));
            assert_eq!(
                (elsewhere.kind(), &elsewhere.details().unwrap()["reason"]),
                (ErrorKind::Unavailable, &json!(reason))
            );
            assert!(!elsewhere.is_retryable());
        }
        // What an app raises is not taken for ours.
        let raised = Error::new(ErrorKind::Remote, "no").with_details(json!({ "reason": FORBIDDEN }));
        assert_eq!(of(&raised).code(), Code::Aborted);
    }

    #[test]
    fn a_status_of_somebody_else_is_read_by_its_code() {
        let read = |code| error(&Status::new(code, "m")).kind();
        assert_eq!(read(Code::DeadlineExceeded), ErrorKind::Deadline);
        assert_eq!(read(Code::Unknown), ErrorKind::Unavailable);
        assert_eq!(read(Code::OutOfRange), ErrorKind::Limit);
        let garbage = Status::with_details(Code::NotFound, "m", "garbage".into());
        assert_eq!(error(&garbage).kind(), ErrorKind::NotFound);
    }
}
