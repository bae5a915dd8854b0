//! From the text of a file to the text of another.

use std::fmt::Write as _;

use super::cursor::Malformed;
use super::environment::Environment;
use super::note::Note;
use super::page::{Page, Section, comment};
use super::rules::Rule;
use super::term::{Place, Term};
use super::{left_out, statement, top};

/// What a file of Snakepit's became.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conversion {
    /// A `hatchery.toml`, each value with where it comes from, and above them the notes as comments.
    pub toml: String,
    /// What could not be converted, by its place.
    pub notes: Vec<Note>,
    /// How many pools it has.
    pub pools: usize,
}

/// Reads Snakepit's configuration and writes it as `hatchery.toml`. `file` is what comments call the text. The text is a file with
/// `config :snakepit` in it, or a literal: the keyword list of all settings, a list of pools, or one pool.
///
/// # Errors
/// The text is no Elixir as far as that is looked at, or has nothing of Snakepit in it.
pub fn convert(text: &str, file: &str) -> Result<Conversion, Malformed> {
    let environment = Environment::of(statement::read(text)?);
    if !environment.is_spoken_of {
        let what = "expected `config :snakepit, ...`, or a map or list of settings, found nothing of Snakepit";
        return Err(Malformed::new(Place { line: 1, column: 1 }, what));
    }
    let mut draft = Draft { file, page: Page::default(), notes: environment.notes, pools: 0 };
    top::convert(&environment.settings, &mut draft);
    draft.notes.sort_by_key(|note| note.at);
    Ok(Conversion { toml: draft.written(), notes: draft.notes, pools: draft.pools })
}

/// What is written so far.
pub(super) struct Draft<'a> {
    pub(super) file: &'a str,
    pub(super) page: Page,
    pub(super) notes: Vec<Note>,
    pub(super) pools: usize,
}

impl Draft<'_> {
    /// Where something comes from, for a comment.
    pub(super) fn origin(&self, path: &str, at: Place) -> String {
        format!("{}:{}: {path}", self.file, at.line)
    }

    pub(super) fn note(&mut self, path: &str, at: Place, why: impl Into<String>, instead: impl Into<String>) {
        self.notes.push(Note::new(path, at, why, instead));
    }

    /// Writes what the rules say of these keys.
    pub(super) fn apply(&mut self, rules: &[Rule], keys: &Keys<'_>, section: Section) {
        for rule in rules {
            let Some(key) = keys.get(rule.from) else { continue };
            match rule.reads.read(key.term) {
                Some(value) => self.page.set(section, rule.to, value, self.origin(&key.path, key.term.at)),
                None => self.notes.push(Note::of_value(&key.path, key.term, &rule.reads.expected(), rule.to)),
            }
        }
    }

    /// Tells of the keys that are converted nowhere.
    pub(super) fn leave_out(&mut self, keys: &Keys<'_>, known: &dyn Fn(&str) -> bool, left_out: &[left_out::LeftOut]) {
        for key in keys.all.iter().filter(|key| !known(&key.name)) {
            self.notes.extend(left_out::note(key, left_out));
        }
    }

    fn written(&self) -> String {
        let mut text = format!("# From {}, by `hatchery import snakepit-config`.\n", comment(self.file));
        if !self.notes.is_empty() {
            text.push_str("#\n# Not converted, or not as it was:\n");
        }
        for note in &self.notes {
            let told = comment(&format!("{}:{}: {note}", self.file, note.at.line));
            let _strings_do_not_fail = writeln!(text, "# - {told}");
        }
        let _strings_do_not_fail = write!(text, "{}", self.page);
        text
    }
}

/// The keys of a map, with the paths by which they are told of.
#[derive(Default)]
pub(super) struct Keys<'a> {
    pub(super) all: Vec<Key<'a>>,
}

#[derive(Clone)]
pub(super) struct Key<'a> {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) term: &'a Term,
}

impl<'a> Keys<'a> {
    /// Those of a map or a keyword list that stands at `path`. Keys that are set to nil are not set.
    pub(super) fn of(term: &'a Term, path: &str) -> Option<Keys<'a>> {
        let pairs = term.pairs()?;
        let key = |(key, value): (&Term, &'a Term)| {
            let name = key.word().map_or_else(|| key.shown(), str::to_owned);
            (!value.is_nil()).then(|| Key { path: format!("{path}.{name}"), name, term: value })
        };
        Some(Keys { all: pairs.into_iter().filter_map(key).collect() })
    }

    /// The last one of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Key<'a>> {
        self.all.iter().rev().find(|key| key.name == name)
    }

    /// The keys of a map below this key; a note if it is none.
    pub(super) fn below(&self, name: &str, draft: &mut Draft<'_>) -> Option<Keys<'a>> {
        let key = self.get(name)?;
        let keys = Keys::of(key.term, &key.path);
        if keys.is_none() {
            draft.notes.push(Note::of_value(&key.path, key.term, "a map or a keyword list", name));
        }
        keys
    }
}
