//! What a host tool may be called, and what may be said of it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};

/// In bytes.
const LONGEST_NAME: usize = 64;
const MAX_ENTRIES: usize = 32;
/// As JSON, in bytes.
const MAX_METADATA: usize = 4096;

/// The name without spaces around it.
pub(super) fn checked(name: &str) -> Result<&str> {
    let name = name.trim();
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let begins = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let (reason, found) = match name.len() {
        0 => ("empty", "nothing".to_owned()),
        length if length > LONGEST_NAME => ("too_long", format!("{length} bytes")),
        _ if !begins || !name.bytes().all(is_inside) => ("invalid_format", format!("{name:?}")),
        _ => return Ok(name),
    };
    let expected = "expected a letter or digit, then letters, digits, `_`, `-` or `.`, 64 bytes at most";
    Err(refused(name, ErrorKind::Validation, reason, format!("name of a host tool: {expected}; found {found}")))
}

/// Whether it is small enough to be sent to everybody who asks.
pub(super) fn check_metadata(name: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
    let bytes = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
    let (reason, found) = match metadata.len() {
        count if count > MAX_ENTRIES => ("too_many_entries", format!("{count} entries")),
        _ if bytes > MAX_METADATA => ("too_large", format!("{bytes} bytes")),
        _ => return Ok(()),
    };
    let expected = "expected 32 entries and 4096 bytes of JSON at most";
    Err(refused(
        name,
        ErrorKind::Validation,
        reason,
        format!("host tool {name}: its metadata: {expected}; found {found}"),
    ))
}

/// An error about a tool that is to be registered.
pub(super) fn refused(name: &str, kind: ErrorKind, reason: &str, message: String) -> Error {
    let name = &name[..name.floor_char_boundary(256)];
    Error::new(kind, message).with_details(json!({ "reason": reason, "tool": name }))
}
