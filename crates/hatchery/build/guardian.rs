//! Builds the guardian, the program that the library carries and starts: one file, with nothing but the compiler that
//! builds the library.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, io};

/// Where the program's rooms lie, and what it shares with the library.
const SOURCES: [&str; 2] = ["guardian", "src/process/guardian/message.rs"];

/// The processors whose system calls it knows.
const PROCESSORS: [&str; 2] = ["x86_64", "aarch64"];

/// Its name in the build's own folder, and in `src/process/guardian/program.rs`.
const PROGRAM: &str = "hatchery-guardian";

/// Compiles `guardian/main.rs` into the folder.
pub(crate) fn build(out: &Path) -> io::Result<()> {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    check_target()?;
    let mut command = command(out)?;
    let output = command.output().map_err(|error| failure(&command, &error.to_string()))?;
    report(&command, &output)
}

fn check_target() -> io::Result<()> {
    let (system, processor) = (variable("CARGO_CFG_TARGET_OS")?, variable("CARGO_CFG_TARGET_ARCH")?);
    if system == "linux" && PROCESSORS.iter().any(|known| processor == *known) {
        return Ok(());
    }
    let target = variable("TARGET")?;
    let target = target.display();
    let text = format!("hatchery has no guardian for {target}: it runs on Linux, on x86_64 or aarch64");
    Err(io::Error::other(text))
}

/// Small, static, at a fixed address, and without any C library.
#[expect(clippy::disallowed_methods, reason = "a build script has no guardian yet")]
fn command(out: &Path) -> io::Result<Command> {
    let mut command = Command::new(variable("RUSTC")?);
    command.args(["--edition=2024", "--crate-name=hatchery_guardian", "--crate-type=bin", "--target"]);
    command.arg(variable("TARGET")?);
    for option in ["panic=abort", "opt-level=s", "codegen-units=1", "debuginfo=0", "strip=symbols"] {
        command.args(["-C", option]);
    }
    for option in ["relocation-model=static", "target-feature=+crt-static"] {
        command.args(["-C", option]);
    }
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"] {
        command.args(["-C", &format!("link-arg={argument}")]);
    }
    if variable("CARGO_CFG_TARGET_ENV")? == "musl" {
        command.args(["-C", "link-self-contained=no"]);
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        command.arg("-C").arg(option);
    }
    command.arg("guardian/main.rs").arg("-o").arg(out.join(PROGRAM));
    Ok(command)
}

/// What the compiler said is for whoever works on the program, and the whole reason if there is none.
fn report(command: &Command, output: &Output) -> io::Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(failure(command, &format!("{}\n{said}", output.status)));
    }
    said.lines().for_each(|line| println!("cargo::warning={line}"));
    Ok(())
}

fn failure(command: &Command, reason: &str) -> io::Error {
    io::Error::other(format!("build the guardian, which the library carries: {command:?}: {reason}"))
}

fn variable(name: &str) -> io::Result<OsString> {
    env::var_os(name).ok_or_else(|| io::Error::other(format!("cargo did not set {name}")))
}
