//! The page that names every key: `docs/configuration.md`.

use std::fmt::Write as _;

use super::keys::{Fallback, Key, TOP};
use super::kind::{Kind, Naming};

/// Every key of `hatchery.toml` with what it may be, what it is if nobody says anything, and what it is for, as Markdown.
pub fn config_reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "The file", "", TOP, "");
    page
}

const INTRODUCTION: &str = "\
# Configuration

Made from the table of keys in `crates/hatchery/src/config/keys.rs` by `hatchery config reference`; change it there.

What holds is the first of: a flag of the command line, a variable, `hatchery.toml` (in the current folder, or `--config FILE`), the
timeout profile, the default. A pool takes what it does not say itself from `[pool_defaults]`, key by key and table by table.
`hatchery config show --origin` prints everything that holds and where it comes from, `hatchery config check` everything that is wrong,
with its file and line.

A key's variable is its path in capitals with two underscores between, behind `HATCHERY`: `HATCHERY__SERVER__LISTEN`, and for a
pool its name, with `_` for `-` and `.`: `HATCHERY__POOLS__DEFAULT__HEARTBEAT__INTERVAL`. A list is one of JSON there. An empty variable is
not set. Relative paths are taken from the file's folder, in a variable from the current one.

Durations are `250ms`, `30s`, `5m`, `1h`; sizes `64KiB`, `2GiB`; `\"infinity\"` where no limit is meant.
";

/// A table of the keys, then a section for each table among them.
fn section(page: &mut String, title: &str, doc: &str, keys: &'static [Key], path: &str) {
    let _strings_do_not_fail = write!(page, "\n## {title}\n\n");
    if !doc.is_empty() {
        let _strings_do_not_fail = write!(page, "{doc}\n\n");
    }
    page.push_str("| key | is | default | for |\n|---|---|---|---|\n");
    for key in keys {
        row(page, key, path);
    }
    for key in keys {
        match key.kind {
            // Its keys are those of a pool.
            Kind::Table(_) if key.name == "pool_defaults" => {}
            Kind::Table(keys) => {
                section(page, &format!("`{path}{}`", key.name), key.doc, keys, &format!("{path}{}.", key.name))
            }
            Kind::Tables(list, keys) => section(page, &format!("`[[{list}]]`"), key.doc, keys, ""),
            _ => {}
        }
    }
}

fn row(page: &mut String, key: &Key, path: &str) {
    let Key { name, doc, .. } = key;
    let (is, default) = (is(key.kind), default(key.fallback));
    let _strings_do_not_fail = match key.kind {
        Kind::Table(_) => writeln!(page, "| `{path}{name}` | a table, below | | {doc} |"),
        Kind::Tables(..) => writeln!(page, "| `{name}` | tables, below | | {doc} |"),
        _ => writeln!(page, "| `{path}{name}` | {is} | {default} | {doc} |"),
    };
}

fn is(kind: Kind) -> String {
    match kind {
        Kind::Wait => "a duration, or infinity".to_owned(),
        Kind::Limit => "a duration above 0, or infinity".to_owned(),
        Kind::Grace => "a duration that ends".to_owned(),
        Kind::Period => "a duration above 0 that ends".to_owned(),
        Kind::Size => "a size, or infinity".to_owned(),
        Kind::Name => "a name".to_owned(),
        Kind::List(element) => format!("a list, each {}", is(*element)),
        Kind::ListOrNot(element) => format!("a list, each {}, or false", is(*element)),
        Kind::Entries(kind, Naming::Variables) => format!("a table, names of variables to {}", is(*kind)),
        Kind::Entries(kind, Naming::Tools) => format!("a table, names of tools to {}", is(*kind)),
        Kind::Entries(kind, Naming::Adapters) => format!("a table, names of adapters to {}", is(*kind)),
        Kind::Adapter => "a table".to_owned(),
        _ => kind.expected().replace('"', ""),
    }
}

fn default(fallback: Fallback) -> String {
    match fallback {
        Fallback::Nothing(what) => what.to_owned(),
        Fallback::Is(value) | Fallback::WithThreads(value) | Fallback::Bridged(value) | Fallback::Native(value) => {
            format!("`{}`", value().toml())
        }
        Fallback::OfProfile(_) => "as the timeout profile says".to_owned(),
        Fallback::Threads => "1; with profile = thread, `threads_per_worker`".to_owned(),
        Fallback::OnIfSpokenOf => "`true` if anything else is said here".to_owned(),
    }
}
