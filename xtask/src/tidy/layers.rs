//! The layers of the library: a top-level module uses only modules that `lib.rs` lists below it.

use super::Finding;
use super::code::{code_only, is_word, line_of, without_tests};
use super::tree::{File, Tree};

const RULE: &str = "layers";
const SOURCES: &str = "crates/hatchery/src/";
const LIBRARY: &str = "crates/hatchery/src/lib.rs";

pub(super) fn order(tree: &Tree) -> Vec<Finding> {
    let Some(library) = tree.file(LIBRARY) else { return Vec::new() };
    let order = modules(&library.text);
    tree.with_extension(&["rs"]).flat_map(|file| upward(file, &order)).collect()
}

/// The modules that `lib.rs` lists, from top to bottom, less those for tests only.
fn modules(library: &str) -> Vec<String> {
    let code = without_tests(&code_only(library));
    let declared = code.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

/// The uses in one file that the order does not allow.
fn upward(file: &File, order: &[String]) -> Vec<Finding> {
    let place = module_path(&file.path);
    let Some(level) = place.first().and_then(|room| order.iter().position(|listed| listed == room)) else {
        return Vec::new();
    };
    let code = without_tests(&code_only(&file.text));
    let uses = uses(&code, place.len()).into_iter();
    uses.filter_map(|(at, used)| {
        let what = breach(&used, level, order)?;
        Some(Finding::new(&file.path, line_of(&code, at), RULE, what))
    })
    .collect()
}

fn breach(used: &str, level: usize, order: &[String]) -> Option<String> {
    let room = &order[level];
    match order.iter().position(|listed| listed == used) {
        Some(found) if found >= level => None,
        Some(_) => {
            Some(format!("`{room}` uses `{used}`, which lib.rs lists above it; move the code, or hand the thing in"))
        }
        None => Some(format!("`crate::{used}` is a name of the crate's door; name the room, `crate::…::{used}`")),
    }
}

/// `src/pool/roster.rs` is `["pool", "roster"]`; files of tests and of other crates are nothing.
fn module_path(path: &str) -> Vec<&str> {
    let Some(inside) = path.strip_prefix(SOURCES).and_then(|path| path.strip_suffix(".rs")) else { return Vec::new() };
    let parts: Vec<&str> = inside.split('/').filter(|part| *part != "mod").collect();
    if parts.contains(&"tests") { Vec::new() } else { parts }
}

/// The names that follow `crate::`, or as many `super::` as lead to the crate, each with its place.
fn uses(code: &str, depth: usize) -> Vec<(usize, String)> {
    let from_crate = ["crate::".to_owned(), "super::".repeat(depth)];
    let starts = from_crate.iter().flat_map(|prefix| {
        let found = code.match_indices(prefix.as_str()).map(move |(at, _)| (at, at + prefix.len()));
        found.filter(|&(at, _)| !code[..at].ends_with(|before| is_word(before) || before == ':'))
    });
    let mut uses: Vec<_> =
        starts.flat_map(|(at, end)| names(&code[end..]).into_iter().map(move |name| (at, name))).collect();
    uses.sort();
    uses
}

/// The first names of the path or of the group of paths that the text begins with.
fn names(path: &str) -> Vec<String> {
    match path.strip_prefix('{') {
        Some(group) => branches(group).into_iter().map(first_name).collect(),
        None => vec![first_name(path)],
    }
}

fn first_name(path: &str) -> String {
    let path = path.trim_start();
    path.chars().take_while(|&character| is_word(character) || character == '*').collect()
}

/// The members of a group of paths, up to its closing brace.
fn branches(group: &str) -> Vec<&str> {
    let (mut members, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                members.push(&group[start..at]);
                break;
            }
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.trim().is_empty());
    members
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    const LIB: &str = "mod pool;\npub mod worker;\n#[cfg(test)]\nmod testing;\nmod error;\npub use error::Error;\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        places(order, &[(LIBRARY, LIB), (&format!("{SOURCES}{path}"), text)])
    }

    #[test]
    fn modules_are_listed_from_top_to_bottom() {
        assert_eq!(modules(LIB), ["pool", "worker", "error"]);
    }

    #[test]
    fn what_is_allowed() {
        let cases = [
            ("pool.rs", "use crate::worker::Worker;\nuse crate::{error::Error, worker};\n"),
            ("pool/roster.rs", "use super::task;\nuse super::super::error;\nuse crate::pool::Pool;\n"),
            ("error.rs", "//! See [`crate::pool`].\n/// `crate::Error`\npub(crate) fn f() { g(\"crate::pool\") }\n"),
            ("error.rs", "#[cfg(test)]\nmod tests { use crate::pool::Pool; use super::*; }\n"),
            ("worker/tests.rs", "use crate::pool::Pool;\n"),
            ("lib.rs", "mod pool;\nuse crate::pool;\n"),
        ];
        for (path, text) in cases {
            assert_eq!(found(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn what_is_not() {
        let cases = [
            ("error.rs", "\nuse crate::pool::Pool;\n", 2),
            ("worker.rs", "use crate::{\n    error::Error,\n    pool::{Pool, Roster},\n};\n", 1),
            ("worker/task.rs", "\n\nfn f() { crate::pool::start() }\n", 3),
            ("worker/task.rs", "use super::super::pool;\n", 1),
            ("error.rs", "use super::worker;\n", 1),
            ("pool.rs", "use crate::Error;\n", 1),
            ("pool.rs", "use crate::*;\n", 1),
        ];
        for (path, text, line) in cases {
            assert_eq!(found(path, text), [format!("{SOURCES}{path}:{line}")], "{text}");
        }
    }
}
