//! Files: how long, and how called.

use super::Finding;
use super::tree::Tree;

const LONGEST: usize = 600;
const SOURCES: [&str; 3] = ["rs", "py", "js"];
/// Names that say nothing of what is inside.
const BANNED: [&str; 5] = ["common", "helpers", "manager", "prelude", "utils"];

pub(super) fn length(tree: &Tree) -> Vec<Finding> {
    let sources = tree.with_extension(&["rs", "py"]).filter(|file| !file.is_recorded());
    sources
        .filter_map(|file| {
            let lines = file.text.lines().count();
            let what = format!("{lines} lines; give a part of it a room of its own (at most {LONGEST})");
            (lines > LONGEST).then(|| Finding::new(&file.path, LONGEST + 1, "length", what))
        })
        .collect()
}

pub(super) fn names(tree: &Tree) -> Vec<Finding> {
    let sources = tree.with_extension(&SOURCES);
    sources
        .filter_map(|file| {
            let parts = file.path.split('/').map(|part| part.split_once('.').map_or(part, |(stem, _)| stem));
            let banned = parts.into_iter().find(|stem| BANNED.contains(stem))?;
            let what = format!("`{banned}` names no subject; call it after what is inside");
            Some(Finding::new(&file.path, 1, "names", what))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn long_files() {
        let (fits, long) = ("x\n".repeat(LONGEST), "x\n".repeat(LONGEST + 1));
        let files = [("a.rs", fits.as_str()), ("b.py", &long), ("c.md", &long), ("tests/golden/d.py", &long)];
        assert_eq!(places(length, &files), ["b.py:601"]);
    }

    #[test]
    fn names_without_a_subject() {
        let files = [
            ("src/utils.rs", ""),
            ("a/common/b.py", ""),
            ("src/pool.rs", ""),
            ("common.md", ""),
            ("src/commons.rs", ""),
        ];
        assert_eq!(places(names, &files), ["src/utils.rs:1", "a/common/b.py:1"]);
    }
}
