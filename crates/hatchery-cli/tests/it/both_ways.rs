//! The same command with `--app` and with a daemon: the same exit status, the same stdout, the same error.

use std::sync::LazyLock;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::sandbox::{Finished, Sandbox};

/// Both commands, and that what they did is the same. Lines of workers are the daemon's, hence `-q`.
fn same(sandbox: &Sandbox, words: &[&str], input: &str) -> Finished {
    let own = sandbox.run_with_input(&[words, &["--app", "app.py", "-q"]].concat(), input);
    let remote = sandbox.run_with_input(&[words, &["-q"]].concat(), input);
    assert_eq!(told(&own), told(&remote), "{words:?}: with --app, and with a daemon");
    remote
}

/// What scripts and people see, less what names the place and what is new for each call.
fn told(finished: &Finished) -> (Option<i32>, Vec<String>, String) {
    let lines = finished.stdout.lines().map(|line| match serde_json::from_str(line) {
        Ok(mut value) => {
            if let Some(error) = Value::get_mut(&mut value, "error").and_then(Value::as_object_mut) {
                error.remove("correlation_id");
            }
            // Garbage is in several channels, and which is read first is chance.
            value.to_string().replace("control channel", "data channel")
        }
        Err(_) => line.to_owned(),
    });
    let stderr = finished.stderr.replace("--app app.py", "--pool default").replace("control channel", "data channel");
    (finished.status, lines.collect(), stderr)
}

/// Also with `--json`.
fn same_for_scripts(sandbox: &Sandbox, words: &[&str], input: &str) {
    same(sandbox, words, input);
    same(sandbox, &[words, &["--json"]].concat(), input);
}

static LONG: LazyLock<String> = LazyLock::new(|| format!("{{\"text\":\"{}\"}}", "x ".repeat(1 << 20)));

#[test]
fn calls() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    for (words, input, status) in [
        (&["word_count", "text=a b a"][..], "", 0),
        (&["word_count", "text=123"], "", 0),
        (&["word_count", r#"{"text": "a"}"#], "", 0),
        (&["word_count", "-"], "{\n\"text\": \"a\"}", 0),
        (&["word_count", "-"], &LONG, 0),
        (&["echo", "value=1234567890123456789012345678901234567890"], "", 0),
        (&["echo", r#"value={"z":1.50,"a":[null]}"#], "", 0),
        (&["echo", r#"value={"$other":1}"#], "", 0),
        (&["odd_values"], "", 0),
        (&["reverse", r#"data={"$bytes":"AP8="}"#], "", 0),
        (&["reverse", r#"data={"$bytes":"*"}"#], "", 2),
        (&["fail", "message=out of range"], "", 1),
        (&["give_up", "how=SystemExit"], "", 1),
        (&["word_cuont", "text=a"], "", 2),
        (&["qqq"], "", 2),
        (&["word_count"], "", 2),
        (&["word_count", "txet=b"], "", 2),
        (&["word_count", r#"{"text""#], "", 2),
        (&["word_count", "text=a", "text=b"], "", 2),
        (&["countdown", "n=1"], "", 2),
        (&["long_text", "mebibytes=65"], "", 4),
        (&["leave", "status=3"], "", 5),
        (&["kill_itself"], "", 5),
        (&["write_garbage"], "", 5),
    ] {
        let words = [&["call"], words].concat();
        same_for_scripts(&sandbox, &words, input);
        same(&sandbox, &words, input).exits(status);
    }
    daemon.end();
}

#[test]
fn a_deadline() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let mark = format!("mark={}", sandbox.name("running"));
    same(&sandbox, &["call", "wait_after", &mark, "--timeout", "200ms"], "").exits(3).says("hint: `--timeout 10m`");
    daemon.end();
}

#[test]
fn streams() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    for (words, status) in [
        (&["countdown", "n=3"][..], 0),
        (&["countdown", "n=0"], 0),
        (&["countdown", "n=5000"], 0),
        (&["countdown_that_fails", "n=2"], 1),
        (&["countdown_that_fails", "n=0"], 1),
        (&["countdown", "n=x"], 2),
        (&["word_count", "text=a"], 2),
    ] {
        let words = [&["stream"], words].concat();
        same_for_scripts(&sandbox, &words, "");
        same(&sandbox, &words, "").exits(status);
    }
    daemon.end();
}

#[test]
fn maps() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &["--workers", "3"]);
    let numbers: String = (0..500).map(|n| format!("{{\"value\":{n}}}\n")).collect();
    for (tool, input, status) in [
        ("echo", &numbers[..], 0),
        ("echo", "", 0),
        ("word_count", "{\"text\":\"a\"}\n\n{bad\n[]\n{\"txt\":1}\n{\"text\":\"b\"}", 1),
        ("word_cuont", "{}\n{}\n", 2),
        ("countdown", "{}\n", 2),
    ] {
        same(&sandbox, &["map", tool], input).exits(status);
    }
    // No call returns before as many processes have come as the daemon has workers.
    std::fs::create_dir(sandbox.path("meeting")).unwrap();
    let line = |n| format!("{{\"folder\":\"{}\",\"people\":3,\"line\":{n}}}\n", sandbox.name("meeting"));
    let met = sandbox.run_with_input(&["map", "meet"], &(0..3).map(line).collect::<String>()).exits(0);
    assert_eq!(met.stdout.lines().count(), 3);
    daemon.end();
}

#[test]
fn tools_and_loads() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    same_for_scripts(&sandbox, &["tools"], "");
    let measured = sandbox.run(&["bench", "word_count", "text=a", "--count", "20", "--json"]).exits(0).json();
    assert_eq!((&measured["succeeded"], &measured["concurrency"]), (&20.into(), &1.into()));
    let measured = sandbox.run(&["bench", "countdown", "n=3", "--count", "3", "--json"]).exits(0).json();
    assert_eq!(measured["succeeded"], 3);
    daemon.end();
}
