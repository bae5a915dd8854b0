//! The kinds of agents that are known, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use toml::{Table, Value};

use super::LineAdapter;
use super::tabled::{Tabled, about};
use crate::error::{Error, ErrorKind, Result, near_match};

/// The tables that are built in.
pub(super) const TABLES: [(&str, &str); 3] = [
    ("codex-jsonl", include_str!("tables/codex-jsonl.toml")),
    ("plain", include_str!("tables/plain.toml")),
    ("stream-json", include_str!("tables/stream-json.toml")),
];

/// A test reads each of them: none is left out.
static BUILT_IN: LazyLock<BTreeMap<String, Arc<dyn LineAdapter>>> = LazyLock::new(|| {
    let read = |(name, text): (&str, &str)| Tabled::read(name, &parse(name, text).ok()?).ok();
    let adapters = TABLES.into_iter().filter_map(read);
    adapters.map(|adapter| (adapter.name().to_owned(), Arc::new(adapter) as Arc<dyn LineAdapter>)).collect()
});

/// The kinds of agents that are known, by name: those that are built in, those of tables, and those of the embedder.
///
/// # Tables
///
/// A new agent needs a table, not a release. `tables/stream-json.toml` beside the source of this type has nearly everything:
///
/// - `family`: `"jsonl"` if its lines are JSON objects, which `[[rules]]` tell apart; `"lines"` if they are text, told apart by
///   regular expressions in `[lines]`. Or `like`: the table that is built in from which the rest is taken.
/// - `[command]`: the flags that are added `always`, for what it reads (`null`, `text`, `conversation`; what is not there is
///   refused), for a `model`, for a conversation that is `named`, that it is to `resume` or to `fork`; what a command line may
///   not have itself (`reserved`), and which variables are taken away (`scrub`).
/// - `[session]`: how conversations are called (`id`), and the file that is there if one can be resumed (`transcript`).
/// - `[says]`: how a `turn`, an `interrupt` and the answers `allow` and `deny` are written: a text, or a table that becomes JSON.
/// - `[[rules]]`: `when` these members have these values, the line means `session_seen`, `session_resumable`, `turn_started`,
///   `tool_started`, `tool_ended`, `text`, `needs_input`, `input_settled`, `retry`, `background_started`, `background_ended`,
///   `warning` or `turn_ended`, the particulars of which are where JSON pointers lead; `each` element of a list is looked at by
///   the rules in `items`.
/// - `[lines]` and, for standard error, `[stderr]`: expressions for `session_seen`, `turn_started`, `text`, `needs_input`,
///   `warning`, `not_found`, `failed` and `turn_ended`.
/// - `[ladder]`: how it is ended, the graces in milliseconds.
///
/// ```
/// use hatchery::agent::Adapters;
///
/// let adapters = Adapters::default().with_table("echo", "
///     family = 'lines'
///     command.text = []
///     lines.turn_ended = '^done'
/// ")?;
/// assert!(adapters.get("echo")?.has_terminal_message());
/// assert!(adapters.get("stream-jsno").is_err());
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone)]
pub struct Adapters {
    by_name: BTreeMap<String, Arc<dyn LineAdapter>>,
}

impl Adapters {
    /// With what an embedder has written itself, under its own name. It takes the place of one that was called so.
    #[must_use]
    pub fn with(mut self, adapter: Arc<dyn LineAdapter>) -> Adapters {
        self.by_name.insert(adapter.name().to_owned(), adapter);
        self
    }

    /// With what a table describes, in TOML. It takes the place of one that was called so. `like = "NAME"` in it takes all that
    /// it does not say itself from a table that is built in.
    ///
    /// # Errors
    /// `validation`, with the place in the table and what was expected there.
    pub fn with_table(self, name: &str, text: &str) -> Result<Adapters> {
        self.with_toml(name, parse(name, text)?)
    }

    /// The same, for a table that was parsed with the configuration around it.
    pub(crate) fn with_toml(self, name: &str, table: Table) -> Result<Adapters> {
        let table = on_top_of_its_model(table).map_err(|error| about(name, error))?;
        Ok(self.with(Arc::new(Tabled::read(name, &table)?)))
    }

    /// The one of this name.
    ///
    /// # Errors
    /// `not_found`, with the names that there are, or the one that was probably meant.
    pub fn get(&self, name: &str) -> Result<Arc<dyn LineAdapter>> {
        self.by_name.get(name).cloned().ok_or_else(|| self.unknown(name))
    }

    /// What they are called, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    fn unknown(&self, name: &str) -> Error {
        let near = match name {
            "lines" | "jsonl" => format!(
                "; `{name}` is a family of adapters: give yours a table, agents.adapters.NAME with family = {name:?}"
            ),
            _ => near_match(name, self.names()),
        };
        let known = self.names().collect::<Vec<_>>().join(", ");
        let near = if near.is_empty() { format!("; there are {known}") } else { near };
        Error::new(ErrorKind::NotFound, format!("no adapter is called {name:?}{near}"))
    }
}

impl Default for Adapters {
    /// Those that are built in: `codex-jsonl`, `plain` and `stream-json`.
    fn default() -> Adapters {
        Adapters { by_name: BUILT_IN.clone() }
    }
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn parse(name: &str, text: &str) -> Result<Table> {
    let refuse = |error: toml::de::Error| {
        let line =
            error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        let message = error.message().replace('\n', "; ");
        about(name, Error::new(ErrorKind::Validation, format!("line {line}: not valid TOML: {message}")))
    };
    text.parse().map_err(refuse)
}

/// A table that says `like` has what its model says, but where it says something itself.
fn on_top_of_its_model(mut table: Table) -> Result<Table> {
    let Some(model) = table.remove("like") else { return Ok(table) };
    let found = TABLES.iter().find(|(name, _)| model.as_str() == Some(name));
    let Some((name, text)) = found else {
        let near = near_match(model.as_str().unwrap_or_default(), TABLES.map(|(name, _)| name));
        let names = TABLES.map(|(name, _)| name).join(", ");
        let message = format!("like: expected one of the tables that are built in ({names}), found {model}{near}");
        return Err(Error::new(ErrorKind::Validation, message));
    };
    let mut merged = parse(name, text)?;
    put_on(&mut merged, table);
    Ok(merged)
}

/// Tables are joined; anything else is replaced, lists, too: half of somebody's rules are nobody's.
fn put_on(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => put_on(below, above),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}
