//! What a request says about its call besides the arguments: the options in its headers.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use hatchery::{CallOptions, Error, ErrorKind, Result};

use crate::failure::Failure;

/// Every header that begins so is ours, and one that we do not know is a mistake: to ignore it would be to promise what is
/// not kept.
const PREFIX: &str = "x-hatchery-";

/// Of a session's name and of a correlation id.
const LONGEST: usize = 256;

/// The options of the headers.
pub(crate) struct Options(pub(crate) CallOptions);

impl<S: Send + Sync> FromRequestParts<S> for Options {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Options, Failure> {
        Ok(Options(read(&parts.headers)?))
    }
}

fn read(headers: &HeaderMap) -> Result<CallOptions> {
    let wrong = |name: &str, found: String| Error::new(ErrorKind::Validation, format!("{PREFIX}{name}: {found}"));
    let ours = headers.keys().filter_map(|name| Some((name.as_str().strip_prefix(PREFIX)?, headers.get_all(name))));
    let options = ours.into_iter().try_fold(CallOptions::new(), |options, (name, values)| {
        let mut values = values.iter();
        match (values.next(), values.next()) {
            (Some(value), None) => with(options, name, value).map_err(|found| wrong(name, found)),
            _ => Err(wrong(name, "is there twice".into())),
        }
    })?;
    Ok(with_trace_parent(options, headers))
}

/// The W3C says to go on without one that is not well made, as if there were none.
fn with_trace_parent(options: CallOptions, headers: &HeaderMap) -> CallOptions {
    let said = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let with = |text: &str| options.clone().trace_parent(text);
    said.and_then(|text| with(text).ok()).unwrap_or(options)
}

fn with(options: CallOptions, name: &str, value: &HeaderValue) -> Result<CallOptions, String> {
    let text = value.to_str().map_err(|_| "expected ASCII")?;
    match name {
        "timeout" => {
            let timeout = hatchery::parse_duration(text).map_err(|error| error.message().to_owned())?;
            Ok(options.timeout(timeout))
        }
        "session" => Ok(options.session(short(text)?)),
        "correlation-id" => Ok(options.correlation_id(short(text)?)),
        "affinity" => Ok(options.affinity(parsed(text)?)),
        "worker" => Ok(options.worker(short(text)?)),
        "priority" => Ok(options.priority(parsed(text)?)),
        "tenant" => Ok(options.tenant(short(text)?)),
        "idempotent" => match text {
            "true" | "1" => Ok(options.idempotent(true)),
            "false" | "0" => Ok(options.idempotent(false)),
            other => Err(format!("expected true or false, found {other:?}")),
        },
        _ => {
            Err("no such option; there are timeout, session, affinity, worker, priority, tenant, idempotent and correlation-id"
                .into())
        }
    }
}

fn parsed<T: std::str::FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

fn short(text: &str) -> Result<&str, String> {
    match text.len() {
        1..=LONGEST => Ok(text),
        long => Err(format!("expected 1 to {LONGEST} characters, found {long}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &'static str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers.insert("x-other", HeaderValue::from_static("y"));
        read(&headers).map(|options| format!("{options:?}")).unwrap_or_else(|error| error.message().to_owned())
    }

    #[test]
    fn options_are_headers() {
        assert!(said("x-hatchery-timeout", "250ms").contains("timeout: Some(250ms)"));
        assert!(said("x-hatchery-session", "user-7").contains(r#"session: Some("user-7")"#));
        assert!(said("x-hatchery-affinity", "strict-queue").contains("affinity: Some(StrictQueue)"));
        assert!(said("x-hatchery-worker", "default-3").contains(r#"worker: Some("default-3")"#));
        assert!(said("x-hatchery-priority", "high").contains("priority: High"));
        assert!(said("x-hatchery-tenant", "acme").contains(r#"tenant: Some("acme")"#));
        assert!(said("x-hatchery-idempotent", "true").contains("idempotent: true"));
        assert!(said("x-hatchery-correlation-id", "order 1").contains(r#"correlation_id: Some("order 1")"#));
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append("x-hatchery-session", HeaderValue::from_static("a"));
        headers.append("x-hatchery-session", HeaderValue::from_static("a"));
        assert_eq!(read(&headers).unwrap_err().message(), "x-hatchery-session: is there twice");
    }

    #[test]
    fn a_trace_goes_with_the_call_and_a_bad_one_is_as_none() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(said("traceparent", trace).contains(trace));
        assert!(said("traceparent", "00-no").contains("trace_parent: None"));
    }

    #[test]
    fn a_mistake_names_its_header() {
        assert_eq!(
            said("x-hatchery-timeout", "soon"),
            r#"x-hatchery-timeout: expected a duration like "250ms", "30s", "5m", "1h" or "infinity", found "soon""#
        );
        assert!(said("x-hatchery-region", "eu").starts_with("x-hatchery-region: no such option; there are "));
        assert!(said("x-hatchery-affinity", "loose").contains("expected one of hint, strict-queue, strict-fail-fast"));
        assert!(said("x-hatchery-idempotent", "maybe").contains("expected true or false"));
        assert!(said("x-hatchery-session", "").contains("expected 1 to 256 characters, found 0"));
        assert!(said("x-hatchery-session", "é").contains("expected ASCII"));
    }
}
