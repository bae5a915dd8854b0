//! Errors as HTTP answers. This is the only place that knows which status means what.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hatchery::{Error, ErrorKind};

use crate::denial::Denial;

/// What a handler that failed answers.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Error);

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Failure {
        Failure(Error::new(kind, message))
    }

    /// The same under another status, for what HTTP has a word for and hatchery has not.
    pub(crate) fn with_status(&self, status: StatusCode) -> Response {
        json(status, body(&self.0))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Some(denial) = Denial::of(&self.0) else { return self.with_status(status(self.0.kind())) };
        let mut response = self.with_status(status_of_denial(denial));
        match denial {
            Denial::Unauthenticated => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Denial::TooMany { retry_after } => {
                let seconds = retry_after.as_secs_f64().ceil() as u64;
                response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
            }
            Denial::Forbidden => {}
        }
        response
    }
}

/// A JSON text as an answer.
pub(crate) fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// `{"error": ...}`.
pub(crate) fn body(error: &Error) -> String {
    serde_json::json!({ "error": error.to_json() }).to_string()
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Validation => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Limit => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Remote => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Saturated => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Cancelled => CLIENT_CLOSED_REQUEST,
        ErrorKind::WorkerDied | ErrorKind::Protocol => StatusCode::BAD_GATEWAY,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
        // `Internal`, and kinds that a newer library may have: both are ours to explain.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn status_of_denial(denial: Denial) -> StatusCode {
    match denial {
        Denial::Unauthenticated => StatusCode::UNAUTHORIZED,
        Denial::Forbidden => StatusCode::FORBIDDEN,
        Denial::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
    }
}

/// Nginx's, and understood since.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => panic!("499 is between 100 and 999"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        let expected = [
            (ErrorKind::Validation, 400),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Limit, 413),
            (ErrorKind::Remote, 422),
            (ErrorKind::Saturated, 429),
            (ErrorKind::Cancelled, 499),
            (ErrorKind::Internal, 500),
            (ErrorKind::WorkerDied, 502),
            (ErrorKind::Protocol, 502),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Deadline, 504),
        ];
        for (kind, number) in expected {
            assert_eq!(Failure::new(kind, "m").into_response().status().as_u16(), number, "{kind}");
        }
    }

    #[test]
    fn who_is_not_let_in_is_told_what_would_help() {
        let answer = |denial: Denial| {
            let response = Failure(denial.error("no")).into_response();
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), header(header::WWW_AUTHENTICATE), header(header::RETRY_AFTER))
        };
        assert_eq!(answer(Denial::Unauthenticated), (401, Some("Bearer".into()), None));
        assert_eq!(answer(Denial::Forbidden), (403, None, None));
        let retry_after = std::time::Duration::from_millis(1200);
        assert_eq!(answer(Denial::TooMany { retry_after }), (429, None, Some("2".into())));
    }

    #[test]
    fn the_body_is_the_structured_error() {
        let text = body(&Error::new(ErrorKind::Saturated, "queue is full"));
        assert_eq!(text, r#"{"error":{"kind":"saturated","message":"queue is full","retryable":true}}"#);
    }
}
