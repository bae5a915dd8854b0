//! `docs/migrating-from-snakepit.md` names commands, keys, events, metrics, paths of HTTP and of Rust, and Python's names: each of them
//! exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hatchery::EventKind;

use crate::cli;

const GUIDE: &str = include_str!("../../../docs/migrating-from-snakepit.md");

/// Everything that can be named.
struct Names {
    keys: BTreeSet<String>,
    events: BTreeSet<&'static str>,
    rust: Vec<(String, String)>,
    python: String,
    routes: String,
}

impl Names {
    fn gather() -> Names {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let rust = sources(&root.join("crates"), "rs");
        let python = sources(&root.join("crates/hatchery/python/hatchery"), "py").into_iter().map(|(_, text)| text);
        let routes = rust.iter().find(|(path, _)| path.ends_with("hatchery-daemon/src/routes.rs")).unwrap();
        Names {
            keys: keys(&hatchery::config_reference()),
            events: hatchery::catalogue().iter().map(|kind: &EventKind| kind.name).collect(),
            python: python.collect(),
            routes: routes.1.split_whitespace().collect(),
            rust,
        }
    }

    fn know(&self, span: &str) -> bool {
        match span.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["hatchery", words @ ..] if !words.is_empty() => is_command(words),
            [method @ ("GET" | "POST" | "PUT" | "DELETE"), path] => {
                let method = format!("{}{}", &method[..1], method[1..].to_lowercase());
                self.routes.contains(&format!("Route::of({method},\"{path}\""))
            }
            [variable] if variable.starts_with("HATCHERY_") => self.is_variable(variable),
            [metric] if metric.starts_with("hatchery_") && !metric.contains("::") => {
                self.rust_has(&format!("\"{metric}\""))
            }
            [path] if path.contains("::") => self.is_rust(path),
            [name] if name.starts_with(char::is_uppercase) && !name.contains('.') => self.is_exported(name),
            [name] => self.keys.contains(*name) || self.events.contains(name) || self.is_python(name),
            _ => false,
        }
    }

    fn is_variable(&self, name: &str) -> bool {
        let bare = name.trim_start_matches("HATCHERY_");
        self.rust_has(&format!("\"{name}\"")) || self.python.contains(&format!("setting(\"{bare}\")"))
    }

    fn rust_has(&self, text: &str) -> bool {
        self.rust.iter().any(|(_, source)| source.contains(text))
    }

    /// `module::item`, `Type::method`, `Type::Variant` or `Type::field`.
    fn is_rust(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split("::").collect();
        let [.., owner, member] = parts.as_slice() else { return false };
        let declares = |source: &str| {
            ["fn ", "struct ", "enum ", "mod ", "pub "].iter().any(|word| has(source, &format!("{word}{member}")))
        };
        if *owner == "hatchery" {
            return self.is_exported(member);
        }
        if let Some(of) = owner.strip_prefix("hatchery_") {
            let door = format!("hatchery-{of}/src/lib.rs");
            return self.rust.iter().any(|(path, source)| path.ends_with(&door) && has(source, member));
        }
        if owner.starts_with(char::is_lowercase) {
            let is_there = |path: &str| path.contains(&format!("/{owner}/")) || path.ends_with(&format!("/{owner}.rs"));
            return self.rust.iter().any(|(path, source)| is_there(path) && declares(source));
        }
        let is_of = |source: &str| {
            source.lines().any(|line| line.starts_with("impl") && has(line, owner))
                || ["struct ", "enum ", "trait "].iter().any(|word| has(source, &format!("pub {word}{owner}")))
        };
        let has_variant = |source: &str| {
            source.lines().any(|line| line.trim().trim_end_matches(',').split(['(', ' ']).next() == Some(member))
        };
        let mentions = |source: &str| source.contains(owner) && source.contains(member);
        let mut files = self.rust.iter().map(|(_, source)| source).filter(|source| mentions(source));
        files.any(|source| is_of(source) && (declares(source) || has_variant(source)))
    }

    /// Whether the library's doors show it.
    fn is_exported(&self, name: &str) -> bool {
        let doors = ["hatchery/src/lib.rs", "hatchery/src/fault.rs", "hatchery/src/logs.rs", "hatchery/src/compat.rs"];
        self.rust.iter().any(|(path, source)| doors.iter().any(|door| path.ends_with(door)) && has(source, name))
    }

    fn is_python(&self, name: &str) -> bool {
        match name.split_once('.') {
            Some(("Context", method)) => self.python.contains(&format!("    def {method}(self")),
            Some(("hatchery", item)) => self.python.contains(&format!("    \"{item}\",")),
            _ => false,
        }
    }
}

/// Whether the text has this with no letter on either side.
fn has(text: &str, wanted: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(wanted)
        .any(|(at, _)| !text[..at].ends_with(is_letter) && !text[at + wanted.len()..].starts_with(is_letter))
}

/// The files below a folder, but for tests, and for the reader of Snakepit's configuration, which names what is Snakepit's.
fn sources(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if matches!(name.as_str(), "tests" | "target" | "build") || path.ends_with("hatchery-snakepit/src/config") {
                continue;
            }
            found.extend(sources(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) && name != "migration_guide.rs" {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

/// What the reference has in the first column of its tables.
fn keys(reference: &str) -> BTreeSet<String> {
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

/// Whether clap knows the subcommands and the flags.
fn is_command(words: &[&str]) -> bool {
    let mut command = cli::definition();
    command.build();
    let mut is_known = true;
    for word in words {
        if let Some(flag) = word.strip_prefix("--") {
            is_known &= command.get_arguments().any(|argument| argument.get_long() == Some(flag));
        } else if let Some(below) = command.find_subcommand(word) {
            command = below.clone();
        } else if command.has_subcommands() {
            return false;
        }
    }
    is_known
}

/// The second cells of all tables of two sides, with the number of their line.
fn cells() -> Vec<(usize, &'static str)> {
    let rows =
        GUIDE.lines().enumerate().filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| Snakepit |"));
    rows.filter_map(|(index, line)| Some((index + 1, line.split(" | ").nth(1)?))).collect()
}

fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn everything_that_the_guide_names_exists() {
    let names = Names::gather();
    let mut unknown = Vec::new();
    for (line, cell) in cells() {
        for span in spans(cell) {
            if !names.know(span) {
                unknown.push(format!("docs/migrating-from-snakepit.md:{line}: {span}"));
            }
        }
    }
    assert!(unknown.is_empty(), "no such things:\n{}", unknown.join("\n"));
    assert!(cells().len() > 150, "the tables are not found any more: {}", cells().len());
}

#[test]
fn a_cell_says_something_or_that_there_is_nothing() {
    let empty: Vec<usize> = cells()
        .into_iter()
        .filter(|(_, cell)| spans(cell).next().is_none() && cell.trim() != "–")
        .map(|(line, _)| line)
        .collect();
    assert_eq!(empty, Vec::<usize>::new());
}

#[test]
fn what_is_not_there_is_not_known() {
    let names = Names::gather();
    for span in [
        "hatchery nonsense",
        "hatchery call --nonsense",
        "hatchery sessions nonsense",
        "GET /v1/nonsense",
        "POST /v1/stats",
        "heartbeat.nonsense",
        "hatchery_nonsense_total",
        "HATCHERY_NONSENSE",
        "Pool::nonsense",
        "Nonsense::call",
        "Nonsense",
        "compat::nonsense",
        "hatchery_snakepit::nonsense",
        "SnakepitOptions::nonsense",
        "Context.nonsense",
        "hatchery.nonsense",
        "nonsense",
    ] {
        assert!(!names.know(span), "{span}");
    }
    for span in [
        "hatchery call --app",
        "hatchery events --catalogue",
        "GET /v1/stats",
        "heartbeat.interval",
        "worker.ready",
        "hatchery_calls_total",
        "Pool::call",
        "ErrorKind::Remote",
        "compat::check",
        "CallOptions",
        "hatchery_snakepit::Bridge",
        "SnakepitOptions::pickled",
        "Context.call",
        "hatchery.tool",
        "HATCHERY_DATA_DIR",
    ] {
        assert!(names.know(span), "{span}");
    }
}
