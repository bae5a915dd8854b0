//! What a worker can be: the programs of `tests/fixtures/shapes`, each with its letter there.

use std::path::PathBuf;

use hatchery::CommandApp;

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

pub(crate) fn app(shape: &str) -> CommandApp {
    let program = folder().join(format!("{shape}.py"));
    assert!(program.is_file(), "no such shape: {shape}");
    let wire = folder().join("../workers");
    // One that embeds a hatchery of its own needs a program that does.
    let this_program = std::env::current_exe().unwrap();
    CommandApp::new(python()).arg("-B").arg(program).env("PYTHONPATH", wire).env("CHAOS_SELF", this_program)
}

pub(crate) fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/shapes"].iter().collect()
}

/// The interpreter that the suite has found.
pub(crate) fn python() -> std::ffi::OsString {
    std::env::var_os("CHAOS_PYTHON").unwrap_or_else(|| "python3".into())
}
