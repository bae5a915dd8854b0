//! Lays out JSON text for people: indented, coloured, or on one line. It works on the text itself, so that numbers,
//! escapes and the order of keys stay exactly as the worker sent them.

use crate::colour::Paint;

/// Two spaces per level, as on a terminal.
pub(crate) fn indented(json: &str, paint: Paint) -> String {
    lay_out(json, true, paint)
}

/// One line. Text that is one line already, and is not to be coloured, is left untouched.
pub(crate) fn one_line(json: &str, paint: Paint) -> String {
    if paint.is_on() || json.contains(['\n', '\r']) { lay_out(json, false, paint) } else { json.to_owned() }
}

fn lay_out(json: &str, indent: bool, paint: Paint) -> String {
    let mut layout = Layout { out: String::with_capacity(json.len() * 2), depth: 0, indent };
    let mut rest = json.trim_start();
    while let Some((token, after)) = next_token(rest) {
        rest = after.trim_start();
        match token {
            "{" | "[" if rest.starts_with(['}', ']']) => layout.out.push_str(token),
            "{" | "[" => layout.open(token),
            "}" | "]" if layout.out.ends_with(['{', '[']) => layout.out.push_str(token),
            "}" | "]" => layout.close(token),
            "," => layout.next_item(),
            ":" => layout.out.push_str(if indent { ": " } else { ":" }),
            _ if rest.starts_with(':') => layout.out.push_str(&paint.cyan(token)),
            _ if token.starts_with('"') => layout.out.push_str(&paint.green(token)),
            _ => layout.out.push_str(&paint.yellow(token)),
        }
    }
    layout.out
}

struct Layout {
    out: String,
    depth: usize,
    indent: bool,
}

impl Layout {
    fn open(&mut self, bracket: &str) {
        self.out.push_str(bracket);
        self.depth += 1;
        self.new_line();
    }

    fn close(&mut self, bracket: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.new_line();
        self.out.push_str(bracket);
    }

    fn next_item(&mut self) {
        self.out.push(',');
        self.new_line();
    }

    fn new_line(&mut self) {
        if self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }
}

/// The first token of text that does not begin with white space, and what follows it.
fn next_token(text: &str) -> Option<(&str, &str)> {
    let length = match text.chars().next()? {
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        '"' => string_length(text),
        _ => text.find(|c: char| "{}[],:\"".contains(c) || c.is_whitespace()).unwrap_or(text.len()),
    };
    Some(text.split_at(length))
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_by_two_and_keeps_empty_containers_together() {
        let json = r#"{"b":[1,{"x":[]}],"a":{}}"#;
        let expected = "{\n  \"b\": [\n    1,\n    {\n      \"x\": []\n    }\n  ],\n  \"a\": {}\n}";
        assert_eq!(indented(json, Paint::PLAIN), expected);
    }

    #[test]
    fn numbers_escapes_and_brackets_in_strings_stay_as_they_are() {
        let json = r#"[123456789012345678901234567890,1e400,"\"[{\\"]"#;
        let expected = "[\n  123456789012345678901234567890,\n  1e400,\n  \"\\\"[{\\\\\"\n]";
        assert_eq!(indented(json, Paint::PLAIN), expected);
        assert_eq!(one_line(json, Paint::PLAIN), json);
    }

    #[test]
    fn text_of_several_lines_becomes_one() {
        assert_eq!(one_line("{\n  \"a b\": [1,\r\n 2]\n}\n", Paint::PLAIN), r#"{"a b":[1,2]}"#);
    }

    #[test]
    fn colours_tell_keys_from_strings() {
        let painted = one_line(r#"{"k":"v"}"#, Paint::BRIGHT);
        assert_eq!(painted, "{\x1b[36m\"k\"\x1b[0m:\x1b[32m\"v\"\x1b[0m}");
    }

    #[test]
    fn what_is_not_json_ends_and_loses_nothing() {
        assert_eq!(one_line("\"open\n]x", Paint::BRIGHT), "\x1b[32m\"open\n]x\x1b[0m");
    }
}
