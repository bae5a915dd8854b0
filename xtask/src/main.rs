//! The repository's own tools: `cargo xtask test`, `tidy`, `chaos` and `bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod bench;
mod chaos;
mod child;
mod peers;
mod test;
mod tidy;
mod venv;

const USAGE: &str = "usage: cargo xtask test                                    every test, Rust and Python
       cargo xtask tidy                                    the repository's own rules
       cargo xtask chaos [--full] [--plain] [NAME...]      supervisors, guardians and workers killed; who is left
       cargo xtask bench [w1 … w7 scale] [--quick] [--markdown FILE] [--json FILE]
                                                           the workloads, with floors and peers; what grows with a pool
       cargo xtask bench flame [w1 … w4]                   where the time of our own rows goes, as flame graphs
       cargo xtask bench call [CALLS]                      what one call costs, in time and allocations
       cargo xtask bench spawn                             what a start costs, beside posix_spawn
       cargo xtask bench orphans [--markdown FILE] [--quick]  who outlives a supervisor: ours and the peers";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments).unwrap_or_else(|message| {
        eprintln!("xtask: {message}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &[String]) -> Result<ExitCode, String> {
    match arguments.split_first() {
        Some((task, [])) if task == "test" => test::run(&root()),
        Some((task, [])) if task == "tidy" => tidy::run(&root()),
        Some((task, options)) if task == "chaos" => chaos::run(&root(), options),
        Some((task, options)) if task == "bench" => bench::run(&root(), options),
        _ => Err(format!("no such task: `{}`\n{USAGE}", arguments.join(" "))),
    }
}

/// The root of the repository: the folder above this crate's.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo puts what it builds; the test environment lives there too.
fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
