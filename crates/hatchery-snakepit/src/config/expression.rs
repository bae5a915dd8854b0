//! Expressions that are no literals: they are not understood, but their end is found.

use super::cursor::{Cursor, Malformed, is_name_character, is_name_start};
use super::term::Place;

/// What ends a value besides a comma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// A closing bracket; new lines mean nothing.
    Brackets,
    /// The end of the line, unless the expression goes on in the next.
    Line,
}

/// Something that was opened and has to be closed.
#[derive(Clone, Copy, Debug)]
struct Open {
    close: &'static str,
    at: Place,
}

/// How far an expression has come.
#[derive(Default)]
struct Course {
    open: Vec<Open>,
    /// Whether the last thing was an operator, behind which the next line belongs to it.
    wants_more: bool,
}

/// Operators that may begin a line that goes on with the last one.
const CARRIES_ON: [&str; 17] =
    ["|>", "||", "&&", "++", "--", "<>", "==", "!=", "<=", ">=", "->", "<-", "|", "*", "/", "=", "."];

impl Cursor<'_> {
    /// Goes to the end of an expression.
    pub(super) fn expression(&mut self, within: Within) -> Result<(), Malformed> {
        let mut course = Course::default();
        while !self.ends(&course, within) {
            self.step(&mut course)?;
        }
        match course.open.last() {
            Some(open) => Err(self.unclosed(*open)),
            None => Ok(()),
        }
    }

    /// Goes behind a value in the middle of text: the cursor stands on its brace.
    pub(super) fn interpolation(&mut self) -> Result<(), Malformed> {
        self.enter()?;
        let mut course = Course::default();
        self.step(&mut course)?;
        while let Some(open) = course.open.last().copied() {
            if self.is_at_end() {
                return Err(self.unclosed(open));
            }
            self.step(&mut course)?;
        }
        self.leave();
        Ok(())
    }

    /// Whether nothing of the same expression follows. Blanks are not gone over.
    pub(super) fn is_over(&mut self, within: Within) -> bool {
        let here = self.mark();
        if within == Within::Brackets {
            self.blank_lines();
        } else {
            self.blanks();
        }
        let is_over = self.ends(&Course::default(), within);
        self.return_to(here);
        is_over
    }

    fn ends(&mut self, course: &Course, within: Within) -> bool {
        if !course.open.is_empty() {
            return self.is_at_end();
        }
        match self.peek() {
            None => true,
            Some(',') => !self.goes_on_as_keywords(),
            Some(')' | ']' | '}') => true,
            Some(';') => within == Within::Line,
            Some('\n') => within == Within::Line && !course.wants_more && !self.goes_on_below(),
            _ => self.rest().starts_with("=>"),
        }
    }

    /// `if x, do: 1, else: 2` is one value.
    fn goes_on_as_keywords(&mut self) -> bool {
        let here = self.mark();
        self.bump();
        self.blank_lines();
        let goes_on = ["do:", "else:"].iter().any(|key| self.rest().starts_with(key));
        self.return_to(here);
        goes_on
    }

    /// Whether the next line that says something begins with an operator.
    fn goes_on_below(&mut self) -> bool {
        let here = self.mark();
        self.blank_lines();
        let is_word = |word: &str| {
            self.rest().strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace()))
        };
        let goes_on = CARRIES_ON.iter().any(|operator| self.rest().starts_with(operator))
            || ["and", "or", "in", "when"].into_iter().any(is_word);
        self.return_to(here);
        goes_on
    }

    /// Goes behind the next thing, whatever it is.
    fn step(&mut self, course: &mut Course) -> Result<(), Malformed> {
        match self.peek() {
            Some('#') => self.blanks(),
            Some(blank) if blank.is_whitespace() => drop(self.bump()),
            Some(quote @ ('"' | '\'')) => {
                self.quoted(quote)?;
                course.wants_more = self.eat(":");
            }
            Some('~') if self.rest()[1..].starts_with(char::is_alphabetic) => {
                self.sigil()?;
                course.wants_more = false;
            }
            Some('?') => self.character(course),
            Some(open @ ('(' | '[' | '{')) => self.open(open, course),
            Some(close @ (')' | ']' | '}')) => self.close(close, course)?,
            Some(start) if start.is_alphanumeric() || start == '_' => self.name(course)?,
            Some(':' | '.') => self.dotted(course),
            Some('<' | '>') => self.angle(course),
            _ => {
                self.bump();
                course.wants_more = true;
            }
        }
        Ok(())
    }

    fn character(&mut self, course: &mut Course) {
        self.bump();
        if self.bump() == Some('\\') {
            self.bump();
        }
        course.wants_more = false;
    }

    /// A word behind a colon or a dot is a name, also if it is `end`.
    fn dotted(&mut self, course: &mut Course) {
        self.bump();
        course.wants_more = self.bump_while(|c| is_name_character(c) || c == '?' || c == '!').is_empty();
    }

    fn open(&mut self, open: char, course: &mut Course) {
        let close = match open {
            '(' => ")",
            '[' => "]",
            _ => "}",
        };
        course.open.push(Open { close, at: self.mark().place });
        self.bump();
        course.wants_more = false;
    }

    /// `<<1, 2>>`, or an operator.
    fn angle(&mut self, course: &mut Course) {
        let at = self.mark().place;
        if self.eat("<<<") || self.eat(">>>") {
            course.wants_more = true;
        } else if self.eat("<<") {
            course.open.push(Open { close: ">>", at });
        } else if course.open.last().is_some_and(|open| open.close == ">>") && self.eat(">>") {
            course.open.pop();
            course.wants_more = false;
        } else {
            self.bump();
            course.wants_more = true;
        }
    }

    fn close(&mut self, found: char, course: &mut Course) -> Result<(), Malformed> {
        match course.open.pop() {
            Some(open) if open.close.starts_with(found) => {
                self.bump();
                course.wants_more = false;
                Ok(())
            }
            Some(open) => Err(self.unclosed(open)),
            None => Err(self.expected("a value")),
        }
    }

    fn name(&mut self, course: &mut Course) -> Result<(), Malformed> {
        let at = self.mark();
        self.bump_while(is_name_character);
        let _may_end_so = self.eat("?") || self.eat("!");
        let name = self.since(at);
        if self.rest().starts_with(':') && !self.rest().starts_with("::") {
            self.bump();
            course.wants_more = true;
            return Ok(());
        }
        course.wants_more = matches!(name, "and" | "or" | "not" | "in" | "when");
        match name {
            "do" | "fn" => course.open.push(Open { close: "end", at: at.place }),
            "end" if course.open.last().is_some_and(|open| open.close == "end") => drop(course.open.pop()),
            "end" => {
                self.return_to(at);
                return Err(match course.open.last() {
                    Some(open) => self.unclosed(*open),
                    None => self.expected("a value"),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn unclosed(&self, open: Open) -> Malformed {
        self.expected(&format!("`{}` for what begins at {}", open.close, open.at))
    }

    /// A name, if one comes next, that may end with `?` or `!`.
    pub(super) fn identifier(&mut self) -> Option<&str> {
        let start = self.mark();
        self.peek().filter(|c| is_name_start(*c))?;
        self.bump_while(is_name_character);
        let _may_end_so = self.eat("?") || self.eat("!");
        Some(self.since(start))
    }
}
