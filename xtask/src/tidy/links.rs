//! Relative links of Markdown pages lead to files of the repository.

use super::Finding;
use super::tree::{File, Tree};

pub(super) fn resolve(tree: &Tree) -> Vec<Finding> {
    tree.with_extension(&["md"]).flat_map(|file| broken(tree, file)).collect()
}

fn broken(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut fenced = false;
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if fenced || is_fence {
            continue;
        }
        for target in targets(line).into_iter().filter(|target| is_relative(target)) {
            if !leads_somewhere(tree, &file.path, &target) {
                let what = format!("`{target}` leads nowhere; correct it or add the file");
                findings.push(Finding::new(&file.path, number, "links", what));
            }
        }
    }
    findings
}

/// What the links of a line point to: `[text](target)`, and `[name]: target` at its beginning.
fn targets(line: &str) -> Vec<String> {
    let line = without_code_spans(line);
    let inline = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split(')').next());
    let defined = line.strip_prefix('[').filter(|rest| !rest.starts_with('^')).and_then(|rest| rest.split_once("]: "));
    let all = inline.chain(defined.map(|(_, target)| target));
    all.filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect()
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

fn is_relative(target: &str) -> bool {
    !target.starts_with('#') && !target.contains("://") && !target.starts_with("mailto:")
}

fn leads_somewhere(tree: &Tree, page: &str, target: &str) -> bool {
    let path = target.split(['#', '?']).next().unwrap_or_default();
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let whole =
        if let Some(absolute) = path.strip_prefix('/') { absolute.to_owned() } else { format!("{folder}/{path}") };
    normal(&whole).is_some_and(|path| tree.contains(&path))
}

/// The path without `.` and `..`; none if it leads out of the repository.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn links_that_lead_somewhere_and_links_that_do_not() {
        let cases = [
            ("[wire](wire.md)", true),
            ("[wire](./wire.md#frames \"title\")", true),
            ("[code](../../src)", true),
            ("[page](https://example.org/x) and [here](#part)", true),
            ("`[no](link.md)`", true),
            ("```\n[no](link.md)\n```", true),
            ("[ref]: ../../src/lib.rs", true),
            ("[gone](gone.md)", false),
            ("[one](wire.md) [two](gone.md)", false),
            ("[out](../../../x.md)", false),
            ("[ref]: gone.md", false),
        ];
        for (text, fine) in cases {
            let files = [("docs/design/a.md", text), ("docs/design/wire.md", ""), ("src/lib.rs", "")];
            assert_eq!(places(resolve, &files).is_empty(), fine, "{text}");
        }
    }
}
