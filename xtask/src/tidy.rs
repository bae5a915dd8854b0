//! `cargo xtask tidy`: the repository's own rules, which no compiler knows.
//!
//! A rule is a function from the tree to what it found, and its tests hand it a made-up tree.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use tree::Tree;

mod code;
mod files;
mod layers;
mod links;
mod python;
mod release;
mod text;
mod tree;
mod unsafety;

/// Every rule, in the order in which they report.
const RULES: [fn(&Tree) -> Vec<Finding>; 12] = [
    layers::order,
    files::length,
    files::names,
    text::line_ends,
    text::machine_paths,
    text::unfinished,
    unsafety::rooms,
    python::imports,
    python::grammar,
    links::resolve,
    release::golden,
    release::changelog,
];

/// One breach of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from one; one for what concerns the whole file.
    line: usize,
    rule: &'static str,
    /// What is wrong, and what to do.
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, what: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, rule, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

pub(crate) fn run(root: &Path) -> Result<ExitCode, String> {
    let tree = Tree::read(root)?;
    let findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", tree.len(), findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a rule finds in a made-up tree, as `path:line`.
    pub(crate) fn places(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        rule(&Tree::of(files)).iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
    }

    #[test]
    fn a_finding_reads_like_a_compilers() {
        let finding = Finding::new("src/a.rs", 3, "length", "700 lines; split it");
        assert_eq!(finding.to_string(), "src/a.rs:3: length: 700 lines; split it");
    }

    #[test]
    fn our_own_modules_keep_their_order() {
        let tree = Tree::read(&crate::root()).unwrap();
        assert_eq!(layers::order(&tree), []);
    }
}
