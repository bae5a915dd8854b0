//! Pools of a configuration, and the shim in front of their workers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hatchery::{Config, ErrorKind, Hatchery, Reconfigured};
use hatchery_grpc::bridge::{Client, Connection, Peer, RequestOptions};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::rig::{PATIENCE, Rig, eventually, fixture, python, stubs, worker};

/// One pool of the test worker, which says this besides; `None` if there is no interpreter for it.
fn config(adapter: &str, pool: &str) -> Option<Config> {
    let python = python()?;
    let path = std::env::join_paths([stubs(&python).to_owned(), fixture()]).unwrap().into_string().unwrap();
    let script = worker().join("grpc_server.py");
    let text = format!(
        "[[pools]]\nname = \"default\"\ntransport = \"grpc\"\nscript = {script:?}\nadapter = {adapter:?}\npython = {python:?}\n\
         env.PYTHONPATH = {path:?}\nenv.PYTHONDONTWRITEBYTECODE = \"1\"\n{pool}\n"
    );
    Some(Config::parse(&text, "/srv/hatchery.toml".as_ref()).unwrap())
}

const FULL: &str = "bridge_tools.full.Full";

async fn start(config: &Config) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let builder = Hatchery::builder().configure(config).bridging(hatchery_snakepit::configured);
    let mut builder = builder.data_dir(dir.path().join("data"));
    let events = builder.events();
    let hatchery = tokio::time::timeout(PATIENCE, builder.start()).await.unwrap().unwrap();
    let pool = hatchery.pool("default").unwrap();
    Rig { hatchery, pool, events, dir }
}

#[tokio::test]
async fn a_configuration_is_all_that_it_takes() {
    let Some(config) = config(FULL, "workers = 2") else { return };
    let rig = start(&config).await;
    assert_eq!(rig.pids().len(), 2);
    assert_eq!(rig.pool.call::<Value>("add", json!({ "a": 2, "b": 3 })).await.unwrap(), json!(5.0));
    rig.end().await;
}

#[tokio::test]
async fn threads_of_the_pool_are_threads_of_the_script() {
    let threaded = "profile = \"thread\"\nthreads_per_worker = 3\nthread_safety_checks = true";
    let Some(config) = config("bridge_tools.threaded.Threaded", threaded) else { return };
    let rig = start(&config).await;
    let words = words(rig.pids()[0]);
    assert!(words[1].ends_with("grpc_server_threaded.py"), "{words:?}");
    let told = words.windows(2).any(|pair| pair == ["--max-workers", "3"]);
    assert!(told && words.contains(&"--thread-safety-check".to_owned()), "{words:?}");
    let meeting = || rig.pool.call::<Value>("meet", json!({ "parties": 3, "seconds": 0.3 }));
    let (one, two, three) = tokio::join!(meeting(), meeting(), meeting());
    let met: Vec<Value> = [one, two, three].map(|met| met.unwrap()["met"].clone()).into();
    // Synchronous tools take turns in this server, unless the shim mends that.
    assert!(met.contains(&json!(false)), "{met:?}");
    rig.end().await;
}

#[tokio::test]
async fn synchronous_tools_are_beside_each_other_with_the_shim() {
    let parallel = "profile = \"thread\"\nthreads_per_worker = 3\nshim = [\"loopback\", \"parallel\"]";
    let Some(config) = config("bridge_tools.threaded.Threaded", parallel) else { return };
    let rig = start(&config).await;
    let meeting = || rig.pool.call::<Value>("meet", json!({ "parties": 3 }));
    let (one, two, three) = tokio::join!(meeting(), meeting(), meeting());
    for met in [one, two, three] {
        assert_eq!(met.unwrap()["met"], true);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_worker_listens_to_this_machine_only_unless_it_is_meant_otherwise() {
    let Some(usual) = config(FULL, "") else { return };
    let rig = start(&usual).await;
    assert_eq!(listening(rig.pids()[0]), ["127.0.0.1".to_owned()].into());
    rig.end().await;
    let Some(open) = config(FULL, "shim = false\nunsafe_bind = true") else { return };
    let rig = start(&open).await;
    assert_eq!(listening(rig.pids()[0]), ["::".to_owned()].into());
    assert!(rig.pool.call::<Value>("ping", json!({})).await.is_ok());
    rig.end().await;
}

#[tokio::test]
async fn nobody_else_passes_for_a_worker() {
    let Some(config) = config(FULL, "") else { return };
    let rig = start(&config).await;
    // The worker has greeted its host before it was ready, and has shown its secret then.
    let words = words(rig.pids()[0]);
    let at = words.iter().position(|word| word == "--elixir-address").unwrap();
    let connection = TcpStream::connect(&words[at + 1]).await.unwrap();
    let (connection, driver) = Connection::handshake(connection).await.unwrap();
    let driving = tokio::spawn(driver);
    let client = Client::new(connection, Peer::Host);
    for headers in [RequestOptions::new(), RequestOptions::new().header("x-hatchery-secret", "guessed").unwrap()] {
        let error = client.ping("it is me", &headers).await.unwrap_err();
        assert!(error.message().contains("answers the worker that it was made for"), "{error:?}");
    }
    driving.abort();
    let environment = std::fs::read(format!("/proc/{}/cmdline", rig.pids()[0])).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("SECRET"), "it is in no list of processes");
    assert!(rig.pool.call::<Value>("ping", json!({})).await.is_ok());
    rig.end().await;
}

/// What a client that is another user's gets from the listener of a worker: the first bytes, if any.
const AS_ANOTHER: &str = r#"
import os, socket, sys
host, port = sys.argv[1].split(":")
os.setuid(int(sys.argv[2]))
with socket.socket() as there:
    there.settimeout(60)
    there.connect((host, int(port)))
    try:
        there.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        print(len(there.recv(9)))
    except ConnectionError:
        print(0)
"#;

/// Without the shim's secret: the kernel says whose a connection is.
#[tokio::test]
async fn another_user_is_told_nothing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    let Some(config) = config(FULL, "shim = false\nunsafe_bind = true") else { return };
    let rig = start(&config).await;
    let words = words(rig.pids()[0]);
    let at = words.iter().position(|word| word == "--elixir-address").unwrap();
    for (user, bytes) in [("65534", "0"), ("0", "9")] {
        let (address, python) = (words[at + 1].clone(), python().unwrap());
        let asked = tokio::task::spawn_blocking(move || as_another(&python, &address, user)).await.unwrap();
        assert_eq!(asked, bytes, "{user}");
    }
    rig.end().await;
}

#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn as_another(python: &Path, address: &str, user: &str) -> String {
    let asked = std::process::Command::new(python).args(["-c", AS_ANOTHER, address, user]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    String::from_utf8_lossy(&asked.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_anew_comes_with_other_workers() {
    let Some(before) = config(FULL, "") else { return };
    let rig = start(&before).await;
    let old = rig.pids()[0];
    let same = rig.hatchery.reconfigure(&before).unwrap();
    assert_eq!(keys(&same), (vec![], vec![]));
    let after =
        config(FULL, "adapter_args = [\"--heartbeat-independent\"]\nshim = [\"loopback\", \"lossless\"]").unwrap();
    let report = rig.hatchery.reconfigure(&after).unwrap();
    assert_eq!(keys(&report), (vec!["pools.default.adapter_args", "pools.default.shim"], vec![]));
    eventually("another worker serves", || rig.pids().first().is_some_and(|pid| *pid != old) && rig.pids().len() == 1)
        .await;
    assert!(words(rig.pids()[0]).contains(&"--heartbeat-independent".to_owned()));
    assert_eq!(rig.pool.call::<Value>("add", json!({ "a": 2, "b": 3 })).await.unwrap(), json!(5), "it keeps its type");
    let native = "[[pools]]\nname = \"default\"\napp = \"app.py\"\n";
    let native = Config::parse(native, "/srv/hatchery.toml".as_ref()).unwrap();
    let report = rig.hatchery.reconfigure(&native).unwrap();
    let (_, restarts) = keys(&report);
    assert!(restarts.contains(&"pools.default.app") && restarts.contains(&"pools.default.transport"), "{report:?}");
    assert_eq!(rig.pool.call::<Value>("add", json!({ "a": 2, "b": 3 })).await.unwrap(), json!(5), "it serves on");
    rig.end().await;
}

/// Scenario 51: a configuration that is read anew is told to the workers that run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telemetry_is_measured_anew_by_the_same_workers() {
    let Some(before) = config(FULL, "telemetry.deny = [\"tool.*\"]") else { return };
    let rig = start(&before).await;
    let pids = rig.pids();
    rig.until_kept("tool.x", false).await;
    rig.until_kept("other", true).await;
    let report = rig.hatchery.reconfigure(&config(FULL, "telemetry.allow = [\"tool.*\"]").unwrap()).unwrap();
    assert_eq!(keys(&report), (vec!["pools.default.telemetry"], vec![]));
    rig.until_kept("tool.x", true).await;
    rig.until_kept("other", false).await;
    assert_eq!(rig.pids(), pids);
    rig.end().await;
}

fn keys(report: &Reconfigured) -> (Vec<&str>, Vec<&str>) {
    let restarts = report.needs_restart.iter().map(|it| it.key.as_str()).collect();
    (report.applied.iter().map(String::as_str).collect(), restarts)
}

#[tokio::test]
async fn a_program_that_knows_no_bridge_says_so() {
    let text = "[[pools]]\nname = \"old\"\ntransport = \"grpc\"\nscript = \"s.py\"\nadapter = \"a.B\"\n";
    let config = Config::parse(text, "/srv/hatchery.toml".as_ref()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let started = Hatchery::builder().configure(&config).data_dir(dir.path().join("data")).start().await;
    let error = started.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(
        error.message().starts_with("pool old: transport = \"grpc\": this program was built without it"),
        "{error}"
    );
    assert!(!dir.path().join("data").exists(), "nothing has begun");
}

#[tokio::test]
async fn a_script_that_is_not_there_is_named() {
    let text = "[[pools]]\nname = \"old\"\ntransport = \"grpc\"\nscript = \"no/s.py\"\nadapter = \"a.B\"\n";
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse(text, &dir.path().join("hatchery.toml")).unwrap();
    let builder = Hatchery::builder().configure(&config).bridging(hatchery_snakepit::configured);
    let error = builder.data_dir(dir.path().join("data")).start().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("no/s.py: No such file"), "{error}");
}

/// The command line of a process.
fn words(pid: i32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The addresses at which a process listens, as the kernel says.
fn listening(pid: i32) -> BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open: Vec<PathBuf> = open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    let is_its = |inode: &str| open.iter().any(|link| link.as_os_str() == format!("socket:[{inode}]").as_str());
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        for row in std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = row.split_whitespace().collect();
            // 0A: it listens.
            if fields[3] == "0A" && is_its(fields[9]) {
                found.insert(address(fields[1].split(':').next().unwrap()));
            }
        }
    }
    found
}

/// Words of 32 bits in the order of this machine. grpc has sockets of the sixth version, also for addresses of the fourth.
fn address(text: &str) -> String {
    let word = |at: usize| u32::from_str_radix(&text[at..at + 8], 16).unwrap().to_ne_bytes();
    let bytes: Vec<u8> = (0..text.len()).step_by(8).flat_map(word).collect();
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => std::net::Ipv4Addr::from(four).to_string(),
        Err(_) => {
            let six = std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).unwrap());
            six.to_ipv4_mapped().map_or_else(|| six.to_string(), |four| four.to_string())
        }
    }
}

#[test]
fn what_the_kernel_says_is_read() {
    assert_eq!(address(&format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]))), "127.0.0.1");
    assert_eq!(address(&"0".repeat(32)), "::");
}
