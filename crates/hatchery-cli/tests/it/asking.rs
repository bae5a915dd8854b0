//! What a running daemon is asked by commands, for people and for scripts.

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::sandbox::{Running, Sandbox, wait_until};

/// A daemon of `app.py` whose pool says this, too.
fn serving(sandbox: &Sandbox, pool: &str) -> Daemon {
    let listen = "[server]\nlisten = \"127.0.0.1:0\"\n";
    sandbox.write("hatchery.toml", &format!("{listen}[[pools]]\nname = \"default\"\napp = \"app.py\"\n{pool}\n"));
    Daemon::start(sandbox, &["serve"])
}

#[test]
fn one_worker_is_told_of_in_detail() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    sandbox.run(&["call", "fail", "message=no", "-q"]).exits(1);
    let worker = sandbox.run(&["workers", "default-1", "--json"]).exits(0).json();
    assert_eq!((&worker["id"], &worker["errors"], &worker["taint"]), (&json!("default-1"), &json!(1), &Value::Null));
    assert_eq!(worker["runtime"]["language"], "python");
    assert!(worker["capabilities"].as_array().is_some_and(|all| !all.is_empty()), "{worker}");
    let people = sandbox.run(&["workers", "default-1"]).exits(0).stdout;
    let line = |name: &str| people.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert_eq!(line("worker"), "worker        default-1");
    assert!(line("calls").ends_with("1, 1 with an error, 0 running"), "{people}");
    assert!(line("runtime").contains("python 3."), "{people}");
    let refused = sandbox.run(&["workers", "defualt-1"]).exits(2).prints("");
    refused.says("error: no such worker").says("hint: the daemon has default-1");
    let error = sandbox.run(&["workers", "x/../y", "--json"]).exits(2).json();
    assert_eq!(error["error"]["kind"], "not_found");
    daemon.end();
}

#[test]
fn a_call_can_be_for_one_worker_alone() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--workers", "2"]);
    for worker in ["default-1", "default-2"] {
        let pid = sandbox.run(&["workers", worker, "--json"]).exits(0).json()["pid"].clone();
        std::fs::create_dir_all(sandbox.path(worker)).unwrap();
        let folder = format!("folder={}", sandbox.name(worker));
        for _ in 0..3 {
            let words = ["call", "meet", &folder, "people=1", "line=0", "--worker", worker];
            assert_eq!(sandbox.run(&words).exits(0).json()["pid"], pid, "{worker}");
        }
    }
    sandbox.run(&["call", "word_count", "text=a", "--worker", "default-9", "-q"]).exits(2).says("default-9");
    let own = sandbox.run(&["call", "--app", "app.py", "word_count", "text=a", "--worker", "default-1"]).exits(2);
    own.says("--worker is for a daemon, not for --app");
    daemon.end();
}

#[test]
fn calls_are_counted() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    sandbox.run(&["call", "word_count", "text=a", "-q"]).exits(0);
    sandbox.run(&["call", "fail", "message=no", "-q"]).exits(1);
    let stats = sandbox.run(&["stats", "--json"]).exits(0).json();
    assert_eq!((&stats["pools"]["default"]["requests"], &stats["total"]["errors"]), (&json!(2), &json!(1)));
    let people = sandbox.run(&["stats"]).exits(0).stdout;
    let row: Vec<&str> = people.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["default", "2", "1"], "{people}");
    assert!(people.lines().nth(2).unwrap().starts_with("sessions: 0"), "{people}");
    daemon.end();
}

#[test]
fn taints_are_listed_and_forgiven() {
    let sandbox = Sandbox::with_app();
    let daemon = serving(&sandbox, "crash_barrier = { taint = \"1h\", mark_on = [\"killed\"] }");
    sandbox.run(&["taints"]).exits(0).prints("nothing is tainted");
    sandbox.run(&["call", "kill_itself", "-q"]).exits(5);
    wait_until("it is tainted", || sandbox.run(&["taints", "--json"]).exits(0).json()[0]["id"] == "default-1");
    let people = sandbox.run(&["taints"]).exits(0).stdout;
    assert!(people.lines().nth(1).unwrap().starts_with("default-1  worker  "), "{people}");
    sandbox
        .run(&["taints", "reset", "default-7"])
        .exits(2)
        .prints("")
        .says("nothing is tainted that is called default-7");
    sandbox.run(&["taints", "reset", "default-1"]).exits(0).prints("default-1 is forgiven");
    sandbox.run(&["taints", "reset"]).exits(0).prints("nothing was tainted");
    assert_eq!(sandbox.run(&["taints", "reset", "--json"]).exits(0).json(), json!({ "cleared": 0 }));
    daemon.end();
}

#[test]
fn breakers_are_listed_and_closed() {
    let sandbox = Sandbox::with_app();
    let daemon = serving(&sandbox, "breaker = { failures = 1, reset = \"1h\" }");
    sandbox.run(&["call", "leave", "status=3", "-q"]).exits(5);
    let open = sandbox.run(&["breakers", "--json"]).exits(0).json();
    assert_eq!(open[0]["tools"]["leave"]["state"], "open", "{open}");
    let people = sandbox.run(&["breakers"]).exits(0).stdout;
    assert!(people.lines().any(|line| line.starts_with("default  leave  open")), "{people}");
    sandbox.run(&["call", "leave", "status=3", "-q"]).exits(4);
    sandbox.run(&["breakers", "reset", "default", "nosuch"]).exits(2).says("nosuch");
    let told = sandbox.run(&["breakers", "reset", "default", "leave"]).exits(0);
    told.prints("the breaker of leave in pool default is closed: calls pass again");
    let told = sandbox.run(&["breakers", "reset", "default"]).exits(0);
    told.prints("all breakers of pool default are closed: calls pass again");
    sandbox.run(&["call", "word_count", "text=a", "-q"]).exits(0);
    daemon.end();
}

#[test]
fn a_pool_without_breakers_has_none_to_close() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    assert!(sandbox.run(&["breakers"]).exits(0).stdout.starts_with("no pool has circuit breakers"));
    sandbox.run(&["breakers", "reset", "default"]).exits(2).says("pool default has no circuit breakers");
    sandbox.run(&["breakers", "reset"]).exits(2).says("<POOL>");
    daemon.end();
}

#[test]
fn host_tools_are_listed_shown_called_and_taken_away() {
    let sandbox = Sandbox::with_app();
    let tools = "[server]\nlisten = \"127.0.0.1:0\"\n[[pools]]\nname = \"default\"\napp = \"app.py\"\n[[host_tools]]\nname = \"count\"\npool = \"default\"\ntool = \"word_count\"\n";
    sandbox.write("hatchery.toml", tools);
    let daemon = Daemon::start(&sandbox, &["serve"]);
    let people = sandbox.run(&["host-tools"]).exits(0).stdout;
    assert!(people.lines().nth(1).unwrap().starts_with("count  -        pool default, word_count  yes"), "{people}");
    assert_eq!(sandbox.run(&["host-tools", "list", "--json"]).exits(0).json()[0]["name"], "count");
    assert!(sandbox.run(&["host-tools", "show", "count"]).exits(0).stdout.contains("\ntakes     text: str"));
    sandbox.run(&["host-tools", "call", "count", "text=1", "--session", "s"]).exits(0).prints(r#"{"1":1}"#);
    sandbox.run(&["host-tools", "call", "cuont", "{}"]).exits(2).says("did you mean `count`?");
    sandbox.run(&["host-tools", "unregister", "count"]).exits(0).prints("host tool count is gone");
    sandbox.run(&["host-tools"]).exits(0).prints("there are no host tools");
    daemon.end();
}

#[test]
fn sessions_are_created_looked_at_and_deleted() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    sandbox.run(&["sessions"]).exits(0).prints("there are no sessions");
    let create =
        ["sessions", "create", "user-7", "--ttl", "1h", "--metadata", r#"{"user":7,"big":12345678901234567890}"#];
    sandbox.run(&create).exits(0).prints("session user-7 is created");
    sandbox
        .run(&["sessions", "create", "user-7"])
        .exits(0)
        .prints("session user-7 was there already, and is as it was");
    let made = sandbox.run(&["sessions", "create", "--json"]).exits(0).json();
    assert!(made["created"] == true && made["id"].as_str().is_some_and(|id| id.len() >= 20), "{made}");
    sandbox.run(&["call", "word_count", "text=a", "--session", "user-7", "-q"]).exits(0);
    let listed = sandbox.run(&["sessions", "list", "--json"]).exits(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let people = sandbox.run(&["sessions"]).exits(0).stdout;
    assert!(people.lines().any(|line| line.starts_with("user-7  ") && line.contains("default-1")), "{people}");
    let shown = sandbox.run(&["sessions", "show", "user-7"]).exits(0).stdout;
    assert!(shown.contains("\nlives     60 min\n"), "{shown}");
    assert!(shown.contains(r#"{"big":12345678901234567890,"user":7}"#), "{shown}");
    sandbox.run(&["sessions", "prune"]).exits(0).prints("0 of the sessions had expired; 2 are left");
    sandbox.run(&["sessions", "delete", "user-7"]).exits(0).prints("session user-7 is deleted");
    for word in ["delete", "show"] {
        sandbox.run(&["sessions", word, "user-7"]).exits(2).prints("").says("user-7");
    }
    sandbox.run(&["sessions", "create", "x", "--ttl", "soon"]).exits(2).says("expected a duration like");
    sandbox.run(&["sessions", "create", "x", "--metadata", "[1]"]).exits(2).says("--metadata: ");
    sandbox.run(&["sessions", "destroy"]).exits(2);
    daemon.end();
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    for words in [
        &["sessions"][..],
        &["stats"],
        &["taints"],
        &["breakers"],
        &["workers", "default-1"],
        &["events", "--catalogue"],
        &["recycle", "default-1"],
    ] {
        let (reader, pipe) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.command(words);
        let finished = Running::new(command.stdout(pipe).spawn().unwrap()).finish().exits(0);
        assert_eq!(finished.stderr, "", "{words:?}");
    }
    daemon.end();
}
