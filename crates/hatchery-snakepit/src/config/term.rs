//! Terms of Elixir, as far as configurations are made of them.

use std::fmt;

/// A place in a text, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character of the line.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}", self.line, self.column)
    }
}

/// A term, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) at: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Flag(bool),
    Integer(i64),
    Float(f64),
    /// `:word`, `:"some words"`, and the names of modules, as they are written.
    Atom(String),
    /// Strings and charlists: configurations mean the same by both.
    Text(String),
    /// Keyword lists too: they are lists of pairs.
    List(Vec<Term>),
    Tuple(Vec<Term>),
    Map(Vec<(Term, Term)>),
    /// What is no literal, as it is written.
    Opaque(String),
}

/// How much of an expression a message repeats.
const SHOWN: usize = 60;

impl Term {
    /// An atom or text.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.value {
            Value::Atom(text) | Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// A whole number; Snakepit takes digits in quotes for one too.
    pub(super) fn whole(&self) -> Option<u64> {
        match &self.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match &self.value {
            #[expect(clippy::cast_precision_loss, reason = "shares and factors are small")]
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        if let Value::Flag(flag) = self.value { Some(flag) } else { None }
    }

    pub(super) fn list(&self) -> Option<&[Term]> {
        if let Value::List(elements) = &self.value { Some(elements) } else { None }
    }

    pub(super) fn is_nil(&self) -> bool {
        self.value == Value::Nil
    }

    pub(super) fn is_opaque(&self) -> bool {
        matches!(self.value, Value::Opaque(_))
    }

    /// The pairs of a map or of a list of pairs. What is named by neither an atom nor text has no name here.
    pub(super) fn pairs(&self) -> Option<Vec<(&Term, &Term)>> {
        match &self.value {
            Value::Map(pairs) => Some(pairs.iter().map(|(key, value)| (key, value)).collect()),
            Value::List(elements) => elements.iter().map(pair).collect(),
            _ => None,
        }
    }

    /// Whether it is a keyword list that says something.
    pub(super) fn is_keywords(&self) -> bool {
        let is_named = |element: &Term| pair(element).is_some_and(|(key, _)| matches!(key.value, Value::Atom(_)));
        self.list().is_some_and(|elements| !elements.is_empty() && elements.iter().all(is_named))
    }

    /// It, for a message: short, on one line.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Nil => "nil".to_owned(),
            Value::Flag(flag) => flag.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Atom(name) if name.starts_with(char::is_uppercase) => shortened(name),
            Value::Atom(name) => format!(":{}", shortened(name)),
            Value::Text(text) => format!("{:?}", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Tuple(_) => "a tuple".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Opaque(text) => format!("`{}`", shortened(text)),
        }
    }
}

fn pair(element: &Term) -> Option<(&Term, &Term)> {
    match &element.value {
        Value::Tuple(two) => {
            if let [key, value] = two.as_slice() {
                Some((key, value))
            } else {
                None
            }
        }
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
