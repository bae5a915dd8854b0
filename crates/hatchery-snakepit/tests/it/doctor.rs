//! What `hatchery doctor` says of pools of such workers.

use std::net::TcpListener;
use std::path::Path;

use hatchery::{Check, CheckStatus, Config};
use hatchery_snakepit::doctor;

use crate::rig::{fixture, python, stubs};

fn looked_at(python: &Path, adapter: &str, pool: &str) -> Vec<Check> {
    let script = fixture().join("grpc_server.py");
    let text = format!(
        "[[pools]]\nname = \"old\"\ntransport = \"grpc\"\nscript = {script:?}\nadapter = {adapter:?}\npython = {python:?}\n\
         env.PYTHONDONTWRITEBYTECODE = \"1\"\n{pool}\n"
    );
    doctor(&Config::parse(&text, "/srv/hatchery.toml".as_ref()).unwrap())
}

fn check<'a>(checks: &'a [Check], name: &str) -> (CheckStatus, &'a str, &'a str) {
    let check = checks.iter().find(|check| check.name == name).unwrap();
    (check.status, &check.message, check.hint.as_deref().unwrap_or_default())
}

/// Scenario 53.
#[test]
fn what_is_there_is_named_with_its_version() {
    let Some(python) = python() else { return };
    let path = format!("env.PYTHONPATH = {:?}", stubs(&python));
    let checks = looked_at(&python, "bridge_tools.full.Full", &path);
    let (status, said, hint) = check(&checks, "grpc modules");
    assert_eq!((status, hint), (CheckStatus::Ok, ""), "{said}");
    let versions = said.strip_prefix("pool old: grpc 1.").unwrap().split_once(" and protobuf ").unwrap();
    assert!(versions.1.ends_with(&format!(", by {}", python.display())), "{said}");
    assert_eq!(check(&checks, "grpc adapters"), (CheckStatus::Ok, "pool old: bridge_tools.full.Full", ""));
    assert_eq!(check(&checks, "grpc ports").0, CheckStatus::Ok);
}

/// Scenario 53: each with what to do.
#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let Some(python) = python() else { return };
    let checks = looked_at(&python, "no.such.Adapter", "");
    let (status, said, hint) = check(&checks, "grpc adapters");
    assert_eq!(status, CheckStatus::Error);
    assert!(said.contains("no.such.Adapter: ModuleNotFoundError") && hint.contains("PYTHONPATH"), "{said}: {hint}");
    // A module of this name comes before the true one, as one of another version might.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("grpc.py"), "raise ImportError('broken')").unwrap();
    let path = format!("env.PYTHONPATH = {:?}", folder.path());
    let checks = looked_at(&python, "bridge_tools.full.Full", &path);
    let (status, said, hint) = check(&checks, "grpc modules");
    assert_eq!(status, CheckStatus::Error);
    assert!(said.ends_with("cannot import grpc: ImportError: broken"), "{said}");
    assert_eq!(hint, format!("{} -m pip install grpcio protobuf", python.display()));
    let checks = looked_at(Path::new("/no/such/python"), "bridge_tools.full.Full", "");
    let (status, said, hint) = check(&checks, "grpc modules");
    assert_eq!(status, CheckStatus::Error);
    assert!(said.contains("/no/such/python") && !hint.is_empty(), "{said}: {hint}");
}

/// Scenarios 10 and 53.
#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let with = |pool: &str| looked_at(Path::new("/no/such/python"), "a.B", pool);
    let fixed = format!("adapter_args = [\"--port={port}\"]");
    let checks = with(&fixed);
    let (status, said, hint) = check(&checks, "grpc ports");
    assert_eq!(status, CheckStatus::Error);
    assert!(said.starts_with(&format!("pool old: 127.0.0.1:{port}: Address already in use")), "{said}");
    assert!(hint.contains("ss -tlnp"), "{hint}");
    drop(taken);
    assert_eq!(check(&with(&fixed), "grpc ports").0, CheckStatus::Ok);
    let checks = with(&format!("{fixed}\nworkers = 2"));
    assert!(check(&checks, "grpc ports").1.contains("its 2 workers are all told to listen on port"), "{checks:?}");
    assert_eq!(check(&with("adapter_args = [\"--port\", \"0\"]"), "grpc ports").1, "nothing is asked for");
}

#[test]
fn where_nothing_is_bridged_nothing_is_said() {
    let config = Config::parse("[[pools]]\nname = \"a\"\napp = \"a.py\"\n", "/srv/hatchery.toml".as_ref()).unwrap();
    assert_eq!(doctor(&config), []);
}
