use crate::sandbox::Sandbox;

const STREAM: [&str; 3] = ["stream", "--app", "app.py"];

fn stream<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&STREAM, words].concat()
}

#[test]
fn chunks_are_lines() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&stream(&["countdown", "n=3"])).exits(0).prints("3\n2\n1");
}

#[test]
fn a_chunk_is_printed_while_the_generator_waits() {
    let sandbox = Sandbox::with_app();
    let mut running = sandbox.start(&stream(&["gated_countdown", "n=3", &format!("gate={}", sandbox.name("gate"))]));
    assert_eq!(running.line(), "3");
    sandbox.write("gate", "");
    running.finish().exits(0).prints("2\n1");
}

#[test]
fn the_command_ends_with_its_reader_although_the_generator_is_silent() {
    let sandbox = Sandbox::with_app();
    let mut running = sandbox.start(&stream(&["silent_after_one", &format!("mark={}", sandbox.name("silent")), "-q"]));
    assert_eq!(running.line(), "1");
    sandbox.wait_for("silent");
    running.close_stdout();
    let finished = running.finish().exits(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn an_exception_comes_after_the_chunks() {
    let sandbox = Sandbox::with_app();
    sandbox
        .run(&stream(&["countdown_that_fails", "n=2"]))
        .exits(1)
        .prints("2\n1")
        .says("no further")
        .says("ValueError");
    let lines = sandbox.run(&stream(&["countdown_that_fails", "n=1", "--json"])).exits(1).stdout;
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((lines.lines().count(), &last["error"]["kind"]), (2, &"remote".into()));
}

#[test]
fn a_unary_tool_does_not_stream_and_a_streaming_one_does_not_call() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&stream(&["word_count", "text=a"])).exits(2).says("word_count");
    sandbox.run(&["call", "--app", "app.py", "countdown", "n=1"]).exits(2).says("countdown");
}
