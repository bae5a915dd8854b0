//! Sizes as people write them: `64KiB`, `2GiB`, `infinity`.

use super::duration::split;
use crate::error::{Error, ErrorKind, Result};

pub(super) const EXPECTED: &str = r#"a size like "512B", "64KiB", "20MiB", "2GiB" or "infinity""#;

/// In bytes, greatest first.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number and a unit of `B`, `KiB`, `MiB`, `GiB`, `TiB`, without a space, as bytes; `infinity` is [`u64::MAX`].
///
/// ```
/// assert_eq!(hatchery::parse_size("64KiB")?, 65536);
/// assert!(hatchery::parse_size("64KB").is_err());
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Validation`] for any other text.
pub fn parse_size(text: &str) -> Result<u64> {
    read(text).ok_or_else(|| Error::new(ErrorKind::Validation, format!("expected {EXPECTED}, found {text:?}")))
}

/// Writes a number of bytes so that [`parse_size`] reads it back: in the greatest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    if bytes == u64::MAX {
        return "infinity".to_owned();
    }
    match UNITS.iter().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => "0B".to_owned(),
    }
}

pub(super) fn read(text: &str) -> Option<u64> {
    if text == "infinity" {
        return Some(u64::MAX);
    }
    let (number, unit) = split(text)?;
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_values() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("2GiB", 2 << 30), ("infinity", u64::MAX)] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
            assert_eq!(format_size(bytes), text);
        }
        for text in ["", "KiB", "64", "64 KiB", "64kib", "64KB", "1.5GiB", "-1B", "99999999999TiB"] {
            let error = parse_size(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert_eq!(error.message(), format!("expected {EXPECTED}, found {text:?}"));
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _any = parse_size(&text);
        }

        #[test]
        fn what_is_written_is_read_back(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)).unwrap(), bytes);
        }
    }
}
