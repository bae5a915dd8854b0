//! Where a reader of text is, and what it says if it cannot go on.

use std::fmt;

use super::term::Place;

/// How deep lists, maps, tuples and strings may be in one another.
const DEEPEST: usize = 64;

/// Why a text cannot be read: where, what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    at: Place,
    message: String,
}

impl Malformed {
    pub(super) fn new(at: Place, message: impl Into<String>) -> Malformed {
        Malformed { at, message: message.into() }
    }

    /// Where.
    pub fn at(&self) -> Place {
        self.at
    }

    /// What was expected, and what was found.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.at, self.message)
    }
}

impl std::error::Error for Malformed {}

/// A place that one can come back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    offset: usize,
    pub(super) place: Place,
    depth: usize,
}

/// Reads a text character by character.
pub(super) struct Cursor<'a> {
    text: &'a str,
    now: Mark,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Cursor { text, now: Mark { offset: 0, place: Place { line: 1, column: 1 }, depth: 0 } }
    }

    pub(super) fn mark(&self) -> Mark {
        self.now
    }

    pub(super) fn return_to(&mut self, mark: Mark) {
        self.now = mark;
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.now.offset..]
    }

    pub(super) fn since(&self, mark: Mark) -> &'a str {
        &self.text[mark.offset..self.now.offset]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.now.offset += character.len_utf8();
        if character == '\n' {
            self.now.place = Place { line: self.now.place.line + 1, column: 1 };
        } else {
            self.now.place.column += 1;
        }
        Some(character)
    }

    pub(super) fn bump_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'a str {
        let start = self.now;
        while self.peek().is_some_and(&mut wanted) {
            self.bump();
        }
        self.since(start)
    }

    /// Goes behind this, if it comes next. There are no line ends in it.
    pub(super) fn eat(&mut self, wanted: &str) -> bool {
        let is_next = self.rest().starts_with(wanted);
        if is_next {
            self.now.offset += wanted.len();
            self.now.place.column += wanted.chars().count();
        }
        is_next
    }

    /// Blanks and comments of this line.
    pub(super) fn blanks(&mut self) {
        self.bump_while(|c| c.is_whitespace() && c != '\n');
        if self.peek() == Some('#') {
            self.bump_while(|c| c != '\n');
        }
    }

    /// The same of all lines to come.
    pub(super) fn blank_lines(&mut self) {
        loop {
            self.blanks();
            if !self.eat_line_end() {
                return;
            }
        }
    }

    fn eat_line_end(&mut self) -> bool {
        self.peek() == Some('\n') && self.bump().is_some()
    }

    /// One level deeper; [`Cursor::leave`] goes back.
    pub(super) fn enter(&mut self) -> Result<(), Malformed> {
        self.now.depth += 1;
        if self.now.depth > DEEPEST {
            return Err(self.malformed(format!("expected at most {DEEPEST} things inside one another, found more")));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.now.depth = self.now.depth.saturating_sub(1);
    }

    /// What is wrong here.
    pub(super) fn malformed(&self, message: impl Into<String>) -> Malformed {
        Malformed::new(self.now.place, message)
    }

    /// What was expected here, and is not there.
    pub(super) fn expected(&self, what: &str) -> Malformed {
        self.malformed(format!("expected {what}, found {}", self.found()))
    }

    fn found(&self) -> String {
        let word = self.rest().split(|c: char| c.is_whitespace() || ",()[]{}".contains(c)).next().unwrap_or_default();
        match (self.peek(), word) {
            (None, _) => "the end of the text".to_owned(),
            (Some('\n'), _) => "the end of the line".to_owned(),
            (Some(character), "") => format!("`{character}`"),
            (_, word) => format!("`{}`", word.chars().take(30).collect::<String>()),
        }
    }
}

/// Whether a name can go on with it.
pub(super) fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '@'
}

/// Whether a name can begin with it.
pub(super) fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}
