//! A client in Python, generated from our proto file at the moment of the test, as others generate theirs.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::rig::{Rig, ours};

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client, waited for")]
async fn a_client_that_was_generated_from_the_proto_file_works() {
    let Some(python) = python_with_grpc() else { return };
    let rig = Rig::of(ours()).await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = tokio::process::Command::new(python)
        .arg(here.join("tests/it/grpc/client.py"))
        .arg(here.join("../hatchery-grpc/proto"))
        .arg(rig.path("generated"))
        .arg(rig.address.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), output).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim_end().ends_with("all is well"), "{said}");
    rig.end().await;
}

/// The interpreter with grpcio and grpcio-tools that `cargo xtask test` makes; without it, the test is skipped.
fn python_with_grpc() -> Option<PathBuf> {
    let home = std::env::var_os("HATCHERY_TEST_VENV");
    if home.is_none() {
        let why = "HATCHERY_TEST_VENV names no environment with grpcio and grpcio-tools; `cargo xtask test` makes one";
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let _nobody_reads_it = writeln!(std::io::stderr(), "skipped {name}: {why}");
    }
    Some(PathBuf::from(home?).join("bin/python"))
}
