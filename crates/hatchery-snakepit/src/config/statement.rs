//! The statements of a configuration file.

use super::cursor::{Cursor, Malformed};
use super::expression::Within;
use super::term::{Place, Term, Value};

/// The most text that is read.
const LONGEST: usize = 1 << 20;

/// One statement.
#[derive(Debug, PartialEq)]
pub(super) enum Statement {
    /// `config :app, key: value, ...`
    Settings { application: String, values: Term },
    /// `config :app, key, value`, and the same by `Application.put_env`.
    Setting { application: String, key: Term, value: Term },
    /// A map or a list by itself.
    Literal(Term),
    /// Anything else, as it is written.
    Other { at: Place, text: String },
}

/// Reads a file, or a literal by itself.
pub(super) fn read(text: &str) -> Result<Vec<Statement>, Malformed> {
    if text.len() > LONGEST {
        let at = Place { line: 1, column: 1 };
        let what = format!("expected at most {LONGEST} bytes of configuration, found {}", text.len());
        return Err(Malformed::new(at, what));
    }
    let mut cursor = Cursor::new(text);
    let mut statements = Vec::new();
    loop {
        cursor.blank_lines();
        if cursor.is_at_end() {
            return Ok(statements);
        }
        if !cursor.eat(";") {
            statements.push(cursor.statement()?);
        }
    }
}

impl Cursor<'_> {
    fn statement(&mut self) -> Result<Statement, Malformed> {
        let start = self.mark();
        if let Some(statement) = self.settings()? {
            return Ok(statement);
        }
        self.return_to(start);
        if self.rest().starts_with(['[', '%']) {
            let term = self.term(Within::Line)?;
            self.statement_end()?;
            if !term.is_opaque() {
                return Ok(Statement::Literal(term));
            }
            self.return_to(start);
        }
        self.expression(Within::Line)?;
        // What stands before a comma that belongs to a call without parentheses.
        while self.eat(",") {
            self.blank_lines();
            self.expression(Within::Line)?;
        }
        self.statement_end()?;
        Ok(Statement::Other { at: start.place, text: self.since(start).trim_end().to_owned() })
    }

    fn settings(&mut self) -> Result<Option<Statement>, Malformed> {
        if !self.word("config") && !self.word("Application.put_env") {
            return Ok(None);
        }
        let arguments = if self.eat("(") {
            self.blank_lines();
            let arguments = self.arguments(Within::Brackets)?;
            self.blank_lines();
            if !self.eat(")") {
                return Err(self.expected("`,` or `)`"));
            }
            arguments
        } else {
            self.blanks();
            self.arguments(Within::Line)?
        };
        let Some(statement) = meaning(arguments) else { return Ok(None) };
        self.statement_end()?;
        Ok(Some(statement))
    }

    /// Goes behind this word, if it comes next and is whole.
    fn word(&mut self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t', '('])) && self.eat(word)
    }

    fn arguments(&mut self, within: Within) -> Result<Vec<Term>, Malformed> {
        let at = self.mark().place;
        let (mut arguments, mut keywords) = (Vec::new(), Vec::new());
        loop {
            let (element, is_pair) = self.element(within)?;
            if is_pair { &mut keywords } else { &mut arguments }.push(element);
            if within == Within::Brackets {
                self.blank_lines();
            } else {
                self.blanks();
            }
            if !self.eat(",") {
                break;
            }
            self.blank_lines();
        }
        if let Some(first) = keywords.first() {
            arguments.push(Term { at: first.at.max(at), value: Value::List(keywords) });
        }
        Ok(arguments)
    }

    fn statement_end(&mut self) -> Result<(), Malformed> {
        self.blanks();
        match self.peek() {
            None | Some('\n' | ';') => Ok(()),
            _ => Err(self.expected("the end of the statement")),
        }
    }
}

fn meaning(arguments: Vec<Term>) -> Option<Statement> {
    let mut arguments = arguments.into_iter();
    let Value::Atom(application) = arguments.next()?.value else { return None };
    let second = arguments.next()?;
    Some(match arguments.next() {
        Some(value) => Statement::Setting { application, key: second, value },
        None => Statement::Settings { application, values: second },
    })
}
