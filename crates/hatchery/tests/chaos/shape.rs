//! What a worker can be: the programs of `tests/fixtures/shapes`, each with its letter there.

use std::path::PathBuf;

use hatchery::{App, CommandApp, PythonApp};

/// How many processes a worker of this shape is, at least: the proof that the fixture did what it is for.
pub(crate) fn processes(shape: &str) -> usize {
    match shape {
        "plain" | "deaf" | "gil" | "mute" | "bomb" => 1,
        "comets" => 2,
        "vfork" => 3,
        "nested" => 6,
        "chain" => 301,
        "tree" => 1001,
        _ => 2,
    }
}

/// The shape whose workers are forked from a template.
pub(crate) const FORKED: &str = "forked";

pub(crate) fn app(shape: &str) -> Box<dyn App> {
    let program = folder().join(format!("{shape}.py"));
    assert!(program.is_file(), "no such shape: {shape}");
    if shape == FORKED {
        return Box::new(PythonApp::file(program).python(python()));
    }
    let wire = folder().join("../workers");
    // One that embeds a hatchery of its own needs a program that does.
    let this_program = std::env::current_exe().unwrap();
    Box::new(CommandApp::new(python()).arg("-B").arg(program).env("PYTHONPATH", wire).env("CHAOS_SELF", this_program))
}

pub(crate) fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/shapes"].iter().collect()
}

/// The interpreter that the suite has found.
pub(crate) fn python() -> std::ffi::OsString {
    std::env::var_os("CHAOS_PYTHON").unwrap_or_else(|| "python3".into())
}
