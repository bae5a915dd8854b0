//! `cargo xtask bench`: builds the benchmarks for release and runs them with the environment's interpreter.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::child::{command, on_path, succeed};
use crate::{peers, venv};

pub(crate) fn run(root: &Path, options: &[String]) -> Result<ExitCode, String> {
    if options == ["spawn"] {
        return spawn(root);
    }
    if options.first().is_some_and(|first| first == "call") {
        return call(root, &options[1..]);
    }
    let is_orphans = options.first().is_some_and(|first| first == "orphans");
    let python = if is_orphans { peers::ensure(root)? } else { python(root) };
    if is_orphans {
        // The daemon is one of those that are killed.
        succeed(cargo(root).args(["build", "--release", "--quiet", "-p", "hatchery-cli"]))?;
    }
    let mut cargo = cargo(root);
    cargo.args(["run", "--release", "--quiet", "-p", "hatchery-bench", "--"]);
    // The library looks there for its interpreter; the floors and the peers are told by option.
    cargo.args(options).arg("--python").arg(&python).env("HATCHERY_PYTHON", &python);
    succeed(&mut cargo)?;
    Ok(ExitCode::SUCCESS)
}

/// One call in all its forms, with its allocations: an example of the benchmarks, as its allocator is its own.
fn call(root: &Path, options: &[String]) -> Result<ExitCode, String> {
    let mut cargo = cargo(root);
    cargo.args(["run", "--release", "--quiet", "-p", "hatchery-bench", "--example", "call", "--"]);
    succeed(cargo.args(options).env("HATCHERY_PYTHON", python(root)))?;
    Ok(ExitCode::SUCCESS)
}

/// Inside the library's own room, which no benchmark from outside can enter. Twice: free, and with all that takes part on one
/// processor, where no wake of another one is counted.
fn spawn(root: &Path) -> Result<ExitCode, String> {
    const TEST: &str = "test --release --quiet -p hatchery --lib -- --ignored --nocapture --exact";
    let test = || TEST.split(' ').chain(["process::tests::measuring::measure_spawn"]);
    succeed(cargo(root).args(test()))?;
    let Some(taskset) = on_path("taskset") else {
        println!("not measured on one processor: no taskset on PATH");
        return Ok(ExitCode::SUCCESS);
    };
    println!("all on one processor:");
    let cargo = cargo(root);
    succeed(command(taskset).args(["-c", "0"]).arg(cargo.get_program()).args(test()).current_dir(root))?;
    Ok(ExitCode::SUCCESS)
}

fn cargo(root: &Path) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// The environment's interpreter, which has the fast JSON libraries; the one on PATH measures too, and is said to.
fn python(root: &Path) -> PathBuf {
    match venv::ensure(root) {
        Ok(home) => venv::python(&home),
        Err(reason) => {
            eprintln!("xtask: measuring with the python3 on PATH: {reason}");
            PathBuf::from("python3")
        }
    }
}
