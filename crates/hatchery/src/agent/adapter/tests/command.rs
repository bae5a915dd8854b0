//! How command lines are made.

use std::ffi::OsString;
use std::path::Path;

use super::{Adapters, ID, adapter, session, spec};
use crate::agent::{AgentSpec, CommandPlan, Id, Input, SessionRef, Start};
use crate::error::{ErrorKind, Result};

const ALWAYS: &str = "-p --output-format stream-json --verbose";

fn plan(spec: &AgentSpec) -> Result<CommandPlan> {
    adapter(&spec.adapter).command(spec)
}

fn line(spec: &AgentSpec) -> String {
    let plan = plan(spec).unwrap();
    plan.argv.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

fn refused(spec: &AgentSpec) -> String {
    let error = plan(spec).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    error.message().to_owned()
}

fn with(adapter: &str, session: SessionRef) -> AgentSpec {
    let mut spec = spec(adapter);
    spec.session = session;
    spec
}

#[test]
fn a_prompt_is_never_on_the_command_line() {
    let mut spec = spec("stream-json");
    spec.input = Input::Text("do it".into());
    assert_eq!(line(&spec), format!("agent {ALWAYS}"));
}

#[test]
fn a_conversation_has_flags_of_its_own_and_begins_at_its_first_turn() {
    let mut spec = spec("stream-json");
    spec.input = Input::Conversation(Some("do it".into()));
    assert_eq!(line(&spec), format!("agent {ALWAYS} --input-format stream-json --permission-prompt-tool stdio"));
    assert_eq!(plan(&spec).unwrap().start, Start::AtFirstTurn);
    spec.input = Input::Null;
    assert_eq!(plan(&spec).unwrap().start, Start::ByItself);
}

#[test]
fn an_agent_that_never_says_that_it_is_there_is_never_late() {
    let mut spec = spec("plain");
    spec.input = Input::Conversation(None);
    assert_eq!(plan(&spec).unwrap().start, Start::Silently);
}

#[test]
fn a_flag_may_have_a_brace() {
    let table = "family = 'lines'\ncommand.null = ['--as={{x}']\ncommand.resume = ['{{{session}}']";
    let adapters = Adapters::default().with_table("braces", table).unwrap();
    let spec = with("braces", SessionRef::Resume(session("s")));
    assert_eq!(adapters.get("braces").unwrap().command(&spec).unwrap().argv, ["agent", "--as={x}", "{s}"]);
}

#[test]
fn conversations_are_named_resumed_and_forked() {
    let id = || session(ID);
    let cases = [
        (SessionRef::New, String::new(), Id::Unknown),
        (SessionRef::Named(id()), format!(" --session-id {ID}"), Id::Known(id())),
        (SessionRef::Resume(id()), format!(" --resume {ID}"), Id::Known(id())),
        (SessionRef::Fork(id()), format!(" --resume {ID} --fork-session"), Id::Unknown),
    ];
    for (wanted, flags, known) in cases {
        let spec = with("stream-json", wanted);
        assert_eq!((line(&spec), plan(&spec).unwrap().session), (format!("agent {ALWAYS}{flags}"), known));
    }
}

#[test]
fn a_resumed_conversation_is_bound_to_its_directory() {
    let mut spec = with("stream-json", SessionRef::Resume(session(ID)));
    spec.cwd = Some("/w".into());
    assert_eq!(plan(&spec).unwrap().cwd.as_deref(), Some(Path::new("/w")));
    spec.session = SessionRef::New;
    assert_eq!(plan(&spec).unwrap().cwd, None);
}

#[test]
fn flags_stand_before_the_end_of_options() {
    let mut spec = spec("stream-json").args(["--add-dir", "/x", "--", "-fix it"]);
    spec.model = Some("opus".into());
    assert_eq!(line(&spec), format!("agent --add-dir /x {ALWAYS} --model opus -- -fix it"));
}

#[test]
fn a_flag_that_is_given_is_not_given_again() {
    let spec = spec("stream-json").args(["--verbose", "--output-format=stream-json"]);
    assert_eq!(line(&spec), "agent --verbose --output-format=stream-json -p");
}

#[test]
fn a_flag_that_is_given_otherwise_is_refused() {
    let message = "adapter stream-json: argv has `--output-format text`, where `--output-format stream-json` is needed";
    assert_eq!(refused(&spec("stream-json").args(["--output-format", "text"])), message);
    assert_eq!(refused(&spec("stream-json").args(["--output-format=text"])), message);
    assert!(refused(&spec("stream-json").args(["--output-format"])).contains("`--output-format `"));
}

#[test]
fn a_conversation_is_not_taken_up_behind_our_back() {
    for flag in ["--resume", "-c", "--resume=x", "--continue"] {
        let message = refused(&spec("stream-json").args([flag]));
        assert!(message.contains(&format!("argv has {flag}; say in the spec's session")), "{message}");
    }
    assert!(plan(&spec("stream-json").args(["--", "--resume"])).is_ok());
    assert!(plan(&spec("stream-json").args(["--resume-session-at", "x"])).is_ok());
}

#[test]
fn a_name_that_the_agent_would_not_find_is_refused() {
    for wrong in [ID.to_uppercase().as_str(), "latest", "", "--help", &format!("{ID} "), &ID.replace('-', "_")] {
        assert!(plan(&with("stream-json", SessionRef::Resume(session(wrong)))).is_err(), "{wrong}");
    }
    let message = refused(&with("stream-json", SessionRef::Resume(session("LATEST"))));
    assert!(message.ends_with("no conversation is called \"LATEST\": expected a UUID in lower case"), "{message}");
}

#[test]
fn a_model_is_no_option() {
    let mut spec = spec("stream-json");
    spec.model = Some("--dangerously-skip-permissions".into());
    assert!(refused(&spec).contains("begins with a dash"));
}

#[test]
fn an_adapter_without_a_flag_for_it_does_not_care_for_the_model() {
    let mut spec = spec("plain");
    spec.model = Some("opus".into());
    assert_eq!(line(&spec), "agent");
}

#[test]
fn codex_is_asked_to_run_and_to_resume() {
    let id = "01a1fd1f-8466-74c0-9041-75ab733ffc10";
    let mut spec = with("codex-jsonl", SessionRef::Resume(session(id)));
    spec.model = Some("o9".into());
    assert_eq!(line(&spec), format!("agent exec --json --model o9 resume {id}"));
    let spec = spec.args(["exec", "--skip-git-repo-check"]);
    assert_eq!(line(&spec), format!("agent exec --skip-git-repo-check --json --model o9 resume {id}"));
    let message = refused(&with("codex-jsonl", SessionRef::Fork(session(id))));
    assert_eq!(message, "adapter codex-jsonl: it cannot begin a conversation as another one");
}

#[test]
fn arguments_that_are_no_text_pass_through() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(vec![b'/', 0xff]);
    assert_eq!(plan(&spec("plain").args([odd.clone()])).unwrap().argv[1], odd);
}

#[test]
fn a_command_line_without_a_program_is_refused() {
    let mut spec = spec("plain");
    spec.argv.clear();
    assert_eq!(refused(&spec), "adapter plain: argv is empty: it has no program");
}

#[test]
fn markers_of_a_surrounding_agent_are_taken_away() {
    assert!(plan(&spec("stream-json")).unwrap().scrub.contains(&"CLAUDECODE".to_owned()));
    assert_eq!(plan(&spec("plain")).unwrap().scrub, Vec::<String>::new());
}

#[test]
fn a_fresh_name_is_one_that_the_agent_takes() {
    let id = adapter("stream-json").fresh_session(u128::MAX).unwrap();
    assert_eq!(id.as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert!(plan(&with("stream-json", SessionRef::Named(id))).is_ok());
    assert_eq!(adapter("stream-json").fresh_session(0).unwrap().as_str(), "00000000-0000-4000-8000-000000000000");
    assert_eq!((adapter("codex-jsonl").fresh_session(7), adapter("plain").fresh_session(7)), (None, None));
}

#[test]
fn a_transcript_lies_in_the_folder_of_its_project() {
    let path = |cwd: &str, variables: &[(&str, &str)]| {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let path = adapter("stream-json").transcript(&session(ID), Path::new(cwd), &variable);
        path.map(|path| path.to_str().unwrap().to_owned())
    };
    let home = [("HOME", "/h/me")];
    assert_eq!(path("/w/my.proj_1", &home), Some(format!("/h/me/.claude/projects/-w-my-proj-1/{ID}.jsonl")));
    let moved = [("HOME", "/h/me"), ("CLAUDE_CONFIG_DIR", "/c")];
    assert_eq!(path("/w", &moved), Some(format!("/c/projects/-w/{ID}.jsonl")));
    assert_eq!(path("/w", &[]), None);
    assert_eq!(path(&"/long".repeat(50), &home), None, "its folder's name is one that we do not know");
}

#[test]
fn a_transcript_is_looked_for_nowhere_else() {
    let variable = |_: &str| Some(OsString::from("/h/me"));
    assert_eq!(adapter("stream-json").transcript(&session("../../x"), Path::new("/w"), &variable), None);
    assert_eq!(adapter("codex-jsonl").transcript(&session(ID), Path::new("/w"), &variable), None);
}
