//! Python sources: what the runtime may import, and the oldest grammar that they must keep to.
//!
//! Python reads Python best, so both rules are one small script; it gets the texts and gives back findings.

use std::io::Write;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::Finding;
use super::tree::{File, Tree};
use crate::child::command;

/// The runtime, which has nothing but the standard library.
const RUNTIME: &str = "crates/hatchery/python/hatchery/";
const SCRIPT: &str = include_str!("python/check.py");

pub(super) fn imports(tree: &Tree) -> Vec<Finding> {
    check("imports", tree.with_extension(&["py"]).filter(|file| file.path.starts_with(RUNTIME)))
}

/// A file whose name says that it is broken is so on purpose.
pub(super) fn grammar(tree: &Tree) -> Vec<Finding> {
    let is_broken = |file: &File| file.path.rsplit('/').next().is_some_and(|name| name.starts_with("broken"));
    check("grammar", tree.with_extension(&["py"]).filter(|file| !is_broken(file)))
}

#[derive(Serialize)]
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    path: String,
    line: usize,
    what: String,
}

fn check<'a>(rule: &'static str, files: impl Iterator<Item = &'a File>) -> Vec<Finding> {
    let sources: Vec<Source<'_>> = files.map(|file| Source { path: &file.path, text: &file.text }).collect();
    if sources.is_empty() {
        return Vec::new();
    }
    match ask(rule, &sources) {
        Ok(answers) => {
            answers.into_iter().map(|found| Finding::new(&found.path, found.line, rule, found.what)).collect()
        }
        Err(reason) => vec![Finding::new(sources[0].path, 1, rule, format!("not checked: {reason}; install python3"))],
    }
}

/// Runs the script: sources in, answers out, both JSON.
fn ask(rule: &str, sources: &[Source<'_>]) -> Result<Vec<Answer>, String> {
    let input = serde_json::to_vec(sources).map_err(|error| error.to_string())?;
    let mut python = command("python3");
    python.args(["-I", "-c", SCRIPT, rule]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().map_err(|error| format!("start python3: {error}"))?;
    // The script reads everything before it writes anything, so that neither side waits for the other.
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(&input));
    let output = child.wait_with_output().map_err(|error| format!("wait for python3: {error}"))?;
    if let Some(Err(error)) = written {
        return Err(format!("write to python3: {error}"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("python3 ended with {}: {error}", output.status))
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    fn in_runtime(text: &str) -> Vec<String> {
        places(imports, &[(&format!("{RUNTIME}a.py"), text)])
    }

    #[test]
    fn what_the_runtime_may_import() {
        let cases = [
            "import os, sys\nfrom hatchery.wire import Frame\nfrom . import boot\n",
            "try:\n    import msgspec\nexcept ImportError:\n    import json\n",
            "def f():\n    import numpy as np\n    return np\n",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n",
        ];
        for text in cases {
            assert_eq!(in_runtime(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(places(imports, &[("examples/digits/app.py", "import sklearn\n")]), Vec::<String>::new());
    }

    #[test]
    fn what_it_may_not() {
        let cases = [
            ("import os\nimport numpy\n", 2),
            ("if True:\n    import orjson\n", 2),
            ("class A:\n    from requests import get\n", 2),
            ("def f():\n    import requests\n", 2),
            ("import tomllib\n", 1),
        ];
        for (text, line) in cases {
            assert_eq!(in_runtime(text), [format!("{RUNTIME}a.py:{line}")], "{text}");
        }
    }

    #[test]
    fn the_grammar_is_that_of_3_9() {
        let files = [
            ("a.py", "x = 1\n"),
            ("b.py", "x = 1\nmatch x:\n    case 1: pass\n"),
            ("c.py", "def f(:\n"),
            ("fixtures/broken_syntax.py", "def f(:\n"),
        ];
        assert_eq!(places(grammar, &files), ["b.py:3", "c.py:1"]);
    }
}
