//! Durations as people write them: `250ms`, `30s`, `5m`, `1h`, `infinity`.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

pub(super) const EXPECTED: &str = r#"a duration like "250ms", "30s", "5m", "1h" or "infinity""#;

pub(super) const EXPECTED_ABOVE_ZERO: &str = r#"a duration above 0, like "250ms", "30s", "5m", "1h" or "infinity""#;

pub(super) const EXPECTED_FINITE: &str = r#"a duration that ends, like "250ms", "30s", "5m" or "1h""#;

pub(super) const EXPECTED_PERIOD: &str = r#"a duration above 0 that ends, like "250ms", "30s", "5m" or "1h""#;

/// In milliseconds, greatest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a whole number and a unit of `ms`, `s`, `m`, `h`, without a space; `infinity` is [`Duration::MAX`].
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(hatchery::parse_duration("250ms")?, Duration::from_millis(250));
/// assert_eq!(hatchery::parse_duration("infinity")?, Duration::MAX);
/// assert!(hatchery::parse_duration("12 parsecs").is_err());
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Validation`] for any other text.
pub fn parse_duration(text: &str) -> Result<Duration> {
    read(text).ok_or_else(|| Error::new(ErrorKind::Validation, format!("expected {EXPECTED}, found {text:?}")))
}

/// Writes a duration so that [`parse_duration`] reads it back: in the greatest unit that divides it. Parts of a
/// millisecond are left out.
pub fn format_duration(duration: Duration) -> String {
    if duration == Duration::MAX {
        return "infinity".to_owned();
    }
    let milliseconds = duration.as_millis();
    let divides = |(_, unit): &&(&str, u64)| milliseconds != 0 && milliseconds.is_multiple_of(u128::from(*unit));
    match UNITS.iter().find(divides) {
        Some((name, unit)) => format!("{}{name}", milliseconds / u128::from(*unit)),
        None => "0s".to_owned(),
    }
}

pub(super) fn read(text: &str) -> Option<Duration> {
    if text == "infinity" {
        return Some(Duration::MAX);
    }
    let (number, unit) = split(text)?;
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*milliseconds).map(Duration::from_millis)
}

/// The digits that a text begins with, and the rest.
pub(super) fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_values() {
        for (text, milliseconds) in
            [("250ms", 250), ("0s", 0), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("007s", 7000)]
        {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for text in
            ["", "s", "30", "30 s", " 30s", "30s ", "-1s", "1.5s", "1e3s", "5 m", "5min", "1H", "1d", "٣s", "Infinity"]
        {
            let error = parse_duration(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert_eq!(error.message(), format!("expected {EXPECTED}, found {text:?}"));
        }
        assert!(parse_duration("99999999999999999999s").is_err());
        assert!(parse_duration("18446744073709551615h").is_err());
    }

    #[test]
    fn written_in_the_greatest_unit_that_divides() {
        for (milliseconds, text) in [(0, "0s"), (250, "250ms"), (1500, "1500ms"), (60_000, "1m"), (5_400_000, "90m")] {
            assert_eq!(format_duration(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(format_duration(Duration::from_micros(1_999)), "1ms");
        assert_eq!(format_duration(Duration::from_nanos(1)), "0s");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _any = parse_duration(&text);
        }

        #[test]
        fn what_is_written_is_read_back(milliseconds: u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }
    }

    #[test]
    fn infinity_is_written_and_read_back() {
        assert_eq!(parse_duration(&format_duration(Duration::MAX)).unwrap(), Duration::MAX);
    }
}
