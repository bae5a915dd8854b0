//! How values of Snakepit become values of `hatchery.toml`.

use std::time::Duration;

use hatchery::{format_duration, format_size};
use toml::Value;

use super::term::{self, Term};

const INFINITY: &str = "infinity";

/// What a value may be, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reads {
    Flag,
    /// From, to.
    Whole(u64, u64),
    WholeOrInfinity(u64, u64),
    /// From 0 to 1.
    Share,
    /// Milliseconds, which may be none.
    Grace,
    /// Milliseconds above 0.
    Period,
    /// Milliseconds above 0, or `:infinity`.
    Limit,
    /// Milliseconds, or `:infinity`.
    Wait,
    /// Seconds above 0, or `:infinity`.
    Seconds,
    /// `{1, :hours}`, or `:infinity`.
    Lifetime,
    Mebibytes,
    Text,
    /// Snakepit's words and ours.
    Word(&'static [(&'static str, &'static str)]),
    Graces,
    WholeList(u64, u64),
    TextList,
    WordList(&'static [(&'static str, &'static str)]),
}

impl Reads {
    pub(super) fn read(self, term: &Term) -> Option<Value> {
        match self {
            Reads::Flag => term.flag().map(Value::Boolean),
            Reads::WholeOrInfinity(..) | Reads::Limit | Reads::Wait | Reads::Seconds | Reads::Lifetime
                if term.word() == Some(INFINITY) =>
            {
                Some(Value::String(INFINITY.to_owned()))
            }
            Reads::Whole(from, to) | Reads::WholeOrInfinity(from, to) => {
                let number = term.whole().filter(|number| (from..=to).contains(number))?;
                i64::try_from(number).ok().map(Value::Integer)
            }
            Reads::Share => term.number().filter(|share| (0.0..=1.0).contains(share)).map(Value::Float),
            Reads::Grace | Reads::Wait => term.whole().and_then(milliseconds),
            Reads::Period | Reads::Limit => term.whole().filter(|number| *number > 0).and_then(milliseconds),
            Reads::Seconds => term.whole().filter(|number| *number > 0)?.checked_mul(1000).and_then(milliseconds),
            Reads::Lifetime => lifetime(term),
            Reads::Mebibytes => mebibytes(term),
            Reads::Text => term.text().filter(|text| !text.is_empty() && !text.contains('\0')).map(Value::from),
            Reads::Word(words) => word(term, words),
            Reads::Graces => each(term, Reads::Grace),
            Reads::WholeList(from, to) => each(term, Reads::Whole(from, to)),
            Reads::TextList => each(term, Reads::Text),
            Reads::WordList(words) => each(term, Reads::Word(words)),
        }
    }

    /// What it should have been, to be put behind "expected".
    pub(super) fn expected(self) -> String {
        match self {
            Reads::Flag => "true or false".to_owned(),
            Reads::Whole(from, to) => format!("a whole number from {from} to {to}"),
            Reads::WholeOrInfinity(from, to) => format!("a whole number from {from} to {to}, or :infinity"),
            Reads::Share => "a number from 0 to 1".to_owned(),
            Reads::Grace => "milliseconds".to_owned(),
            Reads::Period => "milliseconds above 0".to_owned(),
            Reads::Limit => "milliseconds above 0, or :infinity".to_owned(),
            Reads::Wait => "milliseconds, or :infinity".to_owned(),
            Reads::Seconds => "seconds above 0, or :infinity".to_owned(),
            Reads::Lifetime => "something like {1, :hours}, or :infinity".to_owned(),
            Reads::Mebibytes => "mebibytes above 0".to_owned(),
            Reads::Text => "text".to_owned(),
            Reads::Word(words) => one_of(words),
            Reads::Graces => "a list of milliseconds".to_owned(),
            Reads::WholeList(from, to) => format!("a list of whole numbers from {from} to {to}"),
            Reads::TextList => "a list of texts".to_owned(),
            Reads::WordList(words) => format!("a list, each {}", one_of(words)),
        }
    }
}

/// A duration as our own reader takes it.
pub(super) fn milliseconds(number: u64) -> Option<Value> {
    // What is longer than ten thousand years is a slip, and arithmetic with it may overflow elsewhere.
    let is_sane = number < 1000 * 3600 * 24 * 366 * 10_000;
    is_sane.then(|| Value::String(format_duration(Duration::from_millis(number))))
}

fn lifetime(term: &Term) -> Option<Value> {
    let term::Value::Tuple(parts) = &term.value else { return None };
    let [number, unit] = parts.as_slice() else { return None };
    let seconds = match unit.word()? {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    let number = number.whole().filter(|number| *number > 0)?;
    milliseconds(number.checked_mul(seconds)?.checked_mul(1000)?)
}

fn mebibytes(term: &Term) -> Option<Value> {
    let bytes = term.whole().filter(|number| *number > 0)?.checked_mul(1 << 20)?;
    i64::try_from(bytes).ok()?;
    Some(Value::String(format_size(bytes)))
}

/// Snakepit takes text for atoms, in either case.
fn word(term: &Term, words: &[(&str, &str)]) -> Option<Value> {
    let said = match &term.value {
        term::Value::Flag(flag) => flag.to_string(),
        _ => term.word()?.to_lowercase(),
    };
    words.iter().find(|(theirs, _)| *theirs == said).map(|(_, ours)| Value::from(*ours))
}

fn each(term: &Term, reads: Reads) -> Option<Value> {
    let elements: Option<Vec<Value>> = term.list()?.iter().map(|element| reads.read(element)).collect();
    elements.map(Value::Array)
}

fn one_of(words: &[(&str, &str)]) -> String {
    let words: Vec<String> = words.iter().map(|(theirs, _)| format!(":{theirs}")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}
