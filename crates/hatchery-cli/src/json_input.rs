//! JSON that a person or a file gives us: objects only, and errors that point at the place.

use std::fmt::Write as _;

use hatchery::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

/// How many characters of a bad line are shown on either side of the bad one.
const SHOWN: usize = 36;

/// Reads one JSON object. `what` names the text in errors: "arguments".
pub(crate) fn object(what: &str, text: &[u8]) -> Result<Map<String, Value>> {
    read(text, what, |error| (error.line() as u64, format!("{what}: not JSON at line {}", error.line())))
}

/// Reads the one JSON object that stands on this line of an input.
pub(crate) fn object_on_line(line: u64, text: &[u8]) -> Result<Map<String, Value>> {
    read(text, &format!("line {line}"), |_| (line, format!("not JSON at line {line}")))
}

/// `place` gives the line of an error, and the beginning of the sentence about it.
fn read(
    text: &[u8],
    what: &str,
    place: impl FnOnce(&serde_json::Error) -> (u64, String),
) -> Result<Map<String, Value>> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(ErrorKind::Validation, wanted(what, "nothing")));
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Error::new(ErrorKind::Validation, not_an_object(what, &other))),
        Err(error) => Err(bad_json(text, &error, place(&error))),
    }
}

fn not_an_object(what: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    wanted(what, found)
}

fn wanted(what: &str, found: &str) -> String {
    format!("{what}: found {found}, where a JSON object of arguments by name is needed, like {{\"text\": \"a b a\"}}")
}

fn bad_json(text: &[u8], error: &serde_json::Error, (line, beginning): (u64, String)) -> Error {
    let column = error.column();
    // serde_json ends its sentence with the place, which we say ourselves.
    let reason = error.to_string();
    let reason = reason.rsplit_once(" at line").map_or(reason.as_str(), |(reason, _)| reason);
    let mut message = format!("{beginning}, column {column}: {reason}");
    let text = String::from_utf8_lossy(text);
    if let Some(excerpt) = text.lines().nth(error.line().saturating_sub(1)) {
        let _strings_do_not_fail = write!(message, "\n{}", pointed_at(excerpt, column));
    }
    Error::new(ErrorKind::Validation, message).with_details(json!({ "line": line, "column": column }))
}

/// The part of the line around the byte column, and under it a caret.
fn pointed_at(line: &str, column: usize) -> String {
    let before = line.floor_char_boundary(column.saturating_sub(1));
    let characters = line[..before].chars().count();
    let start = characters.saturating_sub(SHOWN);
    let shown: String =
        line.chars().skip(start).take(2 * SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("  {shown}\n  {}^", " ".repeat(characters - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        object("arguments", text.as_bytes()).unwrap_err().message().to_owned()
    }

    #[test]
    fn big_integers_and_the_order_of_keys_are_kept() {
        let text = r#"{"b":123456789012345678901234567890,"a":{"z":1,"y":0.10}}"#;
        assert_eq!(serde_json::to_string(&object("arguments", text.as_bytes()).unwrap()).unwrap(), text);
    }

    #[test]
    fn bad_json_is_pointed_at() {
        let expected =
            "arguments: not JSON at line 1, column 12: expected `,` or `}`\n  {\"text\":\"a\"b\"}\n             ^";
        assert_eq!(message(r#"{"text":"a"b"}"#), expected);
        let error = object("arguments", b"{\n \"a\": }").unwrap_err();
        assert_eq!(error.details().unwrap(), &json!({ "line": 2, "column": 7 }));
        assert!(error.message().ends_with("\n   \"a\": }\n        ^"), "{}", error.message());
    }

    #[test]
    fn a_line_of_an_input_has_its_number_there() {
        let error = object_on_line(7, b"{bad}\n").unwrap_err();
        assert_eq!(error.message(), "not JSON at line 7, column 2: key must be a string\n  {bad}\n   ^");
        assert_eq!(error.details().unwrap(), &json!({ "line": 7, "column": 2 }));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let message = message(&format!("{{\"k\":\"{}\" ! \"{}\"}}", "é".repeat(500), "x".repeat(500)));
        let shown: Vec<&str> = message.lines().skip(1).collect();
        assert!(shown.iter().all(|line| line.chars().count() <= 2 * SHOWN + 2), "{message}");
        assert_eq!(shown[0].chars().nth(shown[1].chars().count() - 1), Some('!'), "{message}");
    }

    #[test]
    fn text_that_ends_too_early_is_pointed_at_too() {
        assert!(message("{\"a\":").ends_with("\n  {\"a\":\n      ^"), "{}", message("{\"a\":"));
    }

    #[test]
    fn another_value_than_an_object_is_named() {
        assert!(message("[1]").contains("found an array"));
        assert!(message(" \n").contains("found nothing"));
        assert!(message("\"x\"").contains("found a string"));
    }
}
