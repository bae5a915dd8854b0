//! `cargo xtask bench`: builds the benchmarks for release and runs them with an environment's interpreter.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::child::{command, on_path, succeed};
use crate::peers::{ORPHANS, WORKLOADS};
use crate::venv;

pub(crate) fn run(root: &Path, options: &[String]) -> Result<ExitCode, String> {
    match options.split_first() {
        Some((first, [])) if first == "spawn" => return spawn(root),
        Some((first, [])) if first == "bridge" => bridge(root)?,
        Some((first, rest)) if first == "call" => call(root, rest)?,
        Some((first, _)) if first == "orphans" => orphans(root, options)?,
        Some((first, rest)) if first == "flame" => flame(root, rest)?,
        _ if options.iter().any(|option| option == "--flame") => flame(root, options)?,
        _ => workloads(root, options)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One call in all its forms, with its allocations: an example of the benchmarks, as its allocator is its own.
fn call(root: &Path, options: &[String]) -> Result<(), String> {
    let mut cargo = cargo(root);
    cargo.args(["run", "--release", "--quiet", "-p", "hatchery-bench", "--example", "call", "--"]);
    succeed(cargo.args(options).env("HATCHERY_PYTHON", python(root)))
}

/// What is measured without the command.
const WITHOUT_COMMAND: [&str; 8] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "scale"];

/// What is named, or everything.
fn workloads(root: &Path, options: &[String]) -> Result<(), String> {
    let names = |name: &str| options.iter().any(|option| option.eq_ignore_ascii_case(name));
    if names("daemon") || !WITHOUT_COMMAND.into_iter().any(names) {
        build_command(root)?;
    }
    measure(root, "daemon,peers", options)
}

/// `hatchery`, beside the benchmarks' program.
fn build_command(root: &Path) -> Result<(), String> {
    succeed(cargo(root).args(["build", "--release", "--quiet", "-p", "hatchery-cli"]))
}

fn measure(root: &Path, features: &str, options: &[String]) -> Result<(), String> {
    let mut cargo = program(root, features);
    // The library looks there for its interpreter; the floors and the peers are told by option.
    let python = python(root);
    succeed(cargo.arg("--").args(options).arg("--python").arg(&python).env("HATCHERY_PYTHON", &python))
}

fn orphans(root: &Path, options: &[String]) -> Result<(), String> {
    let python = ORPHANS.ensure(root)?;
    // The daemon is one of those that are killed.
    build_command(root)?;
    let mut cargo = program(root, "");
    succeed(cargo.arg("--").args(options).arg("--python").arg(&python).env("HATCHERY_PYTHON", &python))
}

/// `flame [w1 …]`, or `[w1 …] --flame FOLDER`.
fn flame(root: &Path, options: &[String]) -> Result<(), String> {
    let mut options = options.to_vec();
    if !options.iter().any(|option| option == "--flame") {
        options.extend(["--flame".to_owned(), crate::target(root).join("flame").display().to_string()]);
    }
    measure(root, "flame", &options)
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

/// Workers of Snakepit's, and a client that does nothing but call one of them: where their rig is.
fn bridge(root: &Path) -> Result<(), String> {
    const TEST: &str = "test --release --quiet -p hatchery-snakepit --test it -- --ignored --nocapture --exact";
    let mut cargo = cargo(root);
    cargo.args(TEST.split(' ').chain(["measuring::a_call_beside_that_of_a_bare_client"]));
    succeed(cargo.env("HATCHERY_TEST_VENV", venv::ensure(root)?))
}

/// The benchmarks' program with these features, without its arguments.
fn program(root: &Path, features: &str) -> Command {
    let mut cargo = cargo(root);
    cargo.args(["run", "--release", "--quiet", "-p", "hatchery-bench", "--features", features]);
    cargo
}

fn cargo(root: &Path) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// The environment's interpreter, which has all that can be had; the one on PATH measures too, and is said to.
fn python(root: &Path) -> PathBuf {
    WORKLOADS.ensure(root).unwrap_or_else(|reason| {
        eprintln!("xtask: measuring with the python3 on PATH: {reason}");
        PathBuf::from("python3")
    })
}
