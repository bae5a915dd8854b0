//! What a message and its metadata say about a call besides its arguments.

use std::time::Duration;

use hatchery::{Affinity, CallOptions, Error, ErrorKind, Priority, Result};
use hatchery_grpc::v1;
use tonic::metadata::MetadataMap;

use crate::options::short;

/// How the call is to be made.
///
/// # Errors
/// `validation`, with the field that is wrong.
pub(super) fn options(message: Option<v1::CallOptions>, metadata: &MetadataMap) -> Result<CallOptions> {
    let message = message.unwrap_or_default();
    let mut options = CallOptions::new().idempotent(message.idempotent).priority(priority(message.priority)?);
    let said = message.timeout_ms.map(Duration::from_millis);
    if let Some(timeout) = said.into_iter().chain(timeout(metadata)?).min() {
        options = options.timeout(timeout);
    }
    if let Some(affinity) = affinity(message.affinity)? {
        options = options.affinity(affinity);
    }
    options = named(options, "session", &message.session, CallOptions::session)?;
    options = named(options, "correlation_id", &message.correlation_id, CallOptions::correlation_id)?;
    options = named(options, "tenant", &message.tenant, CallOptions::tenant)?;
    options = named(options, "worker", &message.worker, CallOptions::worker)?;
    Ok(traced(options, metadata))
}

/// What `grpc-timeout` leaves: up to eight digits and a unit.
///
/// # Errors
/// `validation` for anything else.
pub(super) fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>> {
    let Some(value) = metadata.get("grpc-timeout") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let expected =
        || wrong("grpc-timeout", format!("expected up to 8 digits and one of H, M, S, m, u, n, found {text:?}"));
    duration(text).map(Some).ok_or_else(expected)
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_count = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_count)?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// A `traceparent` that is none is passed over: so the W3C has it, for what stands between may have spoilt it.
pub(super) fn traced(options: CallOptions, metadata: &MetadataMap) -> CallOptions {
    let mut values = metadata.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return options };
    let text = value.to_str().unwrap_or_default();
    options.clone().trace_parent(text).unwrap_or(options)
}

fn named(
    options: CallOptions,
    field: &str,
    text: &str,
    set: impl FnOnce(CallOptions, String) -> CallOptions,
) -> Result<CallOptions> {
    if text.is_empty() {
        return Ok(options);
    }
    let text = short(text).map_err(|found| wrong(field, found))?;
    Ok(set(options, text.to_owned()))
}

fn affinity(number: i32) -> Result<Option<Affinity>> {
    match v1::Affinity::try_from(number) {
        Ok(v1::Affinity::Unspecified) => Ok(None),
        Ok(v1::Affinity::Hint) => Ok(Some(Affinity::Hint)),
        Ok(v1::Affinity::StrictQueue) => Ok(Some(Affinity::StrictQueue)),
        Ok(v1::Affinity::StrictFailFast) => Ok(Some(Affinity::StrictFailFast)),
        Err(_) => Err(wrong("affinity", format!("no value has the number {number}"))),
    }
}

fn priority(number: i32) -> Result<Priority> {
    match v1::Priority::try_from(number) {
        Ok(v1::Priority::Unspecified | v1::Priority::Normal) => Ok(Priority::Normal),
        Ok(v1::Priority::Low) => Ok(Priority::Low),
        Ok(v1::Priority::High) => Ok(Priority::High),
        Err(_) => Err(wrong("priority", format!("no value has the number {number}"))),
    }
}

fn wrong(field: &str, found: String) -> Error {
    Error::new(ErrorKind::Validation, format!("{field}: {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(name: &'static str, value: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert(name, value.parse().unwrap());
        metadata
    }

    fn said(message: v1::CallOptions, metadata: &MetadataMap) -> String {
        options(Some(message), metadata).map(|options| format!("{options:?}")).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn every_option_is_passed_on() {
        let message = v1::CallOptions {
            session: "user-7".into(),
            affinity: v1::Affinity::StrictQueue.into(),
            priority: v1::Priority::High.into(),
            tenant: "acme".into(),
            idempotent: true,
            correlation_id: "order 1".into(),
            worker: "default-1".into(),
            timeout_ms: Some(250),
        };
        let said = said(message, &MetadataMap::new());
        for option in [
            r#"session: Some("user-7")"#,
            "affinity: Some(StrictQueue)",
            "priority: High",
            r#"tenant: Some("acme")"#,
            "idempotent: true",
            r#"correlation_id: Some("order 1")"#,
            r#"worker: Some("default-1")"#,
            "timeout: Some(250ms)",
        ] {
            assert!(said.contains(option), "{option} is not in {said}");
        }
    }

    #[test]
    fn the_shorter_of_two_timeouts_holds() {
        let message = |timeout_ms| v1::CallOptions { timeout_ms, ..Default::default() };
        let said = |timeout_ms, said_too: &str| said(message(timeout_ms), &metadata("grpc-timeout", said_too));
        assert!(said(Some(250), "1S").contains("timeout: Some(250ms)"));
        assert!(said(Some(250), "100m").contains("timeout: Some(100ms)"));
        assert!(said(None, "99999999H").contains("timeout: Some("));
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(
            ["1H", "2M", "3S", "4m", "5u", "6n"].map(duration).map(Option::unwrap),
            [
                Duration::from_secs(3600),
                Duration::from_secs(120),
                Duration::from_secs(3),
                Duration::from_millis(4),
                Duration::from_micros(5),
                Duration::from_nanos(6),
            ]
        );
        assert_eq!(["", "S", "1", "1s", "-1S", "123456789S", "1 S", "1é"].map(duration), [None; 8]);
        let error = timeout(&metadata("grpc-timeout", "soon")).unwrap_err();
        assert_eq!(
            error.message(),
            r#"grpc-timeout: expected up to 8 digits and one of H, M, S, m, u, n, found "soon""#
        );
    }

    #[test]
    fn a_span_is_passed_on_and_what_is_none_is_passed_over() {
        let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = |text| said(v1::CallOptions::default(), &metadata("traceparent", text));
        assert!(traced(span).contains(span));
        assert!(traced("00-none").contains("trace_parent: None"));
    }

    #[test]
    fn a_mistake_names_its_field() {
        let said = |message| said(message, &MetadataMap::new());
        let wrong = said(v1::CallOptions { affinity: 9, ..Default::default() });
        assert_eq!(wrong, "affinity: no value has the number 9");
        let long = said(v1::CallOptions { session: "x".repeat(300), ..Default::default() });
        assert_eq!(long, "session: expected 1 to 256 characters, found 300");
    }
}
