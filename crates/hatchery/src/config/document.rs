//! Reads a file and the variables by the table of keys. Everything that is wrong is found, not only the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{HOST_TOOL, Key, POOL, TOP};
use super::kind::{A_NAME, Kind, Naming, nearest};
use super::layer::{Layer, Setting};
use super::origin::{ConfigProblem, Origin};
use super::raw::Raw;
use super::variables::{PREFIX, SEPARATOR, Variable, Variables, variable_of};
use crate::process::is_secret_name;

/// The text being read, what to call it, and what the environment says beside it.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) variables: &'a Variables,
}

/// What the sources say.
#[derive(Default)]
pub(super) struct Document {
    pub(super) top: Layer,
    pub(super) pools: Vec<Element>,
    pub(super) host_tools: Vec<Element>,
    pub(super) problems: Vec<ConfigProblem>,
}

/// One table of a list, like `[[pools]]`.
pub(super) struct Element {
    /// Like `pools[0]`.
    pub(super) path: String,
    /// Its header.
    pub(super) origin: Origin,
    pub(super) own: Layer,
}

/// Reads what there is.
pub(super) fn read(source: &Source<'_>) -> Document {
    let mut document = Document::default();
    match DeTable::parse(source.text) {
        Ok(table) => Reader::of(source, &mut document).document(table.get_ref()),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let message = format!("not valid TOML: {}", error.message().replace('\n', "; "));
            document.problems.push(ConfigProblem::error(source.place(offset), "", message));
        }
    }
    document.problems.sort_by_key(ConfigProblem::place);
    document
}

impl Source<'_> {
    pub(super) fn place(&self, offset: usize) -> Origin {
        let line = 1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        Origin::File { path: Arc::from(self.path), line }
    }

    /// From where the file's relative paths are taken.
    fn folder(&self) -> PathBuf {
        let path = std::path::absolute(self.path).ok();
        path.and_then(|path| path.parent().map(Path::to_path_buf)).unwrap_or_default()
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    /// From where the relative paths are taken: those of the file, those of variables.
    folders: (PathBuf, PathBuf),
    document: &'a mut Document,
}

/// A table of the file: its path, and that path in its layer.
#[derive(Clone)]
struct At {
    shown: String,
    inner: String,
}

impl At {
    fn document() -> At {
        At { shown: String::new(), inner: String::new() }
    }

    fn below(&self, key: &str) -> At {
        At { shown: joined(&self.shown, key), inner: joined(&self.inner, key) }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    fn of(source: &'a Source<'a>, document: &'a mut Document) -> Reader<'a> {
        let folders = (source.folder(), std::env::current_dir().unwrap_or_default());
        Reader { source, folders, document }
    }

    fn document(&mut self, table: &DeTable<'_>) {
        let mut top = Layer::default();
        self.table(TOP, &At::document(), table, &mut top);
        let mut read = |list, keys| table.get(list).map(|value| self.elements(list, keys, value)).unwrap_or_default();
        let (mut pools, mut host_tools) = (read("pools", POOL), read("host_tools", HOST_TOOL));
        self.variables(TOP, PREFIX, "", &mut top);
        self.variables_of("pools", "pool", POOL, &mut pools);
        self.variables_of("host_tools", "host tool", HOST_TOOL, &mut host_tools);
        (self.document.top, self.document.pools, self.document.host_tools) = (top, pools, host_tools);
    }

    fn table(&mut self, keys: &'static [Key], at: &At, table: &DeTable<'_>, layer: &mut Layer) {
        for (name, value) in table {
            match keys.iter().find(|key| key.name == name.get_ref().as_ref()) {
                Some(key) => self.key(key.kind, &at.below(key.name), value, layer),
                None => {
                    let path = at.below(name.get_ref()).shown;
                    self.refuse(self.source.place(name.span().start), path, unknown(name.get_ref(), keys));
                }
            }
        }
    }

    fn key(&mut self, kind: Kind, at: &At, value: &Spanned<DeValue<'_>>, layer: &mut Layer) {
        let raw = Raw::File(value, self.source.text);
        match (kind, value.get_ref()) {
            // They are read by themselves.
            (Kind::Tables(..), DeValue::Array(_)) => {}
            (Kind::Table(keys), DeValue::Table(table)) => self.table(keys, at, table, layer),
            (Kind::Entries(kind, naming), DeValue::Table(table)) => self.entries(*kind, naming, at, table, layer),
            (Kind::Table(_) | Kind::Entries(..) | Kind::Tables(..), _) => {
                let message = format!("expected {}, found {}", kind.expected(), raw.found());
                self.refuse(self.source.place(value.span().start), at.shown.clone(), message);
            }
            _ => self.leaf(kind, at, self.source.place(value.span().start), &raw, layer),
        }
    }

    fn entries(&mut self, kind: Kind, naming: Naming, at: &At, table: &DeTable<'_>, layer: &mut Layer) {
        for (name, value) in table {
            let (at, origin) = (at.below(name.get_ref()), self.source.place(value.span().start));
            match naming.refusal(name.get_ref()) {
                Some(message) => self.refuse(origin, at.shown, message),
                None => self.leaf(kind, &at, origin, &Raw::File(value, self.source.text), layer),
            }
        }
    }

    fn leaf(&mut self, kind: Kind, at: &At, origin: Origin, raw: &Raw<'_>, layer: &mut Layer) {
        let folder = match raw {
            Raw::File(..) => &self.folders.0,
            Raw::Variable(_) => &self.folders.1,
        };
        let value = kind.read(raw, folder);
        if let Err(refusal) = &value {
            // What was found is not repeated if it may be a secret.
            let name = at.inner.rsplit('.').next().unwrap_or_default();
            let fact =
                if is_secret_name(name) { format!("expected {}", kind.expected()) } else { refusal.fact.clone() };
            self.refuse(origin.clone(), format!("{}{}", at.shown, refusal.below), fact);
        }
        layer.set(at.inner.clone(), Setting { value: value.ok(), origin, inherited: false });
    }

    fn elements(&mut self, list: &str, keys: &'static [Key], value: &Spanned<DeValue<'_>>) -> Vec<Element> {
        let DeValue::Array(elements) = value.get_ref() else { return Vec::new() };
        let mut read = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let (path, origin) = (format!("{list}[{index}]"), self.source.place(element.span().start));
            let DeValue::Table(table) = element.get_ref() else {
                let found = Raw::File(element, self.source.text).found();
                self.refuse(origin, path, format!("expected a table, found {found}"));
                continue;
            };
            let mut own = Layer::default();
            self.table(keys, &At { shown: path.clone(), inner: String::new() }, table, &mut own);
            if own.get("name").is_none() {
                self.refuse(origin.clone(), path.clone(), format!("expected a `name`: {A_NAME}"));
            }
            read.push(Element { path, origin, own });
        }
        read
    }

    /// The variables of a table, and of tables in it.
    fn variables(&mut self, keys: &'static [Key], prefix: &str, inner: &str, layer: &mut Layer) {
        let variables = self.source.variables;
        for variable in variables.below(prefix) {
            let rest = &variable.name[prefix.len() + SEPARATOR.len()..];
            self.variable(keys, rest, inner, variable, layer);
        }
    }

    /// `rest`: of the variable's name.
    fn variable(&mut self, keys: &'static [Key], rest: &str, inner: &str, variable: &Variable, layer: &mut Layer) {
        let (name, below) = rest.split_once(SEPARATOR).map_or((rest, None), |(name, below)| (name, Some(below)));
        let (name, origin) = (name.to_ascii_lowercase(), Origin::Variable(variable.name.as_str().into()));
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            return self.refuse(origin, name.clone(), unknown(&name, keys));
        };
        let raw = Raw::Variable(variable.text.as_str().into());
        let at = |name: &str| At { shown: joined(inner, name), inner: joined(inner, name) };
        match (key.kind, below) {
            (Kind::Tables(..), Some(_)) => {}
            (Kind::Table(keys), Some(below)) => self.variable(keys, below, &at(&name).inner, variable, layer),
            (Kind::Entries(kind, naming), Some(below)) => match naming.refusal(below) {
                Some(message) => self.refuse(origin, name, message),
                None => self.leaf(*kind, &at(&name).below(below), origin, &raw, layer),
            },
            (Kind::Table(_) | Kind::Entries(..) | Kind::Tables(..), None) => {
                let example = variable_of(&variable.name, "KEY");
                self.refuse(origin, name, format!("expected a variable for each key, like {example}"));
            }
            (_, Some(_)) => self.refuse(origin, name, "unknown key; there is none below this one"),
            (kind, None) => self.leaf(kind, &at(&name), origin, &raw, layer),
        }
    }

    /// `what`: one of the list, for people.
    fn variables_of(&mut self, list: &str, what: &str, keys: &'static [Key], elements: &mut [Element]) {
        let prefix = variable_of(PREFIX, list);
        for element in elements.iter_mut() {
            if let Some(name) = element.own.text("name").map(str::to_owned) {
                self.variables(keys, &prefix_of(&prefix, &name), "", &mut element.own);
            }
        }
        for (variable, there) in self.of_no_element(&prefix, elements) {
            let message = format!("no such {what}; the configuration has {there}");
            self.refuse(Origin::Variable(variable), list.to_owned(), message);
        }
    }

    /// A variable of a pool that there is not would be ignored.
    fn of_no_element(&self, list: &str, elements: &[Element]) -> Vec<(Arc<str>, String)> {
        let names: Vec<&str> = elements.iter().filter_map(|element| element.own.text("name")).collect();
        let prefixes: Vec<String> = names.iter().map(|name| format!("{}{SEPARATOR}", prefix_of(list, name))).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let variables = self.source.variables;
        let of_none = variables.below(list).filter(|one| !prefixes.iter().any(|prefix| one.name.starts_with(prefix)));
        of_none.map(|variable| (variable.name.as_str().into(), there.clone())).collect()
    }

    fn refuse(&mut self, origin: Origin, key: String, message: impl Into<String>) {
        self.document.problems.push(ConfigProblem::error(origin, key, message));
    }
}

fn unknown(name: &str, keys: &[Key]) -> String {
    let known = keys.iter().map(|key| key.name).collect::<Vec<_>>();
    match nearest(name, &known) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => format!("unknown key; expected one of {}", known.join(", ")),
    }
}

/// What the variables of an element of a list begin with.
pub(super) fn prefix_of(list: &str, name: &str) -> String {
    variable_of(list, &name.replace(['-', '.'], "_"))
}
