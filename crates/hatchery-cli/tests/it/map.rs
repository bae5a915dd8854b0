use std::collections::HashSet;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Finished, Running, Sandbox};

const MAP: [&str; 3] = ["map", "--app", "app.py"];

fn map<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&MAP, words].concat()
}

fn lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn results_keep_the_order_of_their_lines() {
    let sandbox = Sandbox::with_app();
    let input: String = (0..500).map(|n| format!("{{\"value\":{n}}}\n")).collect();
    let expected: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    sandbox.run_with_input(&map(&["echo", "--workers", "3"]), &input).exits(0).prints(&expected.join("\n"));
}

#[test]
fn all_workers_work_at_once() {
    let sandbox = Sandbox::with_app();
    std::fs::create_dir(sandbox.path("meeting")).unwrap();
    // No call returns before three processes have come.
    let line = |n| format!("{{\"folder\":\"{}\",\"people\":3,\"line\":{n}}}\n", sandbox.name("meeting"));
    let input: String = (0..3).map(line).collect();
    let finished = sandbox.run_with_input(&map(&["meet", "--workers", "3"]), &input).exits(0);
    let results = lines(&finished);
    assert_eq!(results.iter().map(|result| result["line"].clone()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(results.iter().map(|result| result["pid"].to_string()).collect::<HashSet<_>>().len(), 3);
}

#[test]
fn a_failed_line_is_an_error_in_its_place() {
    let sandbox = Sandbox::with_app();
    sandbox.write("input", "{\"text\":\"a\"}\n\n{bad\n[]\n{\"txt\":1}\n{\"text\":\"b\"}");
    let results = lines(&sandbox.run(&map(&["word_count", "-i", "input"])).exits(1));
    assert_eq!(results.len(), 5);
    assert_eq!((results[0].to_string(), results[4].to_string()), (r#"{"a":1}"#.into(), r#"{"b":1}"#.into()));
    assert!(results[1..4].iter().all(|result| result["error"]["kind"] == "validation"), "{results:?}");
    assert!(results[1]["error"]["message"].as_str().unwrap().contains("line 3, column 2"), "{results:?}");
}

#[test]
fn an_exception_of_one_line_leaves_the_others_alone() {
    let sandbox = Sandbox::with_app();
    let finished =
        sandbox.run_with_input(&map(&["leave", "--workers", "2"]), "{\"status\":3}\n{\"status\":\"x\"}\n").exits(1);
    let kinds: Vec<_> = lines(&finished).iter().map(|result| result["error"]["kind"].clone()).collect();
    assert_eq!(kinds, ["worker_died", "validation"]);
}

#[test]
fn what_cannot_work_for_any_line_is_one_error() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&map(&["word_count", "-i", "absent"])).exits(2).prints("").says("absent: No such file");
    sandbox.run_with_input(&map(&["word_cuont"]), "{}\n{}\n").exits(2).prints("").says("word_count");
    sandbox.run_with_input(&map(&["countdown"]), "{}\n").exits(2).prints("").says("hatchery stream");
}

#[test]
fn nothing_in_is_nothing_out() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&map(&["word_count"])).exits(0).prints("");
}

#[test]
fn a_result_comes_before_the_next_line_goes_in() {
    let sandbox = Sandbox::with_app();
    let mut child = sandbox.command(&map(&["echo"])).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut running = Running::new(child);
    for n in 0..3 {
        writeln!(input, "{{\"value\":{n}}}").unwrap();
        assert_eq!(running.line(), n.to_string());
    }
    drop(input);
    running.finish().exits(0).prints("");
}

#[test]
fn the_command_ends_with_its_reader_although_stdin_goes_on() {
    let sandbox = Sandbox::with_app();
    let mut child = sandbox.command(&map(&["echo", "-q"])).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut running = Running::new(child);
    input.write_all(b"{\"value\":1}\n").unwrap();
    assert_eq!(running.line(), "1");
    running.close_stdout();
    let finished = running.finish().exits(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_pool_that_lives_on_tells_of_its_dead() {
    let sandbox = Sandbox::with_app();
    let finished = sandbox.run_with_input(&map(&["leave"]), "{\"status\":7}\n{\"status\":7}\n").exits(1);
    assert!(lines(&finished).iter().all(|result| result["error"]["kind"] == "worker_died"), "{finished:#?}");
    finished.says("worker default-1 died: exit status 7; another worker starts now\n");
}

#[test]
fn a_full_disk_is_told_of_once() {
    let sandbox = Sandbox::with_app();
    sandbox.write("input", "{\"value\":1}\n{\"value\":2}\n");
    let finished = sandbox.shell(r#""$0" map --app app.py echo -i input >/dev/full"#).exits(70);
    assert_eq!(finished.stderr.matches("No space left").count(), 1, "{finished:#?}");
}
