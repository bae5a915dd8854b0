//! `cargo xtask chaos`: supervisors, guardians and workers killed in every way that we know. The tests run the short form of it.

use std::path::Path;
use std::process::ExitCode;

use crate::child::{command, succeed};

/// `--full` for every shape and size, with and without cgroups; `--plain` for without; words for the names of cases.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<ExitCode, String> {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet", "-p", "hatchery", "--test", "chaos", "--"]).args(options).current_dir(root);
    succeed(&mut cargo)?;
    Ok(ExitCode::SUCCESS)
}
