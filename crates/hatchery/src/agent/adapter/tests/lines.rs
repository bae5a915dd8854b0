//! Agents that speak lines of text.

use super::{Adapters, CommandPlan, Dialogue, adapter, dialogue, hear, told};
use crate::agent::{Answer, Step};
use crate::error::ErrorKind;

const TABLE: &str = r#"
family = "lines"

[command]
conversation = []

[says]
turn = "{text}"
interrupt = "\u0003"
allow = "y"
deny = "n {message}"

[lines]
session_seen = '^session (\S+)$'
turn_started = '^> '
needs_input = '^(.*)\? \[y/N\]$'
turn_ended = '^done'
failed = '^(?:error|fatal): (.*)$'
text = '^says: (.*)'

[stderr]
not_found = 'no such session'
"#;

fn agent() -> Box<dyn Dialogue> {
    let adapters = Adapters::default().with_table("mine", TABLE).unwrap();
    adapters.get("mine").unwrap().begin(&CommandPlan::default())
}

#[test]
fn lines_mean_what_the_expressions_say() {
    let lines = ["session s1", "> go", "says: hello", "nothing", "Remove it? [y/N]", "error: disk full", "done."];
    let expected =
        ["session s1", "turn", "says hello", "", "asks Remove it 1", "settled 1; failed: disk full", "ok: done"];
    assert_eq!(hear(&mut *agent(), &lines), expected);
}

#[test]
fn a_line_ends_a_turn_once() {
    let table = "family = 'lines'\nlines.turn_ended = '^end'\nlines.failed = 'badly'";
    let adapters = Adapters::default().with_table("mine", table).unwrap();
    let mut agent = adapters.get("mine").unwrap().begin(&CommandPlan::default());
    assert_eq!(hear(&mut *agent, &["end badly", "end"]), ["failed: badly", "ok: end"]);
}

#[test]
fn what_is_said_to_it_is_a_line_of_text() {
    let mut agent = agent();
    assert_eq!(agent.turn("{text} {message}").unwrap(), "{text} {message}\n");
    assert_eq!(agent.interrupt().unwrap(), "\u{3}\n");
    hear(&mut *agent, &["A? [y/N]", "B? [y/N]"]);
    assert_eq!(agent.answer("2", &Answer::Allow { input: None }).unwrap().bytes, "y\n");
    let denied = agent.answer("1", &Answer::Deny { message: Some("no {request}".into()) }).unwrap();
    assert_eq!((denied.bytes.as_ref(), told(&denied.signals).as_str()), (&b"n no {request}\n"[..], "settled 1"));
}

#[test]
fn a_line_need_not_be_text() {
    assert_eq!(told(&agent().stdout(b"fatal: \xff\xfe")), "failed: \u{fffd}\u{fffd}");
}

#[test]
fn standard_error_has_expressions_of_its_own() {
    let mut agent = agent();
    assert_eq!(told(&agent.stderr(b"done")), "");
    assert_eq!(told(&agent.stderr(b"no such session: s1")), "failed not found: no such session");
}

#[test]
fn an_answer_for_which_there_is_no_word_is_refused_and_the_question_stays() {
    let table = "family = 'lines'\nlines.needs_input = '^ask'\nsays.allow = 'y'";
    let adapters = Adapters::default().with_table("mine", table).unwrap();
    let mut agent = adapters.get("mine").unwrap().begin(&CommandPlan::default());
    agent.stdout(b"ask");
    let error = agent.answer("1", &Answer::Deny { message: None }).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Validation, "answer \"1\": this agent's table has no word for no")
    );
    assert!(agent.answer("1", &Answer::Allow { input: None }).is_ok());
}

#[test]
fn a_plain_agent_means_nothing_and_is_done_when_it_exits() {
    let mut plain = dialogue("plain");
    assert_eq!(hear(&mut *plain, &["done", r#"{"type":"result"}"#, ""]), ["", "", ""]);
    assert_eq!((plain.turn("hello").unwrap().as_ref(), plain.interrupt()), (&b"hello\n"[..], None));
    let terminal = ["plain", "stream-json", "codex-jsonl"].map(|name| adapter(name).has_terminal_message());
    assert_eq!(terminal, [false, true, true]);
}

#[test]
fn agents_that_end_their_tools_by_sigint_get_it_first() {
    let steps = |name| adapter(name).ladder().rungs.iter().map(|rung| rung.step).collect::<Vec<_>>();
    let signals = [Step::Signal(libc::SIGINT), Step::Signal(libc::SIGTERM)];
    assert_eq!(steps("codex-jsonl"), signals);
    assert_eq!(steps("stream-json"), [&[Step::Interrupt, Step::CloseStdin][..], &signals].concat());
}
