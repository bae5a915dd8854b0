//! Text of any kind: line ends, paths of one machine, unfinished things.

use super::Finding;
use super::code::{is_word, words};
use super::tree::{File, Tree};

/// Spelled in parts, so that this file keeps its own rules.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("to", "do!")];

pub(super) fn line_ends(tree: &Tree) -> Vec<Finding> {
    tree.files().flat_map(|file| trailing_blanks(file).into_iter().chain(open_end(file))).collect()
}

fn trailing_blanks(file: &File) -> Vec<Finding> {
    let blank = file.text.split('\n').enumerate().filter(|(_, line)| line.ends_with([' ', '\t', '\r']));
    blank.map(|(index, _)| Finding::new(&file.path, index + 1, "line-ends", "blanks at the end; remove them")).collect()
}

fn open_end(file: &File) -> Option<Finding> {
    let text = &file.text;
    let what = match text.as_str() {
        "" => return None,
        _ if !text.ends_with('\n') => "no newline at the end of the file; add one",
        _ if text.ends_with("\n\n") => "empty lines at the end of the file; remove them",
        _ => return None,
    };
    Some(Finding::new(&file.path, text.lines().count(), "line-ends", what))
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let begins = |line: &str, at: usize| !line[..at].ends_with(|before| is_word(before) || "./~-}>".contains(before));
    matching_lines(tree, "machine-paths", |line| {
        let folder =
            MACHINE_FOLDERS.iter().find(|folder| line.match_indices(**folder).any(|(at, _)| begins(line, at)))?;
        Some(format!("`{folder}` is a path of one machine; make it relative"))
    })
}

pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    matching_lines(tree, "unfinished", |line| {
        let mark = UNFINISHED.iter().find(|mark| words(line, mark).next().is_some())?;
        Some(format!("`{mark}`; do it, or write down where it belongs why it is not done"))
    })
}

fn matching_lines(tree: &Tree, rule: &'static str, breach: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let lines = tree.files().flat_map(|file| file.lines().map(move |(number, line)| (file, number, line)));
    lines.filter_map(|(file, number, line)| Some(Finding::new(&file.path, number, rule, breach(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn ends_of_lines_and_files() {
        let files = [
            ("ok", "a\n\tb\n"),
            ("empty", ""),
            ("blank", "a \nb\t\n"),
            ("open", "a\nb"),
            ("long", "a\n\n"),
            ("dos", "a\r\n"),
        ];
        assert_eq!(places(line_ends, &files), ["blank:1", "blank:2", "open:2", "long:2", "dos:1"]);
    }

    #[test]
    fn paths_of_one_machine() {
        let [root, work, home] = MACHINE_FOLDERS;
        let cases = [
            (format!("cd {work}main\n"), true),
            (format!("\"{root}x\"\n"), true),
            (format!("={home}me\n"), true),
            (format!("https://example.org{home}page\n"), false),
            (format!("docs{work}wire.md\n"), false),
            (format!("..{root}x\n"), false),
        ];
        for (text, expected) in cases {
            assert_eq!(!places(machine_paths, &[("a.md", &text)]).is_empty(), expected, "{text}");
        }
    }

    #[test]
    fn unfinished_things() {
        for mark in UNFINISHED {
            assert_eq!(
                places(unfinished, &[("a.rs", &format!("fn f() {{\n    {mark} later\n"))]),
                ["a.rs:2"],
                "{mark}"
            );
            assert_eq!(places(unfinished, &[("a.rs", &format!("MA{mark}S\n"))]), Vec::<String>::new(), "{mark}");
        }
    }
}
