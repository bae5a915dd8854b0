use std::process::Stdio;

use serde_json::json;

use crate::sandbox::{Running, Sandbox};

const CALL: [&str; 3] = ["call", "--app", "app.py"];

fn call<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&CALL, words].concat()
}

#[test]
fn a_call_prints_its_result_on_one_line() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["word_count", "text=a b a"])).exits(0).prints(r#"{"a":2,"b":1}"#);
}

#[test]
fn arguments_come_as_pairs_as_an_object_or_on_stdin() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["word_count", "text=1 1"])).exits(0).prints(r#"{"1":2}"#);
    sandbox.run(&call(&["word_count", r#"{"text": "a"}"#])).exits(0).prints(r#"{"a":1}"#);
    sandbox.run_with_input(&call(&["word_count", "-"]), "{\n\"text\":\n\"a\"}\n").exits(0).prints(r#"{"a":1}"#);
}

#[test]
fn text_stays_text_where_text_is_declared_and_numbers_keep_their_digits() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["word_count", "text=123"])).exits(0).prints(r#"{"123":1}"#);
    let big = "1234567890123456789012345678901234567890";
    sandbox.run(&call(&["echo", &format!("value={big}")])).exits(0).prints(big);
    sandbox.run(&call(&["echo", r#"value={"z":1,"a":2}"#])).exits(0).prints(r#"{"z":1,"a":2}"#);
}

#[test]
fn global_flags_stand_anywhere() {
    let sandbox = Sandbox::with_app();
    sandbox
        .run(&["--quiet", "call", "word_count", "--app", "app.py", "text=a", "--json"])
        .exits(0)
        .prints(r#"{"a":1}"#);
}

#[test]
fn an_exception_is_shown_with_its_traceback() {
    let sandbox = Sandbox::with_app();
    let finished = sandbox.run(&call(&["fail", "message=out of range"])).exits(1).prints("");
    finished
        .says("error: ")
        .says("out of range")
        .says("Traceback (most recent call last)")
        .says("app.py")
        .says("IndexError");
}

#[test]
fn an_error_for_scripts_is_json_on_stdout() {
    let sandbox = Sandbox::with_app();
    let error = sandbox.run(&call(&["fail", "message=no", "--json"])).exits(1).json();
    assert_eq!(error["error"]["kind"], "remote");
    assert_eq!(error["error"]["python_type"], "IndexError");
    assert_eq!(error["error"]["retryable"], json!(false));
}

#[test]
fn an_unknown_tool_is_answered_with_a_near_one() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["word_cuont", "text=a"])).exits(2).says("word_cuont").says("word_count");
}

#[test]
fn arguments_that_do_not_fit_are_named_before_user_code_runs() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["word_count"])).exits(2).says("word_count").says("text");
    sandbox.run(&call(&["word_count", "text=a", "txet=b"])).exits(2).says("txet");
    sandbox.run(&call(&["word_count", r#"{"text": 3}"#])).exits(2).says("text").says("str");
}

#[test]
fn bad_json_is_pointed_at() {
    let sandbox = Sandbox::with_app();
    let finished = sandbox.run(&call(&["word_count", r#"{"text": "a" "b"}"#])).exits(2);
    finished.says("line 1, column 14").says("{\"text\": \"a\" \"b\"}\n               ^");
    sandbox.run_with_input(&call(&["word_count", "-"]), "{\n]").exits(2).says("line 2, column 1");
}

#[test]
fn without_an_app_there_is_nobody_to_call() {
    let sandbox = Sandbox::new();
    sandbox.run(&["call", "word_count"]).exits(4).says("no daemon is running; give the app with --app app.py");
}

#[test]
fn a_deadline_has_a_status_of_its_own() {
    let sandbox = Sandbox::with_app();
    let mark = format!("mark={}", sandbox.name("running"));
    sandbox.run(&call(&["wait_after", &mark, "--timeout", "200ms"])).exits(3).says("deadline");
}

#[test]
fn prints_are_logs_and_can_be_hidden() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["say", "text=hello"])).exits(0).prints("null").says("default-1 | hello\n");
    let quiet = sandbox.run(&call(&["say", "text=hello", "--quiet"])).exits(0).prints("null");
    assert_eq!(quiet.stderr, "");
    let off = sandbox.run(&call(&["say", "text=hello", "--log", "worker=off"])).exits(0);
    assert!(!off.stderr.contains("hello"), "{off:?}");
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let sandbox = Sandbox::with_app();
    let (reader, pipe) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(&call(&["word_count", "text=a", "-q"]));
    let finished = Running::new(command.stdout(pipe).spawn().unwrap()).finish().exits(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_full_disk_is_a_failure() {
    let sandbox = Sandbox::with_app();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = sandbox.command(&call(&["word_count", "text=a", "-q"]));
    Running::new(command.stdout(full).spawn().unwrap()).finish().exits(70).says("No space left");
}

#[test]
fn a_closed_stderr_disturbs_nothing() {
    let sandbox = Sandbox::with_app();
    let (reader, pipe) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(&call(&["say", "text=hello"]));
    Running::new(command.stderr(pipe).spawn().unwrap()).finish().exits(0).prints("null");
    let mut command = sandbox.command(&call(&["say", "text=hello"]));
    Running::new(command.stderr(Stdio::null()).spawn().unwrap()).finish().exits(0).prints("null");
}
