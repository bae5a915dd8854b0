//! The facts of `codex exec --json`.

use serde_json::json;

use super::{dialogue, ended, hear, spec, told};
use crate::agent::{Answer, Input, Signal, Usage};
use crate::error::ErrorKind;

const THREAD: &str = r#"{"type":"thread.started","thread_id":"01a1fd1f-8466-74c0-9041-75ab733ffc10"}"#;
const TURN: &str = r#"{"type":"turn.started"}"#;
const PONG: &str = r#"{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"pong"}}"#;
const COMPLETED: &str =
    r#"{"type":"turn.completed","usage":{"input_tokens":10,"cached_input_tokens":2,"output_tokens":4}}"#;

fn check(lines: &[&str], expected: &[&str]) {
    assert_eq!(hear(&mut *dialogue("codex-jsonl"), lines), expected);
}

#[test]
fn a_turn_is_a_thread_a_message_and_its_end() {
    let seen = "session 01a1fd1f-8466-74c0-9041-75ab733ffc10";
    check(&[THREAD, TURN, PONG, COMPLETED], &[seen, "turn", "resumable; says pong", "ok"]);
}

#[test]
fn its_answer_is_its_last_message() {
    let mut agent = dialogue("codex-jsonl");
    hear(&mut *agent, &[THREAD, TURN, &PONG.replace("pong", "I think"), PONG]);
    let signals = agent.stdout(COMPLETED.as_bytes());
    let Signal::TurnEnded { usage, result, .. } = ended(&signals) else { unreachable!("that is what was looked for") };
    assert_eq!(*usage, Some(Usage { input_tokens: Some(10), output_tokens: Some(4), cost: None }));
    assert_eq!(*result, Some(json!("pong")));
}

#[test]
fn commands_and_tools_of_servers_are_tools() {
    let command = r#"{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"ls","status":"in_progress"}}"#;
    let served = r#"{"type":"item.started","item":{"id":"item_2","type":"mcp_tool_call","server":"s","tool":"look","status":"in_progress"}}"#;
    let done = r#"{"type":"item.completed","item":{"id":"item_0","type":"command_execution","exit_code":0,"status":"completed"}}"#;
    check(
        &[command, served, done],
        &["tool command_execution item_0", "tool look item_2", "resumable; tool ended item_0"],
    );
}

#[test]
fn an_error_is_a_warning_and_only_the_end_of_the_turn_is_a_failure() {
    let item = r#"{"type":"item.completed","item":{"id":"item_0","type":"error","message":"slow"}}"#;
    let error = r#"{"type":"error","message":"Reconnecting... 1/5"}"#;
    let failed = r#"{"type":"turn.failed","error":{"message":"unexpected status 401"}}"#;
    check(
        &[item, error, failed],
        &["resumable; warns slow", "warns Reconnecting... 1/5", "failed: unexpected status 401"],
    );
}

#[test]
fn a_thread_that_is_not_there_is_told_on_standard_error() {
    let line = "Error: thread/resume: thread/resume failed: no rollout found for thread id 0000";
    let told = told(&dialogue("codex-jsonl").stderr(line.as_bytes()));
    assert_eq!(told, "failed not found: no rollout found for thread id 0000");
}

#[test]
fn it_takes_no_turns_no_interrupts_and_no_answers() {
    let mut agent = dialogue("codex-jsonl");
    assert_eq!((agent.turn("hello"), agent.interrupt()), (None, None));
    assert_eq!(agent.answer("1", &Answer::Deny { message: None }).unwrap_err().kind(), ErrorKind::NotFound);
    let mut spec = spec("codex-jsonl");
    spec.input = Input::Conversation(None);
    let error = super::adapter("codex-jsonl").command(&spec).unwrap_err();
    assert_eq!(error.message(), "adapter codex-jsonl: it cannot take turns on its input");
}
