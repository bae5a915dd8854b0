//! Workers that misbehave while they work: exit status 5, and the tool's own life goes on.

use crate::sandbox::{Finished, Sandbox};

fn call(words: &[&str]) -> Finished {
    let sandbox = Sandbox::with_app();
    sandbox.run(&[&["call", "--app", "app.py"], words].concat())
}

#[test]
fn one_that_exits_is_told_with_its_status_and_last_words() {
    call(&["leave", "status=7"]).exits(5).prints("").says("7").says("I am leaving");
}

#[test]
fn one_that_is_killed_is_told_with_its_signal() {
    call(&["kill_itself"]).exits(5).prints("").says("SIGKILL");
}

#[test]
fn one_that_exits_at_import_fails_the_start() {
    let sandbox = Sandbox::with("import os\nprint('bye', flush=True)\nos._exit(3)\n");
    let finished = sandbox.run(&["call", "--app", "app.py", "anything"]);
    assert!(matches!(finished.status, Some(2 | 5)), "{finished:#?}");
    finished.prints("").says("3").says("bye");
}

#[test]
fn one_that_writes_garbage_into_the_wire_is_cut_off() {
    call(&["write_garbage"]).exits(5).prints("");
}

#[test]
fn a_gibibyte_on_stdout_is_drained_and_no_protocol() {
    call(&["flood", "mebibytes=1024", "--quiet"]).exits(0).prints("1024");
}
