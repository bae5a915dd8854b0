//! JSON as Python writes it.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The tokens that Python's own `json` writes for numbers that JSON does not have.
const NOT_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The text without the spaces around it, if it is JSON; numbers that JSON does not have are null. `None` if it is not JSON.
/// Nothing is copied unless something had to be replaced.
pub(super) fn strict(text: &Bytes) -> Option<Bytes> {
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(text) {
        return Some(text.slice_ref(raw.get().as_bytes()));
    }
    match without_special_numbers(std::str::from_utf8(text).ok()?) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => serde_json::from_str::<Box<RawValue>>(&text).ok().map(|raw| owned(&raw)),
    }
}

/// The JSON text of a text.
pub(super) fn string(text: &str) -> Bytes {
    serde_json::Value::from(text).to_string().into()
}

fn owned(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}

fn without_special_numbers(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('"') {
            at += string_length(rest);
        } else if let Some(token) = NOT_NUMBERS.iter().find(|token| rest.starts_with(**token)) {
            out.push_str(&text[copied..at]);
            out.push_str("null");
            at += token.len();
            copied = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The length of the string at the front of `text`, with its quotes; all of `text`, if it has no end.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, letter)| {
        let is_end = *letter == '"' && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let text = strict(&Bytes::copy_from_slice(text.as_bytes()))?;
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn what_python_writes_is_read() {
        for (written, expected) in [
            (" [1, 2]\n", Some("[1, 2]")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            (r#"[NaN, Infinity,-Infinity, "NaN \" Infinity", 1]"#, Some(r#"[null, null,null, "NaN \" Infinity", 1]"#)),
            (r#"{"ü": NaN}"#, Some(r#"{"ü": null}"#)),
            (" NaN ", Some("null")),
            ("NaNull", None),
            ("-NaN", None),
            ("[NaN", None),
            ("\"NaN", None),
            ("{'a': 1}", None),
            ("None", None),
            ("", None),
        ] {
            assert_eq!(read(written).as_deref(), expected, "{written}");
        }
        assert_eq!(strict(&Bytes::from_static(b"\"\xff\"")), None);
    }

    #[test]
    fn json_is_not_copied() {
        let text = Bytes::from_static(b" {\"a\": 1}");
        assert_eq!(strict(&text).unwrap().as_ptr(), text[1..].as_ptr());
    }
}
