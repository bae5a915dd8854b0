//! What a key may be set to: one place that knows how a value is written, and how to say what was expected.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use super::keys::Key;
use super::raw::Raw;
use super::value::Value;
use super::{duration, size};
use crate::app::program::is_path;
use crate::pyenv::PythonApp;

/// What a key may be set to.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Flag,
    /// From, to.
    Whole(u64, u64),
    /// The same, or `"infinity"`.
    WholeOrInfinity(u64, u64),
    /// Above zero, or `"infinity"`.
    NumberOrInfinity,
    /// From 0 to 1.
    Share,
    /// Any, `"infinity"` too.
    Wait,
    /// Not zero, `"infinity"` too.
    Limit,
    /// Any that ends.
    Grace,
    /// Not zero, and ends.
    Period,
    Size,
    Text,
    Name,
    Path,
    /// Or `"none"`.
    PathOrNone,
    Program,
    App,
    /// A class of Python's, by its module.
    Class,
    Address,
    /// A web site, as its pages name it.
    Origin,
    Words(fn() -> Vec<&'static str>),
    /// A list of any length.
    List(&'static Kind),
    /// The same, or `false`.
    ListOrNot(&'static Kind),
    /// A program and its arguments.
    Command,
    /// What the lines of an agent mean: a table of its own.
    Adapter,
    /// Keys below it.
    Table(&'static [Key]),
    /// Keys that the user names, each set to this.
    Entries(&'static Kind, Naming),
    /// `[[pools]]` and the like: a list of this name, each element a table of these keys.
    Tables(&'static str, &'static [Key]),
}

/// What the user may call a key of [`Kind::Entries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    Variables,
    Tools,
    Adapters,
}

/// Names become parts of file names and of worker ids.
pub(super) const A_NAME: &str = "a name of 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit";

const A_NAME_EXPECTED: &str =
    "expected a name of 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit";

/// Instead of a path, where none is wanted.
const NONE: &str = "none";

const A_COMMAND: &str = r#"a program and its arguments, like ["node", "worker.js"]"#;

/// Why a value is refused: where below the key, and what is to be said.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    /// Like `[1]`; usually empty.
    pub(super) below: String,
    pub(super) fact: String,
}

impl Kind {
    /// The value, if it is what this wants. Relative paths are taken from `folder`.
    pub(super) fn read(self, raw: &Raw<'_>, folder: &Path) -> Result<Value, Refusal> {
        match self {
            Kind::ListOrNot(_) if raw.flag() == Some(false) => Ok(Value::Flag(false)),
            Kind::List(element) | Kind::ListOrNot(element) => self.read_list(raw, element, folder),
            Kind::Command => self.read_command(raw, folder),
            _ => self.read_one(raw, folder).ok_or_else(|| self.refusal(raw)),
        }
    }

    fn refusal(self, raw: &Raw<'_>) -> Refusal {
        let fact = format!("expected {}, found {}{}", self.expected(), raw.found(), self.advice(raw));
        Refusal { below: String::new(), fact }
    }

    fn read_one(self, raw: &Raw<'_>, folder: &Path) -> Option<Value> {
        let is_infinity = || raw.text() == Some("infinity");
        match self {
            Kind::WholeOrInfinity(..) | Kind::NumberOrInfinity | Kind::Size | Kind::Wait | Kind::Limit
                if is_infinity() =>
            {
                Some(Value::Infinity)
            }
            Kind::Flag => raw.flag().map(Value::Flag),
            Kind::Whole(from, to) | Kind::WholeOrInfinity(from, to) => {
                raw.whole().filter(|number| (from..=to).contains(number)).map(Value::Whole)
            }
            Kind::NumberOrInfinity => raw.number().filter(|number| *number > 0.0).map(Value::Number),
            Kind::Adapter => raw.table().map(Value::Table),
            Kind::Share => raw.number().filter(|share| (0.0..=1.0).contains(share)).map(Value::Number),
            Kind::Wait | Kind::Limit | Kind::Grace | Kind::Period => self.read_duration(raw.text()?),
            Kind::Size => size::read(raw.text()?).filter(|bytes| *bytes > 0).map(Value::Size),
            Kind::Words(words) => {
                let word = words().into_iter().find(|word| raw.text() == Some(word))?;
                Some(Value::Text(word.to_owned()))
            }
            Kind::App => PythonApp::parse_in(folder, raw.text()?).ok().map(Value::App),
            _ => self.read_text(raw.text()?, folder),
        }
    }

    fn read_duration(self, text: &str) -> Option<Value> {
        let duration = duration::read(text).filter(|duration| *duration < Duration::MAX)?;
        let may_be_zero = matches!(self, Kind::Wait | Kind::Grace);
        (may_be_zero || !duration.is_zero()).then_some(Value::Duration(duration))
    }

    fn read_text(self, text: &str, folder: &Path) -> Option<Value> {
        let fits = match self {
            Kind::Text => !text.contains('\0'),
            Kind::Name => is_name(text),
            Kind::Class => is_class(text),
            Kind::Address => is_address(text),
            Kind::Origin => is_origin(text),
            _ => !text.is_empty(),
        };
        fits.then(|| match self {
            Kind::PathOrNone if text == NONE => Value::Text(text.to_owned()),
            Kind::Path | Kind::PathOrNone => Value::Path(folder.join(text)),
            // With a slash it is a path, else a name to look for.
            Kind::Program if is_path(text.as_ref()) => Value::Path(folder.join(text)),
            Kind::Program => Value::Path(text.into()),
            _ => Value::Text(text.to_owned()),
        })
    }

    fn read_list(self, raw: &Raw<'_>, element: &Kind, folder: &Path) -> Result<Value, Refusal> {
        let elements = raw.list().ok_or_else(|| self.refusal(raw))?;
        let read = |(index, raw): (usize, &Raw<'_>)| element.read(raw, folder).map_err(|refusal| refusal.below(index));
        elements.iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
    }

    fn read_command(self, raw: &Raw<'_>, folder: &Path) -> Result<Value, Refusal> {
        let words = raw.list().ok_or_else(|| self.refusal(raw))?;
        if words.is_empty() {
            return Err(Refusal { below: String::new(), fact: format!("expected {A_COMMAND}, found none") });
        }
        let read = |(index, raw): (usize, &Raw<'_>)| {
            let kind = if index == 0 { Kind::Program } else { Kind::Text };
            kind.read(raw, folder).map_err(|refusal| refusal.below(index))
        };
        words.iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
    }

    /// What a value should be, to be put behind "expected".
    pub(super) fn expected(self) -> Cow<'static, str> {
        match self {
            Kind::Flag => "true or false".into(),
            Kind::Whole(from, to) => format!("a whole number from {from} to {to}").into(),
            Kind::WholeOrInfinity(from, to) => format!("a whole number from {from} to {to}, or \"infinity\"").into(),
            Kind::NumberOrInfinity => "a number above 0, or \"infinity\"".into(),
            Kind::Share => "a number from 0 to 1".into(),
            Kind::Wait => duration::EXPECTED.into(),
            Kind::Limit => duration::EXPECTED_ABOVE_ZERO.into(),
            Kind::Grace => duration::EXPECTED_FINITE.into(),
            Kind::Period => duration::EXPECTED_PERIOD.into(),
            Kind::Size => size::EXPECTED.into(),
            Kind::Text => "text".into(),
            Kind::Name => A_NAME.into(),
            Kind::Path => "a path".into(),
            Kind::PathOrNone => "a path, or \"none\"".into(),
            Kind::Program => "the name or the path of a program".into(),
            Kind::App => "PATH[:ATTR] or MODULE[:ATTR]".into(),
            Kind::Class => "a class by its module, like \"package.module.Class\"".into(),
            Kind::Address => "an address and a port, like \"127.0.0.1:7411\"".into(),
            Kind::Origin => "a scheme and a host, like \"https://example.org\"".into(),
            Kind::Words(words) => alternatives(&words()).into(),
            Kind::List(element) => format!("a list, each {}", element.expected()).into(),
            Kind::ListOrNot(element) => format!("a list, each {}, or false", element.expected()).into(),
            Kind::Command => A_COMMAND.into(),
            Kind::Adapter => "a table, like { like = \"stream-json\" }".into(),
            Kind::Tables(list, _) => format!("tables under [[{list}]]").into(),
            Kind::Table(_) | Kind::Entries(..) => "a table".into(),
        }
    }

    /// The word that was meant, if one is near.
    fn advice(self, raw: &Raw<'_>) -> String {
        match (self, raw.text()) {
            (Kind::Words(words), Some(text)) => {
                nearest(text, &words()).map_or(String::new(), |word| format!("; did you mean \"{word}\"?"))
            }
            _ => String::new(),
        }
    }
}

impl Refusal {
    fn below(self, index: usize) -> Refusal {
        Refusal { below: format!("[{index}]{}", self.below), ..self }
    }
}

impl Naming {
    /// What should have been the name of a key, if this is none.
    pub(super) fn refusal(self, name: &str) -> Option<&'static str> {
        match self {
            Naming::Variables if name.is_empty() || name.contains(['=', '\0']) => {
                Some("expected a variable's name without `=`")
            }
            Naming::Adapters if !is_name(name) => Some(A_NAME_EXPECTED),
            Naming::Tools if name.is_empty() => Some("expected the name of a tool"),
            _ => None,
        }
    }
}

/// The candidate that a misspelt word comes near to.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(word, candidate);
    let near = candidates.iter().min_by_key(distance)?;
    (distance(&near) <= near.len().div_ceil(3)).then_some(near)
}

/// `"a", "b" or "c"`.
fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain)
}

/// Python's names may have letters of all languages.
fn is_class(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.contains('.') && text.split('.').all(is_name)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Browsers write it so: without a path, and in lower case.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    host.is_some_and(|host| !host.is_empty() && host.chars().all(is_plain))
}
