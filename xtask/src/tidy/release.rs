//! What goes out: golden files that parse, and a change log that knows the version.

use super::Finding;
use super::tree::{File, Tree};

const CHANGELOG: &str = "CHANGELOG.md";

pub(super) fn golden(tree: &Tree) -> Vec<Finding> {
    let recorded = tree.with_extension(&["json"]).filter(|file| file.is_recorded());
    recorded
        .filter_map(|file| {
            let error = serde_json::from_str::<serde::de::IgnoredAny>(&file.text).err()?;
            Some(Finding::new(&file.path, error.line().max(1), "golden", format!("not JSON: {error}; write it anew")))
        })
        .collect()
}

pub(super) fn changelog(tree: &Tree) -> Vec<Finding> {
    let Some(version) = tree.file("Cargo.toml").and_then(version) else { return Vec::new() };
    let what = match tree.file(CHANGELOG) {
        None => "is missing; begin it with a section `## Unreleased`".to_owned(),
        Some(file) if sections(file).any(|section| section == version || section == "Unreleased") => return Vec::new(),
        Some(_) => format!("has no section for what comes; add `## Unreleased` or `## {version}`"),
    };
    vec![Finding::new(CHANGELOG, 1, "changelog", what)]
}

/// The version of the workspace.
fn version(manifest: &File) -> Option<&str> {
    manifest.text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

/// The names of the sections: `## [0.1.0] - 2026-11-21` is `0.1.0`.
fn sections(changelog: &File) -> impl Iterator<Item = &str> {
    let headings = changelog.text.lines().filter_map(|line| line.strip_prefix("## "));
    headings.filter_map(|heading| heading.split_whitespace().next()).map(|name| name.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn golden_files_are_json() {
        let files = [("tests/golden/a.json", "[1]\n"), ("tests/golden/b.json", "[\n1,]\n"), ("other/c.json", "[")];
        assert_eq!(places(golden, &files), ["tests/golden/b.json:2"]);
    }

    #[test]
    fn the_change_log_knows_what_comes() {
        let manifest = ("Cargo.toml", "[workspace.package]\nversion = \"0.2.0\"\n");
        for (text, fine) in
            [("## Unreleased\n", true), ("## [0.2.0] - today\n", true), ("## 0.2.0\n", true), ("## 0.1.0\n", false)]
        {
            assert_eq!(places(changelog, &[manifest, (CHANGELOG, text)]).is_empty(), fine, "{text}");
        }
        assert_eq!(places(changelog, &[manifest]), ["CHANGELOG.md:1"]);
    }
}
