//! A new agent needs a table, not a release.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::super::{CommandPlan, Dialogue, LineAdapter};
use super::{Adapters, hear, session, spec};
use crate::agent::{AgentSpec, Answer, Input, SessionRef, Signal};
use crate::error::{ErrorKind, Result};

/// Of an agent that nobody has ever seen.
const HERON: &str = r#"
family = "jsonl"

[command]
always = ["serve", "--wire=json"]
conversation = []
resume = [["--thread={session}"]]

[session]
id = { matches = "T-[0-9]+" }
transcript = ["{HERON_HOME}/{session}"]

[says]
turn = { op = "ask", body = { say = "{text}" } }
allow = { op = "reply", to = "{request}", yes = true, with = "{input}" }
deny = { op = "reply", to = "{request}", yes = false, why = "{message}" }

[[rules]]
when = { "/ev" = "hello", "/v" = [2, 3] }
session_seen = ["/thread/id", "/thread"]
session_resumable = true

[[rules]]
when = { "/ev" = "step" }
turn_started = true
each = "/calls"
items = [
  { when = { "/state" = { not = "over" } }, tool_started = { id = "/n", name = "/fn" } },
  { when = { "/state" = "over" }, tool_ended = "/n", each = "/notes", items = [{ text = "" }] },
]

[[rules]]
when = { "/ev" = "may" }
needs_input = { request = "/n", what = "/fn", input = "/args" }

[[rules]]
when = { "/ev" = "bye" }
turn_ended = { ok = { "/error" = { exists = false } }, failure = "/error/0/text", status = "/error/0/code", cost = "/usd" }
"#;

fn heron() -> Arc<dyn LineAdapter> {
    Adapters::default().with_table("heron", HERON).unwrap().get("heron").unwrap()
}

#[test]
fn it_is_started() {
    let mut spec = spec("heron").args(["--quiet"]);
    spec.input = Input::Conversation(None);
    spec.session = SessionRef::Resume(session("T-12"));
    assert_eq!(heron().command(&spec).unwrap().argv, ["agent", "--quiet", "serve", "--wire=json", "--thread=T-12"]);
    spec.session = SessionRef::Resume(session("T-12x"));
    assert!(heron().command(&spec).is_err());
}

#[test]
fn it_is_understood() {
    let mut agent = heron().begin(&CommandPlan::default());
    let lines = [
        r#"{"ev":"hello","v":1,"thread":"T-0"}"#,
        r#"{"ev":"hello","v":2,"thread":"T-1"}"#,
        r#"{"ev":"hello","v":3,"thread":{"id":"T-2"}}"#,
        r#"{"ev":"step","calls":[{"n":7,"fn":"look"},{"n":8,"fn":"dig"},{"n":7,"state":"over","notes":["found","it",5,null]}]}"#,
        r#"{"ev":"step"}"#,
        r#"{"ev":"bye","error":[{"text":"tired","code":503}]}"#,
        r#"{"ev":"bye","error":null,"usd":2}"#,
    ];
    let expected = [
        "",
        "session T-1; resumable",
        "session T-2; resumable",
        "turn; tool look 7; tool dig 8; tool ended 7; says found; says it; says 5",
        "turn",
        "tool ended 8; failed 503: tired",
        "ok",
    ];
    assert_eq!(hear(&mut *agent, &lines), expected);
}

#[test]
fn it_is_spoken_to() {
    let mut agent = heron().begin(&CommandPlan::default());
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(&agent.turn("hi").unwrap()), json!({ "op": "ask", "body": { "say": "hi" } }));
    assert_eq!(agent.interrupt(), None);
    hear(
        &mut *agent,
        &[r#"{"ev":"may","n":1,"fn":"dig","args":[1,{"deep":true}]}"#, r#"{"ev":"may","n":2,"fn":"dig"}"#],
    );
    let with = |answer: &[u8]| json(answer)["with"].clone();
    assert_eq!(with(&agent.answer("1", &Answer::Allow { input: None }).unwrap().bytes), json!([1, { "deep": true }]));
    assert_eq!(with(&agent.answer("2", &Answer::Allow { input: None }).unwrap().bytes), json!({}));
}

/// The adapter of a table that has these lines besides its family.
fn jsonl(rest: &str) -> Arc<dyn LineAdapter> {
    let table = format!("family = 'jsonl'\n{rest}");
    Adapters::default().with_table("any", &table).unwrap().get("any").unwrap()
}

#[test]
fn a_pointer_may_lead_through_a_list() {
    let mut agent = jsonl("[[rules]]\ntext = '/parts/1/say'").begin(&CommandPlan::default());
    assert_eq!(hear(&mut *agent, &[r#"{"parts":[{"say":"no"},{"say":"yes"}]}"#]), ["says yes"]);
}

#[test]
fn the_first_place_that_has_something_counts() {
    let mut agent = jsonl("[[rules]]\ntext = ['/a', '/b', '/c']").begin(&CommandPlan::default());
    let lines = [r#"{"a":"","b":null,"c":"c"}"#, r#"{"a":[],"b":5,"c":"c"}"#, r#"{"a":"","b":{}}"#];
    assert_eq!(hear(&mut *agent, &lines), ["says c", "says 5", ""]);
}

#[test]
fn a_price_below_zero_and_a_number_that_does_not_fit_are_none() {
    let rules = "[[rules]]\nturn_ended = { ok = {}, cost = '/usd', status = '/code', input_tokens = '/in' }";
    let signals = jsonl(rules).begin(&CommandPlan::default()).stdout(br#"{"usd":-1.5,"code":70000,"in":-3}"#);
    let ended = Signal::TurnEnded { ok: true, reason: None, status: None, not_found: false, usage: None, result: None };
    assert_eq!(signals, [ended]);
}

#[test]
fn a_name_of_any_form_is_still_no_option_and_no_path() {
    let any = jsonl(
        "session.transcript = ['/t/{session}']\ncommand.null = []\ncommand.resume = ['{session}']\n[[rules]]\ntext = '/a'",
    );
    let mut spec = spec("any");
    spec.session = SessionRef::Resume(session("--yolo"));
    assert!(any.command(&spec).unwrap_err().message().contains("begins with a dash"));
    let path = |name| any.transcript(&session(name), Path::new("/w"), &|_| None);
    assert_eq!(["../x", "a/b", "..", "a\0b"].map(path), [None, None, None, None]);
    assert_eq!(path("a").unwrap(), Path::new("/t/a"));
}

#[test]
fn a_relative_of_a_known_agent_says_only_what_is_different() {
    let table = "like = 'stream-json'\ncommand.always = ['--stream']\nsession.id = { matches = 'T-.*' }";
    let kin = Adapters::default().with_table("kin", table).unwrap().get("kin").unwrap();
    let mut spec = spec("kin");
    spec.session = SessionRef::Resume(session("T-1"));
    assert_eq!(kin.command(&spec).unwrap().argv, ["agent", "--stream", "--resume", "T-1"]);
    let mut agent = kin.begin(&CommandPlan::default());
    assert_eq!(hear(&mut *agent, &[r#"{"type":"result","subtype":"success"}"#]), ["ok: success"]);
}

/// What an embedder writes itself.
struct Own;

impl LineAdapter for Own {
    fn name(&self) -> &str {
        "own"
    }

    fn command(&self, spec: &AgentSpec) -> Result<CommandPlan> {
        Ok(CommandPlan { argv: spec.argv.clone(), ..CommandPlan::default() })
    }

    fn begin(&self, _plan: &CommandPlan) -> Box<dyn Dialogue> {
        super::dialogue("plain")
    }

    fn has_terminal_message(&self) -> bool {
        false
    }
}

#[test]
fn an_embedder_brings_an_adapter_of_its_own() {
    let adapters = Adapters::default().with(Arc::new(Own));
    assert_eq!(adapters.names().collect::<Vec<_>>(), ["codex-jsonl", "own", "plain", "stream-json"]);
    assert_eq!(adapters.get("own").unwrap().begin(&CommandPlan::default()).stdout(b"x"), Vec::<Signal>::new());
}

#[test]
fn an_unknown_name_is_told_with_the_one_that_was_meant() {
    let refused = |name| Adapters::default().get(name).map(|_| ()).unwrap_err();
    assert_eq!(refused("stream_json").kind(), ErrorKind::NotFound);
    assert_eq!(refused("stream_json").message(), "no adapter is called \"stream_json\" (did you mean `stream-json`?)");
    assert_eq!(refused("q").message(), "no adapter is called \"q\"; there are codex-jsonl, plain, stream-json");
    assert!(refused("lines").message().contains("is a family of adapters"));
}
