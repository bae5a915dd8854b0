//! `cargo xtask test`: every test, Rust and Python, in the environment that it makes itself.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::child::{self, Stream, command, on_path};
use crate::venv;
use report::{Outcome, Report};
use tally::Tally;

mod report;
mod tally;

/// Tells Rust tests where the environment with scikit-learn and friends is; they skip visibly without it.
const VENV: &str = "HATCHERY_TEST_VENV";
/// Further interpreters that the runtime is tested on, separated like PATH.
const FURTHER_PYTHONS: &str = "HATCHERY_TEST_PYTHONS";
/// Tells the tests of examples where the command is.
const BINARY: &str = "HATCHERY_BIN";
/// What runs beside workers that were written for Snakepit, with its tests; these need grpcio and grpcio-tools.
const BRIDGE: &str = "crates/hatchery-snakepit/python";
/// The Python runtime: the folder that holds the package `hatchery`.
const RUNTIME: &str = "crates/hatchery/python";

pub(crate) fn run(root: &Path) -> Result<ExitCode, String> {
    let mut report = Report::default();
    let venv = environment(root, &mut report);
    report.add("Rust", rust(root, venv.as_deref()));
    for python in pythons() {
        report.add(format!("Python runtime on {}", python.display()), tests_of(root, &python, RUNTIME));
    }
    if let Some(venv) = &venv {
        report.add("Python runtime in target/venv", tests_of(root, &venv::python(venv), RUNTIME));
        report.add("Snakepit's bridge in target/venv", tests_of(root, &venv::python(venv), BRIDGE));
    }
    for example in examples(root) {
        let name = example.strip_prefix(root).unwrap_or(&example).display().to_string();
        report.add(name, examples_tests(root, &example, venv.as_deref()));
    }
    Ok(report.close())
}

/// The virtual environment; without one the run goes on, and fails.
fn environment(root: &Path, report: &mut Report) -> Option<PathBuf> {
    match venv::ensure(root) {
        Ok(home) => Some(home),
        Err(reason) => {
            report.add("Python environment", Outcome::Broken(reason));
            None
        }
    }
}

fn rust(root: &Path, venv: Option<&Path>) -> Outcome {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--workspace", "--no-fail-fast"]).current_dir(root);
    match venv {
        Some(home) => cargo.env(VENV, home),
        None => cargo.env_remove(VENV),
    };
    outcome(cargo, Stream::Stdout, tally::of_cargo_line)
}

/// The interpreter on PATH, then those that the environment names.
fn pythons() -> Vec<PathBuf> {
    let further = std::env::var_os(FURTHER_PYTHONS).unwrap_or_default();
    let further = std::env::split_paths(&further).filter(|path| !path.as_os_str().is_empty());
    std::iter::once(PathBuf::from("python3")).chain(further).collect()
}

/// The tests in the folder `tests` of that folder.
fn tests_of(root: &Path, python: &Path, folder: &str) -> Outcome {
    let mut unittest = unittest(root, python);
    unittest.args(["-s", &format!("{folder}/tests"), "-t", folder]);
    outcome(unittest, Stream::Stderr, tally::of_unittest_line)
}

/// The folders of examples that have tests, in the order of their names.
fn examples(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        entries(&root.join("examples")).into_iter().filter(|path| has_tests(path)).collect();
    folders.sort();
    folders
}

fn has_tests(folder: &Path) -> bool {
    entries(folder)
        .iter()
        .filter_map(|path| path.file_name()?.to_str())
        .any(|name| name.starts_with("test_") && name.ends_with(".py"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// An example with a JavaScript worker needs node, and nothing but the standard library on the Python side.
fn examples_tests(root: &Path, folder: &Path, venv: Option<&Path>) -> Outcome {
    let is_node = entries(folder).iter().any(|path| path.extension().is_some_and(|extension| extension == "js"));
    let python = match venv {
        _ if is_node && on_path("node").is_none() => return Outcome::Skipped("no node on PATH".to_owned()),
        _ if is_node => PathBuf::from("python3"),
        Some(home) => venv::python(home),
        None => return Outcome::Broken("no Python environment".to_owned()),
    };
    let mut unittest = unittest(root, &python);
    unittest.arg("-s").arg(folder).arg("-t").arg(folder);
    unittest.env("PYTHONPATH", root.join(RUNTIME)).env(BINARY, crate::target(root).join("debug/hatchery"));
    outcome(unittest, Stream::Stderr, tally::of_unittest_line)
}

fn unittest(root: &Path, python: &Path) -> Command {
    let mut unittest = command(python);
    unittest.args(["-m", "unittest", "discover"]).current_dir(root).env("PYTHONDONTWRITEBYTECODE", "1");
    unittest
}

fn outcome(runner: Command, stream: Stream, read: fn(&str) -> Option<Tally>) -> Outcome {
    match child::watch(runner, stream, read) {
        Ok(watched) => Outcome::of(watched.status.success(), watched.held, watched.seen.into_iter().sum()),
        Err(reason) => Outcome::Broken(reason),
    }
}
