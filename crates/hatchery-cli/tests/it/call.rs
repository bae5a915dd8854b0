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
    sandbox.run(&call(&["word_cuont", "text=a"])).exits(2).says("word_cuont").says("did you mean `word_count`?");
}

#[test]
fn an_unknown_tool_is_answered_with_those_there_are() {
    let app = "from hatchery import tool\n@tool\ndef one(): ...\n@tool\ndef two(): ...\n";
    let few = Sandbox::with(app).run(&call(&["unlike"])).exits(2);
    few.says("error: no such tool: unlike\nhint: app.py has one, two\n");
    let many = Sandbox::with_app().run(&call(&["qqq"])).exits(2);
    many.says("error: no such tool: qqq\nhint: `hatchery tools --app app.py` lists the ");
}

#[test]
fn what_usually_ends_a_program_only_ends_the_call() {
    let sandbox = Sandbox::with_app();
    for how in ["KeyboardInterrupt", "SystemExit"] {
        let finished = sandbox.run(&call(&["give_up", &format!("how={how}")])).exits(1).prints("");
        finished.says(&format!("error: the tool raised {how}\nTraceback"));
    }
}

#[test]
fn odd_values_become_json() {
    let sandbox = Sandbox::with_app();
    let expected = "[\"a\\u0000b\",\"a\u{fffd}b\",\"é 漢字 \u{1f600}\",null,null,1000000000000000000000000000000]";
    sandbox.run(&call(&["odd_values"])).exits(0).prints(expected);
}

#[test]
fn bytes_are_base64_in_an_object_both_ways() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["reverse", r#"data={"$bytes":"AP8="}"#])).exits(0).prints(r#"{"$bytes":"/wA="}"#);
    sandbox.run(&call(&["reverse", "data=text"])).exits(2).says("`data` must be bytes");
}

#[test]
fn what_is_too_long_for_the_wire_is_a_limit() {
    let sandbox = Sandbox::with_app();
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(65 << 20));
    sandbox.run_with_input(&call(&["word_count", "-"]), &text).exits(4).prints("").says("64 MiB");
    sandbox.run(&call(&["long_text", "mebibytes=65"])).exits(4).prints("").says("67108864");
}

#[test]
fn arguments_that_do_not_fit_are_named_before_user_code_runs() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&call(&["word_count"])).exits(2).says("word_count").says("text");
    sandbox.run(&call(&["word_count", "text=a", "txet=b"])).exits(2).says("txet");
    sandbox.run(&call(&["word_count", "txet=b"])).exits(2).says("unknown argument `txet` (did you mean `text`?)");
    sandbox.run(&call(&["word_count", r#"{"text": 3}"#])).exits(2).says("text").says("str");
}

#[test]
fn bad_json_is_pointed_at() {
    let sandbox = Sandbox::with_app();
    let finished = sandbox.run(&call(&["word_count", r#"{"text": "a" "b"}"#])).exits(2);
    finished.says("line 1, column 14").says("{\"text\": \"a\" \"b\"}\n               ^");
    sandbox.run_with_input(&call(&["word_count", "-"]), "{\n]").exits(2).says("line 2, column 1");
    sandbox.run_with_input(&call(&["word_count", "-"]), "").exits(2).says("arguments on stdin: found nothing");
}

#[test]
fn without_an_app_there_is_nobody_to_call() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["call", "word_count"])
        .exits(4)
        .says("give the app with --app app.py, or start one with `hatchery serve`");
}

#[test]
fn a_deadline_has_a_status_of_its_own() {
    let sandbox = Sandbox::with_app();
    let mark = format!("mark={}", sandbox.name("running"));
    let words = call(&["wait_after", &mark, "--timeout", "200ms"]);
    sandbox.run(&words).exits(3).says("deadline of 200ms passed while the worker ran it\nhint: `--timeout 10m`");
    let error = sandbox.run(&[&words[..], &["--json"]].concat()).exits(3).json();
    assert_eq!(error["error"]["kind"], "deadline");
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
fn prints_at_import_are_logs_too() {
    let sandbox = Sandbox::with("from hatchery import tool\nprint('imported')\n@tool\ndef one(): return 1\n");
    sandbox.run(&call(&["one"])).exits(0).prints("1").says("default-1 | imported\n");
}

#[test]
fn a_command_without_standard_descriptors_works() {
    let sandbox = Sandbox::with_app();
    sandbox.shell(r#""$0" call --app app.py word_count text=a <&-"#).exits(0).prints(r#"{"a":1}"#);
    sandbox.shell(r#""$0" call --app app.py word_count text=a 2>&-"#).exits(0).prints(r#"{"a":1}"#);
    sandbox.shell(r#""$0" call --app app.py word_count text=a >&-"#).exits(0).prints("");
    sandbox.shell(r#""$0" call --app app.py word_count text=a <&- >&- 2>&-"#).exits(0).prints("");
    sandbox.shell(r#""$0" call --app app.py word_count - <&-"#).exits(2).says("found nothing");
}

#[test]
fn commands_may_begin_at_once_where_nothing_is_unpacked_yet() {
    let sandbox = Sandbox::with_app();
    let running: Vec<_> = (0..4).map(|_| sandbox.start(&call(&["word_count", "text=a"]))).collect();
    for command in running {
        command.finish().exits(0).prints(r#"{"a":1}"#);
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let sandbox = Sandbox::with_app();
    sandbox.write("no-folder", "");
    let mut command = sandbox.command(&call(&["word_count", "text=a"]));
    command.env("XDG_CACHE_HOME", sandbox.path("no-folder")).env("TMPDIR", sandbox.path(""));
    Running::new(command.spawn().unwrap()).finish().exits(0).prints(r#"{"a":1}"#);
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

#[test]
fn an_instance_has_a_data_directory_of_its_own_which_a_variable_may_name() {
    let sandbox = Sandbox::with_app();
    let call = r#"exec "$0" call word_count text=a --app app.py -q"#;
    sandbox.write("hatchery.toml", "[instance]\nname = \"shop\"\n");
    sandbox.shell(&format!("HATCHERY__INSTANCE__TOKEN=job-7 {call}")).exits(0);
    sandbox.shell(&format!("HATCHERY__INSTANCE__NAME=other {call}")).exits(0);
    let mut instances: Vec<_> =
        std::fs::read_dir(sandbox.path("state/hatchery")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    instances.sort();
    assert_eq!(instances, ["other", "shop__job-7"]);
    sandbox
        .shell(&format!("HATCHERY__INSTANCE__NAM=other {call}"))
        .exits(2)
        .says("HATCHERY__INSTANCE__NAM: unknown key");
}
