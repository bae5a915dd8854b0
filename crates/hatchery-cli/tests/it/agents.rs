//! Agent runs from the shell, with an agent that does what it is told.

use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sandbox::{Finished, Running, Sandbox};

const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../hatchery/tests/fixtures/agents/fake_agent.py");

/// `agent start` with these flags, of an agent that takes these steps. What the sandbox knows its processes by passes.
fn start<'a>(flags: &[&'a str], steps: &[&'a str]) -> Vec<&'a str> {
    let words = [&["agent", "start", "--env", "HATCHERY_TEST_MARK"], flags, &["--", "python3", FAKE, "--do"], steps];
    words.concat()
}

fn run(sandbox: &Sandbox, flags: &[&str], steps: &[&str]) -> Finished {
    sandbox.run(&start(flags, steps))
}

/// Every line of what was printed.
fn lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The only run there is.
fn shown(sandbox: &Sandbox) -> Value {
    let list = sandbox.run(&["agent", "list", "--all", "--json"]).exits(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    list[0].clone()
}

#[test]
fn what_it_writes_is_ours() {
    let sandbox = Sandbox::new();
    let finished = run(&sandbox, &[], &["line=one", "stderr=aside", "bytes=ff0a", "cut=two"]);
    assert_eq!((finished.status, &*finished.stdout), (Some(0), "one\n\u{fffd}\ntwo"), "{finished:#?}");
    finished.says("aside\n").says("is over: completed");
    run(&sandbox, &["--quiet"], &["line=one", "stderr=aside"]).exits(0).prints("one").hides("is over");
}

#[test]
fn a_line_too_long_to_be_handed_out_is_printed_whole() {
    let sandbox = Sandbox::new();
    let finished = run(&sandbox, &[], &["lines=1,3000000"]).exits(0);
    assert_eq!(finished.stdout.len(), 3_000_000);
}

#[test]
fn as_json_each_event_is_a_line_and_the_outcome_the_last() {
    let sandbox = Sandbox::new();
    let finished =
        run(&sandbox, &["--adapter", "stream-json", "--json"], &["init", "text=pong", "result=pong"]).exits(0);
    let lines = lines(&finished);
    let (outcome, events) = lines.split_last().unwrap();
    assert_eq!(
        (&outcome["outcome"]["kind"], &outcome["outcome"]["last_result"]),
        (&json!("completed"), &json!("pong"))
    );
    let said: Vec<&Value> = events.iter().filter(|event| event["stream"] == "stdout").collect();
    assert_eq!(said.len(), 3, "{events:#?}");
    let text = json!({ "kind": "text", "text": "pong" });
    assert!(said[1]["signals"].as_array().unwrap().contains(&text), "{said:?}");
    assert!(said[1]["line"].as_str().unwrap().contains("pong"), "{said:?}");
    let run = shown(&sandbox);
    assert_eq!((&said[0]["run"], &run["state"], &run["turns"]), (&run["run"], &json!("exited"), &json!(1)));
    assert_eq!(run["outcome"]["kind"], "completed");
}

#[test]
fn how_it_ends_is_the_exit_status() {
    let sandbox = Sandbox::new();
    let of = |steps: &[&str]| run(&sandbox, &["--adapter", "stream-json"], steps);
    of(&["init", "failed=400"]).exits(1).says("is over: failed");
    of(&["init", "exit=0"]).exits(1).says("is over: incomplete");
    of(&["init", "die=KILL"]).exits(1).says("is over: crashed");
    of(&["exit=3"]).exits(2).says("is over: bad_command_line");
    run(&sandbox, &["--adapter", "stream-json", "--resume", "0b5d3b1e-5a0e-4d0e-8f55-2f4b1f9a7a01"], &["notfound"])
        .exits(2)
        .says("is over: resume_not_found");
    let late = ["--adapter", "stream-json", "--limit-start", "200ms"];
    run(&sandbox, &late, &["wait=never"]).exits(3).says("is over: start_timeout");
    run(&sandbox, &["--limit-runtime", "200ms"], &["line=here", "wait=never"]).exits(3).says("is over: stopped");
}

#[test]
fn what_cannot_be_started_is_a_mistake() {
    let sandbox = Sandbox::new();
    run(&sandbox, &["--adapter", "stream-jsno"], &["init"]).exits(2).says("no adapter is called \"stream-jsno\"");
    sandbox.run(&["agent", "start", "--", "no-such-program"]).exits(2).says("no-such-program");
    run(&sandbox, &["--stdin", "null", "--prompt", "hello"], &["init"]).exits(2).says("--stdin null");
    run(&sandbox, &["--label", "nothing"], &["init"]).exits(2).says("expected KEY=VALUE");
    sandbox.run(&["agent", "start"]).exits(2);
    let finished = run(&sandbox, &["--adapter", "nobody", "--json"], &["init"]).exits(2);
    assert_eq!(finished.json()["error"]["kind"], "not_found");
}

#[test]
fn a_prompt_is_read_and_then_the_end() {
    let sandbox = Sandbox::new();
    let reads = ["agent", "start", "--prompt", "hello", "--", "cat"];
    assert_eq!(sandbox.run(&reads).exits(0).stdout, "hello");
    sandbox.write("prompt", "from a file\n");
    sandbox.run(&["agent", "start", "--prompt-file", "prompt", "--", "cat"]).exits(0).prints("from a file");
    let words = ["agent", "start", "--prompt-file", "-", "--", "cat"];
    sandbox.run_with_input(&words, "from stdin\n").exits(0).prints("from stdin");
    sandbox.run(&["agent", "start", "--", "cat"]).exits(0).prints("");
}

#[test]
fn it_finds_what_it_was_given() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("work")).unwrap();
    let script = "echo $A-$B-$C; basename $PWD";
    let mut command =
        sandbox.command(&["agent", "start", "--cwd", "work", "--env", "A=1", "--env", "B", "--", "sh", "-c", script]);
    let finished = Running::new(command.env("B", "2").env("C", "3").spawn().unwrap()).finish();
    finished.exits(0).prints("1-2-\nwork");
}

#[test]
fn lines_of_stdin_are_turns_and_its_end_is_that_of_the_conversation() {
    let sandbox = Sandbox::new();
    let flags = ["--adapter", "stream-json", "--stdin", "conversation", "--prompt", "one", "--json"];
    let finished = sandbox.run_with_input(&start(&flags, &["turns"]), "two\n\nthree\n").exits(0);
    let lines = lines(&finished);
    let texts = lines.iter().flat_map(|line| line["signals"].as_array().into_iter().flatten());
    let texts: Vec<&str> =
        texts.filter(|signal| signal["kind"] == "text").map(|signal| signal["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(lines.last().unwrap()["outcome"]["turns"], 3);
}

#[test]
fn the_first_ctrl_c_interrupts_the_turn_and_the_second_stops_it() {
    let sandbox = Sandbox::new();
    let working = sandbox.name("working");
    let touch = format!("touch={working}");
    let flags = ["--adapter", "stream-json", "--stdin", "conversation"];
    let mut child = sandbox.command(&start(&flags, &["init", &touch, "work", "touch=interrupted", "turns"]));
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    let running = Running::new(child);
    sandbox.wait_for("working");
    running.signal(Signal::INT);
    sandbox.wait_for("interrupted");
    running.signal(Signal::INT);
    running.finish().exits(130).says("its turn is interrupted").says("it is stopped").says("is over: stopped");
    drop(stdin);
}

#[test]
fn the_third_ctrl_c_kills_what_is_deaf_and_its_tools() {
    let sandbox = Sandbox::new();
    let (tool, touch) = (format!("tool={}", sandbox.name("tool")), format!("touch={}", sandbox.name("deaf")));
    let steps = ["init", "ignore=INT,TERM", &tool, &touch, "wait=never"];
    let running = sandbox.start(&start(&["--adapter", "stream-json"], &steps));
    sandbox.wait_for("deaf");
    for said in ["its turn is interrupted", "it is stopped", "it is killed"] {
        running.signal(Signal::INT);
        crate::sandbox::wait_until(said, || running.has_said(said));
    }
    running.finish().exits(130).says("is over: killed");
}

#[test]
fn sigterm_stops_it_at_once() {
    let sandbox = Sandbox::new();
    let touch = format!("touch={}", sandbox.name("there"));
    let running = sandbox.start(&start(&[], &[&touch, "wait=never"]));
    sandbox.wait_for("there");
    running.signal(Signal::TERM);
    running.finish().exits(143).says("is over: stopped").hides("interrupted");
}

#[test]
fn nobody_who_reads_is_its_end() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.start(&start(&[], &["line=one", "wait=never"]));
    assert_eq!(running.line(), "one");
    running.close_stdout();
    running.finish().exits(0);
}

#[test]
fn members_that_outlive_it_are_ended_or_reported() {
    let sandbox = Sandbox::new();
    let tool = format!("tool={}", sandbox.name("one"));
    run(&sandbox, &[], &[&tool]).exits(0).hides("it has left");
    let tool = format!("tool={}", sandbox.name("two"));
    run(&sandbox, &["--leftovers", "report"], &[&tool]).exits(6).says("it has left a process: ");
}

#[test]
fn a_conversation_is_carried_on_by_one_at_a_time() {
    let sandbox = Sandbox::new();
    let touch = format!("touch={}", sandbox.name("there"));
    let flags = ["--adapter", "stream-json", "--id", "0b5d3b1e-5a0e-4d0e-8f55-2f4b1f9a7a01"];
    let first = sandbox.start(&start(&flags, &["init", &touch, "wait=go", "result"]));
    sandbox.wait_for("there");
    let live = sandbox.run(&["agent", "list", "--json"]).exits(0).json();
    let holder = live[0]["run"].as_str().unwrap().to_owned();
    run(&sandbox, &flags, &["init", "result"]).exits(4).says(&holder);
    sandbox.write("go", "");
    first.finish().exits(0);
    sandbox.run(&["agent", "list", "--json"]).exits(0).prints("[]");
}

#[test]
fn what_was_is_found_by_its_id_its_beginning_or_its_conversation() {
    let sandbox = Sandbox::new();
    let session = "0b5d3b1e-5a0e-4d0e-8f55-2f4b1f9a7a01";
    let flags = ["--adapter", "stream-json", "--id", session, "--label", "team=a", "--task", "say pong", "--json"];
    let started = run(&sandbox, &flags, &["init", "text=pong", "stderr=aside", "result=pong"]).exits(0);
    let run = shown(&sandbox)["run"].as_str().unwrap().to_owned();
    for name in [&*run, &run[..12], session] {
        let shown = sandbox.run(&["agent", "show", name, "--json"]).exits(0).json();
        assert_eq!(
            (&shown["run"], &shown["task"], &shown["labels"]),
            (&json!(run), &json!("say pong"), &json!({ "team": "a" }))
        );
    }
    let events = sandbox.run(&["agent", "events", &run, "--json"]).exits(0);
    let all = lines(&events);
    assert_eq!(all, lines(&started)[..all.len()]);
    let rest = lines(&sandbox.run(&["agent", "events", session, "--from", "3", "--json"]).exits(0));
    assert_eq!(rest, all[2..]);
    let output = sandbox.run(&["agent", "output", &run]).exits(0).says("aside");
    assert_eq!(output.stdout.lines().count(), 3, "{output:#?}");
    sandbox.run(&["agent", "output", &run, "--result"]).exits(0).prints("\"pong\"");
    let people = sandbox.run(&["agent", "show", &run]).exits(0);
    assert!(people.stdout.contains("completed") && people.stdout.contains("team=a"), "{people:#?}");
    assert!(sandbox.run(&["agent", "list", "--all"]).exits(0).stdout.contains("say pong"));
    assert!(sandbox.run(&["agent", "events", &run]).exits(0).stdout.contains("stderr  aside"));
    sandbox.run(&["agent", "list", "--all", "--label", "team=b"]).exits(0).prints("").says("no such agent run");
    for words in [&["agent", "show", "nobody"][..], &["agent", "output", "nobody"], &["agent", "events", "nobody"]] {
        sandbox.run(words).exits(2).says("no agent run");
    }
}

#[test]
fn a_kind_of_agents_is_a_table_of_the_configuration() {
    let sandbox = Sandbox::new();
    let table = "[agents]\nmax_concurrent = 3\n[agents.adapters.echo]\nfamily = 'lines'\ncommand.null = ['--loud']\nlines.turn_ended = '^done'\n";
    sandbox.write("hatchery.toml", table);
    let words = |script| ["agent", "start", "--adapter", "echo", "--", "sh", "-c", script, "sh"];
    sandbox.run(&words("echo $1; echo done")).exits(0).prints("--loud\ndone");
    sandbox.run(&words("echo $1")).exits(1).says("is over: incomplete");
    sandbox.run(&["config", "check"]).exits(0);
    let shown = sandbox.run(&["config", "show"]).exits(0).stdout;
    sandbox.write("hatchery.toml", &shown);
    sandbox.run(&words("echo $1; echo done")).exits(0).prints("--loud\ndone");

    sandbox.write("hatchery.toml", "[agents.adapters.echo]\nfamily = 'lines'\nlines.turn_ended = '('\n");
    sandbox.run(&["config", "check"]).exits(2).says("agents.adapters.echo").says("turn_ended");
    sandbox.write("hatchery.toml", "[agents]\nadapters.echo = 3\n");
    sandbox.run(&["config", "check"]).exits(2).says("agents.adapters.echo: expected a table");
}
