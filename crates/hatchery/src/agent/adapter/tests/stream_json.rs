//! The facts of real agents that speak `stream-json`, one by one. The lines are theirs, shortened.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CommandPlan, ID, adapter, dialogue, ended, hear, told};
use crate::agent::{Answer, Signal, Usage};
use crate::error::ErrorKind;

const INIT: &str = r#"{"type":"system","subtype":"init","cwd":"/w/proj","session_id":"e7acdd99-abab-45eb-974e-78ec898a8edb","tools":["Task","Bash"],"mcp_servers":[],"model":"m","permissionMode":"default","claude_code_version":"2.1.197","uuid":"46c2abcb-0000"}"#;
const PONG: &str = r#"{"type":"assistant","message":{"id":"msg_stub0001","role":"assistant","content":[{"type":"text","text":"pong"}],"stop_reason":null},"parent_tool_use_id":null,"session_id":"e7acdd99-abab-45eb-974e-78ec898a8edb","uuid":"u"}"#;
const TOOL: &str = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I look"},{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}},{"type":"text","text":"and wait"}]},"parent_tool_use_id":null,"session_id":"e7acdd99-abab-45eb-974e-78ec898a8edb"}"#;
const TOOL_RESULT: &str = r#"{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result","content":"x","is_error":false}]},"session_id":"e7acdd99-abab-45eb-974e-78ec898a8edb"}"#;
const TASK: &str = r#"{"type":"system","subtype":"task_started","task_id":"b1","tool_use_id":"toolu_1","description":"sleep","task_type":"local_bash"}"#;
const TASK_ENDED: &str =
    r#"{"type":"system","subtype":"task_notification","task_id":"b1","tool_use_id":"toolu_1","status":"completed"}"#;
const RESULT: &str = r#"{"type":"result","subtype":"success","is_error":false,"api_error_status":null,"duration_ms":81,"num_turns":1,"result":"pong","stop_reason":"end_turn","session_id":"e7acdd99-abab-45eb-974e-78ec898a8edb","total_cost_usd":0.25,"usage":{"input_tokens":12,"output_tokens":3},"terminal_reason":"completed"}"#;
const ASKS: &str = r#"{"type":"control_request","request_id":"dcfcbe99","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"echo hello > x"},"tool_use_id":"toolu_3"}}"#;
const INTERRUPTED: &str = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":2,"session_id":"e7acdd99-abab-45eb-974e-78ec898a8edb","terminal_reason":"aborted_streaming","errors":["[ede_diagnostic] result_type=user"]}"#;

/// One of each kind.
pub(super) const LINES: [&str; 9] = [INIT, PONG, TOOL, TASK, ASKS, TOOL_RESULT, TASK_ENDED, RESULT, INTERRUPTED];

fn check(lines: &[&str], expected: &[&str]) {
    assert_eq!(hear(&mut *dialogue("stream-json"), lines), expected);
}

fn json_of(line: &[u8]) -> Value {
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line, with its end");
    serde_json::from_slice(line).unwrap()
}

#[test]
fn a_turn_is_a_name_a_text_and_a_result() {
    check(&[INIT, PONG, RESULT], &[&format!("session {ID}; turn"), "resumable; says pong", "ok: completed"]);
}

#[test]
fn a_result_has_its_answer_and_its_price() {
    let signals = dialogue("stream-json").stdout(RESULT.as_bytes());
    let Signal::TurnEnded { usage, result, .. } = ended(&signals) else { unreachable!("that is what was looked for") };
    assert_eq!(*usage, Some(Usage { input_tokens: Some(12), output_tokens: Some(3), cost: Some(0.25) }));
    assert_eq!(*result, Some(json!("pong")));
}

#[test]
fn the_price_of_all_turns_so_far_is_told_turn_by_turn() {
    let mut agent = dialogue("stream-json");
    let mut cost = |total: &str| {
        let line = RESULT.replace("0.25", total);
        match ended(&agent.stdout(line.as_bytes())) {
            Signal::TurnEnded { usage: Some(usage), .. } => usage.cost.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([cost("0.25"), cost("0.75"), cost("0.75"), cost("0.5")], [0.25, 0.5, 0.0, 0.5]);
}

#[test]
fn init_comes_again_at_every_turn_and_its_name_only_once() {
    check(&[INIT, RESULT, INIT, RESULT], &[&format!("session {ID}; turn"), "ok: completed", "turn", "ok: completed"]);
}

#[test]
fn a_changed_name_is_told_and_is_not_resumable_yet() {
    let other = INIT.replace(ID, "f60ba865-0000-4000-8000-000000000000");
    let changed = "session f60ba865-0000-4000-8000-000000000000; turn";
    let back = format!("session {ID}; resumable; says pong");
    check(&[INIT, PONG, &other, PONG], &[&format!("session {ID}; turn"), "resumable; says pong", changed, &back]);
}

#[test]
fn a_seen_name_is_not_resumable_before_the_agent_has_worked() {
    check(&[INIT], &[&format!("session {ID}; turn")]);
}

#[test]
fn an_agent_that_keeps_no_conversation_is_never_resumable() {
    let hear_as = |argv: &[&str]| {
        let plan = CommandPlan { argv: argv.iter().map(Into::into).collect(), ..CommandPlan::default() };
        hear(&mut *adapter("stream-json").begin(&plan), &[PONG])
    };
    assert_eq!(hear_as(&["agent", "--no-session-persistence"]), [format!("session {ID}; says pong")]);
    assert_eq!(hear_as(&["agent", "--", "--no-session-persistence"]), [format!("session {ID}; resumable; says pong")]);
}

#[test]
fn type_may_come_last_in_a_line_of_eight_megabytes() {
    let answer = "a".repeat(8 << 20);
    let line = format!(
        r#"{{"duration_api_ms":42,"stop_reason":"end_turn","session_id":"b4e431d1","subtype":"success","is_error":false,"result":"{answer}","ttft_ms":124,"type":"result"}}"#
    );
    let signals = dialogue("stream-json").stdout(line.as_bytes());
    let Signal::TurnEnded { ok, result, .. } = ended(&signals) else { unreachable!("that is what was looked for") };
    assert_eq!((*ok, result.as_ref().unwrap().as_str()), (true, Some(answer.as_str())));
}

#[test]
fn spaces_between_and_words_of_a_user_change_nothing() {
    let spaced = r#"  { "type" : "system" , "subtype" : "init" , "session_id" : "s1" }  "#;
    let quoted = r#"{"type":"user","message":{"role":"user","content":"say {\"type\":\"system\",\"subtype\":\"init\"}"},"session_id":"s1"}"#;
    check(&[spaced, quoted], &["session s1; turn", "resumable"]);
}

#[test]
fn the_last_of_two_members_of_one_name_counts() {
    check(
        &[r#"{"type":"assistant","type":"system","subtype":"init","session_id":"a","session_id":"b"}"#],
        &["session b; turn"],
    );
}

#[test]
fn what_is_no_json_and_what_is_unknown_means_nothing() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_inside = format!(r#"{{"type":"result","result":{deep}}}"#);
    let cut = &RESULT[..RESULT.len() - 9];
    let two = format!("{INIT}{INIT}");
    let unknown = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed"}}"#;
    let partial =
        r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"po"}}}"#;
    let lines =
        ["", "npm warn x", "[1]", "null", "{", cut, &two, &deep, &deep_inside, unknown, partial, r#"{"type":5}"#];
    check(&lines, &[""; 12]);
}

#[test]
fn a_line_with_bytes_that_are_no_text_is_read_where_they_do_not_matter() {
    let mut line = INIT.as_bytes().to_vec();
    let at = INIT.find("/w/proj").unwrap();
    line[at] = 0xff;
    assert_eq!(told(&dialogue("stream-json").stdout(&line)), format!("session {ID}; turn"));
}

#[test]
fn a_tool_is_open_from_its_use_to_its_result() {
    check(
        &[TOOL, TASK, TASK_ENDED, TOOL_RESULT, TOOL_RESULT],
        &[
            &format!("session {ID}; resumable; says I look; tool Bash toolu_1; says and wait"),
            "",
            "",
            "tool ended toolu_1",
            "",
        ],
    );
}

#[test]
fn a_task_is_beside_the_conversation_once_its_tool_has_ended() {
    check(
        &[TOOL, TASK, TOOL_RESULT, RESULT, TASK_ENDED],
        &[
            &format!("session {ID}; resumable; says I look; tool Bash toolu_1; says and wait"),
            "",
            "tool ended toolu_1; beside 1",
            "ok: completed",
            "beside 0",
        ],
    );
}

#[test]
fn a_subagent_uses_tools_and_says_nothing_to_the_user() {
    let line = TOOL.replace(r#""parent_tool_use_id":null"#, r#""parent_tool_use_id":"toolu_0""#);
    check(&[INIT, &line], &[&format!("session {ID}; turn"), "resumable; tool Bash toolu_1"]);
}

#[test]
fn a_refused_service_is_told_with_its_status() {
    let line = r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":613.4991258160908,"error_status":401,"error":"authentication_failed","session_id":"x"}"#;
    let cut_off = line.replace("401", "null");
    check(&[line, &cut_off], &["retry 1 of Some(10): Some(401)", "retry 1 of Some(10): None"]);
}

#[test]
fn a_success_with_is_error_is_a_failure_with_its_status() {
    let line = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":400,"result":"API Error: 400 stub says 400","session_id":"x"}"#;
    check(&[line], &["failed 400: API Error: 400 stub says 400"]);
}

#[test]
fn an_error_without_is_error_is_a_failure() {
    check(
        &[r#"{"type":"result","subtype":"error_max_turns","is_error":false,"num_turns":9}"#],
        &["failed: error_max_turns"],
    );
}

#[test]
fn an_interrupt_ends_the_turn_with_all_that_is_open_in_it() {
    check(
        &[TOOL, ASKS, INTERRUPTED, TOOL_RESULT],
        &[
            &format!("session {ID}; resumable; says I look; tool Bash toolu_1; says and wait"),
            "asks Bash dcfcbe99",
            "tool ended toolu_1; settled dcfcbe99; failed: aborted_streaming",
            "",
        ],
    );
}

#[test]
fn a_conversation_that_is_not_found_is_told_once_and_its_name_is_not_taken_for_seen() {
    let line = format!(
        r#"{{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"session_id":"{ID}","errors":["No conversation found with session ID: {ID}"]}}"#
    );
    let error = format!("No conversation found with session ID: {ID}");
    let mut agent = dialogue("stream-json");
    assert_eq!(told(&agent.stderr(error.as_bytes())), format!("failed not found: {error}"));
    assert_eq!(hear(&mut *agent, &[&line]), [""]);
    check(&[&line], &[&format!("failed not found: {error}")]);
}

#[test]
fn what_a_server_of_tools_does_not_find_is_no_lost_conversation() {
    let mut agent = dialogue("stream-json");
    assert_eq!(told(&agent.stderr(b"[mcp] No conversation found")), "");
    agent.stdout(INIT.as_bytes());
    assert_eq!(told(&agent.stderr(b"No conversation found")), "");
    let line = INTERRUPTED.replace("[ede_diagnostic]", "No conversation found");
    assert_eq!(hear(&mut *agent, &[&line]), ["failed: aborted_streaming"]);
}

#[test]
fn a_name_that_is_in_use_is_a_warning() {
    let line = format!("Error: Session ID {ID} is already in use.");
    assert_eq!(
        told(&dialogue("stream-json").stderr(line.as_bytes())),
        format!("warns Session ID {ID} is already in use.")
    );
}

#[test]
fn a_turn_is_written_as_one_line() {
    let line = dialogue("stream-json").turn("two\nlines, \"{text}\" and \u{1f980}").unwrap();
    let content = json!([{ "type": "text", "text": "two\nlines, \"{text}\" and \u{1f980}" }]);
    assert_eq!(json_of(&line), json!({ "type": "user", "message": { "role": "user", "content": content } }));
}

#[test]
fn interrupts_have_names_of_their_own_and_a_refused_one_is_a_warning() {
    let mut agent = dialogue("stream-json");
    let [first, second] = [(); 2].map(|()| json_of(&agent.interrupt().unwrap()));
    assert_eq!(first["request"], json!({ "subtype": "interrupt" }));
    assert_ne!(first["request_id"], second["request_id"]);
    let answers = [
        r#"{"type":"control_response","response":{"subtype":"success","request_id":"i2"}}"#,
        r#"{"type":"control_response","response":{"subtype":"error","request_id":"c1","error":"Unsupported control request subtype: no_such_thing"}}"#,
    ];
    let refused = "warns refuses an order: Unsupported control request subtype: no_such_thing";
    assert_eq!(hear(&mut *agent, &answers), ["", refused]);
}

#[test]
fn an_allowed_tool_is_told_its_input_again() {
    let mut agent = dialogue("stream-json");
    assert_eq!(hear(&mut *agent, &[ASKS, ASKS]), ["asks Bash dcfcbe99", ""]);
    let answer = agent.answer("dcfcbe99", &Answer::Allow { input: None }).unwrap();
    let content = json!({ "behavior": "allow", "updatedInput": { "command": "echo hello > x" } });
    let response = json!({ "subtype": "success", "request_id": "dcfcbe99", "response": content });
    assert_eq!(json_of(&answer.bytes), json!({ "type": "control_response", "response": response }));
    assert_eq!(told(&answer.signals), "settled dcfcbe99");
}

#[test]
fn an_allowed_tool_may_be_told_another_input() {
    let mut agent = dialogue("stream-json");
    agent.stdout(ASKS.as_bytes());
    let answer = agent.answer("dcfcbe99", &Answer::Allow { input: Some(json!({ "command": "true" })) }).unwrap();
    assert_eq!(json_of(&answer.bytes)["response"]["response"]["updatedInput"], json!({ "command": "true" }));
}

#[test]
fn a_denied_tool_is_told_why() {
    let reply = |message: Option<&str>| {
        let mut agent = dialogue("stream-json");
        agent.stdout(ASKS.as_bytes());
        let answer = agent.answer("dcfcbe99", &Answer::Deny { message: message.map(str::to_owned) }).unwrap();
        json_of(&answer.bytes)["response"]["response"].clone()
    };
    assert_eq!(reply(Some("not today")), json!({ "behavior": "deny", "message": "not today" }));
    assert_eq!(reply(None), json!({ "behavior": "deny", "message": "not allowed" }));
}

#[test]
fn what_was_not_asked_or_was_answered_cannot_be_answered() {
    let mut agent = dialogue("stream-json");
    agent.stdout(ASKS.as_bytes());
    let error = agent.answer("other", &Answer::Allow { input: None }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().ends_with("it waits for dcfcbe99"), "{error}");
    agent.answer("dcfcbe99", &Answer::Deny { message: None }).unwrap();
    assert_eq!(agent.answer("dcfcbe99", &Answer::Deny { message: None }).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_question_may_be_taken_back_and_one_that_nobody_understands_is_a_warning() {
    let back = r#"{"type":"control_cancel_request","request_id":"dcfcbe99"}"#;
    let hook = r#"{"type":"control_request","request_id":"h","request":{"subtype":"hook_callback"}}"#;
    let warning = "warns asks for hook_callback, which nobody here can answer";
    check(&[ASKS, back, back, hook], &["asks Bash dcfcbe99", "settled dcfcbe99", "", warning]);
}

#[test]
fn an_agent_that_opens_things_without_end_is_not_remembered_without_end() {
    let mut agent = dialogue("stream-json");
    for number in 0..3000 {
        agent.stdout(TOOL.replace("toolu_1", &format!("toolu_{number}")).as_bytes());
        agent.stdout(ASKS.replace("dcfcbe99", &format!("q{number}")).as_bytes());
    }
    let last = told(&agent.stdout(ASKS.as_bytes()));
    assert!(last.starts_with("warns asks more than can be remembered"), "{last}");
    let ends = agent.stdout(RESULT.as_bytes());
    assert_eq!(ends.len(), 1024 + 1024 + 1);
}

#[test]
fn a_line_that_says_too_much_is_cut_and_its_tools_are_not() {
    let texts = r#"{"type":"text","text":"a"},"#.repeat(100_000);
    let line = format!(
        r#"{{"type":"assistant","message":{{"content":[{texts}{{"type":"tool_use","id":"t","name":"Bash"}}]}}}}"#
    );
    let signals = dialogue("stream-json").stdout(line.as_bytes());
    assert!(signals.len() < 5000, "{}", signals.len());
    assert_eq!(signals.last(), Some(&Signal::ToolStarted { id: "t".into(), name: "Bash".into() }));
}

/// Writes an object with its members in an order that `seed` chooses, at every depth.
fn shuffled(value: &Value, seed: &mut u64) -> String {
    match value {
        Value::Object(members) => {
            let mut texts: Vec<String> =
                members.iter().map(|(key, value)| format!("{}:{}", json!(key), shuffled(value, seed))).collect();
            for at in (1..texts.len()).rev() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                texts.swap(at, (*seed >> 33) as usize % (at + 1));
            }
            format!("{{{}}}", texts.join(","))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(|value| shuffled(value, seed)).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn the_order_of_members_changes_nothing(mut seed: u64) {
        let (mut plain, mut mixed) = (dialogue("stream-json"), dialogue("stream-json"));
        for line in LINES {
            let other = shuffled(&serde_json::from_str(line).unwrap(), &mut seed);
            prop_assert_eq!(plain.stdout(line.as_bytes()), mixed.stdout(other.as_bytes()));
        }
    }
}
