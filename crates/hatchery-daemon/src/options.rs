//! What a request says about its call besides the arguments: the pool and the tool in its path, and the options in its
//! headers.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use hatchery::{CallOptions, Error, ErrorKind, Result};

use crate::failure::Failure;

/// Every header that begins so is ours, and one that we do not know is a mistake: to ignore it would be to promise what is
/// not kept.
const PREFIX: &str = "x-hatchery-";

/// Of a session's name and of a correlation id.
const LONGEST: usize = 256;

/// The pool and the tool of a path.
pub(crate) struct Callee {
    pub(crate) pool: String,
    pub(crate) tool: String,
}

/// The pool of a path that names nothing else.
pub(crate) struct PoolName(pub(crate) String);

/// The options of the headers.
pub(crate) struct Options(pub(crate) CallOptions);

impl<S: Send + Sync> FromRequestParts<S> for Callee {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Callee, Failure> {
        let Path((pool, tool)) = Path::from_request_parts(parts, state).await.map_err(misspelt)?;
        Ok(Callee { pool, tool })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PoolName {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PoolName, Failure> {
        let Path(pool) = Path::from_request_parts(parts, state).await.map_err(misspelt)?;
        Ok(PoolName(pool))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Options {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Options, Failure> {
        Ok(Options(read(&parts.headers)?))
    }
}

fn misspelt(why: PathRejection) -> Failure {
    Failure::new(ErrorKind::Validation, format!("the path: {}", why.body_text()))
}

fn read(headers: &HeaderMap) -> Result<CallOptions> {
    let ours = headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix(PREFIX)?, value)));
    ours.into_iter().try_fold(CallOptions::new(), |options, (name, value)| {
        with(options, name, value)
            .map_err(|found| Error::new(ErrorKind::Validation, format!("{PREFIX}{name}: {found}")))
    })
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
        "priority" => Ok(options.priority(parsed(text)?)),
        "tenant" => Ok(options.tenant(short(text)?)),
        "idempotent" => match text {
            "true" | "1" => Ok(options.idempotent(true)),
            "false" | "0" => Ok(options.idempotent(false)),
            other => Err(format!("expected true or false, found {other:?}")),
        },
        _ => {
            Err("no such option; there are timeout, session, affinity, priority, tenant, idempotent and correlation-id"
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
        assert!(said("x-hatchery-priority", "high").contains("priority: High"));
        assert!(said("x-hatchery-tenant", "acme").contains(r#"tenant: Some("acme")"#));
        assert!(said("x-hatchery-idempotent", "true").contains("idempotent: true"));
        assert!(said("x-hatchery-correlation-id", "order 1").contains(r#"correlation_id: Some("order 1")"#));
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
