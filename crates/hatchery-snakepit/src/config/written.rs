//! Text in quotes: strings, charlists, heredocs and sigils, with their escapes.

use super::cursor::{Cursor, Malformed, Mark};
use super::term::{Term, Value};

impl Cursor<'_> {
    /// Text that begins with this quote, of which there may be three: nothing if there is a value in the middle of it.
    pub(super) fn quoted(&mut self, quote: char) -> Result<Option<String>, Malformed> {
        let begun = self.mark();
        let three = String::from_iter([quote; 3]);
        if self.eat(&three) {
            return self.heredoc(begun, &three, true);
        }
        self.bump();
        self.up_to(begun, &quote.to_string(), true)
    }

    /// `~w(a b)` and its like; nothing if it is none of words, text or charlist.
    pub(super) fn sigil(&mut self) -> Result<Option<Value>, Malformed> {
        let begun = self.mark();
        self.bump();
        let name = self.bump_while(char::is_alphabetic);
        let Some(open) = self.peek().filter(|c| "/|\"'([{<".contains(*c)) else {
            return Err(self.expected("a delimiter of a sigil"));
        };
        let escapes = name.chars().all(char::is_lowercase);
        let text = self.sigil_text(begun, open, escapes)?;
        let modifiers = self.bump_while(char::is_alphabetic);
        Ok(text.and_then(|text| meaning(begun, name, modifiers, text)))
    }

    fn sigil_text(&mut self, begun: Mark, open: char, escapes: bool) -> Result<Option<String>, Malformed> {
        let three = String::from_iter([open; 3]);
        if matches!(open, '"' | '\'') && self.eat(&three) {
            return self.heredoc(begun, &three, escapes);
        }
        self.bump();
        self.up_to(begun, &closing(open).to_string(), escapes)
    }

    /// Lines between three quotes, less the indentation of the last of them.
    fn heredoc(&mut self, begun: Mark, close: &str, escapes: bool) -> Result<Option<String>, Malformed> {
        self.bump_while(|c| c.is_whitespace() && c != '\n');
        if self.peek() != Some('\n') {
            return Err(self.expected(&format!("a new line after {close}")));
        }
        self.bump();
        let text = self.up_to(begun, close, escapes)?;
        Ok(text.map(|text| unindented(&text)))
    }

    /// Everything up to the closing quote, which is behind the cursor then.
    fn up_to(&mut self, begun: Mark, close: &str, escapes: bool) -> Result<Option<String>, Malformed> {
        let (mut text, mut is_plain) = (String::new(), true);
        while !self.eat(close) {
            match self.bump() {
                None => {
                    let what = format!("expected `{close}` for the text that begins at {}", begun.place);
                    return Err(self.malformed(format!("{what}, found the end of the text")));
                }
                Some('\\') if escapes => self.escape(&mut text)?,
                Some('\\') if self.eat(close) => text.push_str(close),
                Some('#') if escapes && self.peek() == Some('{') => {
                    is_plain = false;
                    self.interpolation()?;
                }
                Some(character) => text.push(character),
            }
        }
        Ok(is_plain.then_some(text))
    }

    /// What stands behind a backslash.
    pub(super) fn escape(&mut self, text: &mut String) -> Result<(), Malformed> {
        let Some(character) = self.bump() else { return Err(self.expected("a character after `\\`")) };
        let meant = match character {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            's' => ' ',
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'd' => '\u{7f}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            // The line goes on.
            '\n' => return Ok(()),
            other => other,
        };
        text.push(meant);
        Ok(())
    }

    /// A character by its number: so many digits, or any in braces.
    fn code(&mut self, digits: usize) -> Result<char, Malformed> {
        let at = self.mark();
        let in_braces = self.eat("{");
        let most = if in_braces { 6 } else { digits };
        let mut count = 0;
        let written = self.bump_while(|c| {
            count += 1;
            c.is_ascii_hexdigit() && count <= most
        });
        let is_whole = if in_braces { self.eat("}") } else { written.len() == most };
        let character = u32::from_str_radix(written, 16).ok().and_then(char::from_u32);
        let Some(character) = character.filter(|_| is_whole) else {
            self.return_to(at);
            return Err(self.expected("the number of a character in hexadecimal digits"));
        };
        Ok(character)
    }
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        same => same,
    }
}

fn meaning(begun: Mark, name: &str, modifiers: &str, text: String) -> Option<Value> {
    match (name, modifiers) {
        ("s" | "S" | "c" | "C", "") => Some(Value::Text(text)),
        ("w" | "W", "" | "s" | "c") => Some(words(begun, &text, Value::Text)),
        ("w" | "W", "a") => Some(words(begun, &text, Value::Atom)),
        _ => None,
    }
}

fn words(begun: Mark, text: &str, value: fn(String) -> Value) -> Value {
    let word = |word: &str| Term { at: begun.place, value: value(word.to_owned()) };
    Value::List(text.split_whitespace().map(word).collect())
}

/// Without what all lines have in front because the closing quotes have it.
fn unindented(text: &str) -> String {
    let (lines, last) = text.rsplit_once('\n').map_or(("", text), |(lines, last)| (lines, last));
    if !last.chars().all(char::is_whitespace) {
        return text.to_owned();
    }
    let indent = last.chars().count();
    let cut = |line: &str| {
        let blank = line.chars().take(indent).take_while(|c| c.is_whitespace()).map(char::len_utf8).sum::<usize>();
        format!("{}\n", &line[blank..])
    };
    if text.contains('\n') { lines.split('\n').map(cut).collect() } else { String::new() }
}
