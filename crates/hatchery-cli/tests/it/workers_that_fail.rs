//! Workers that misbehave while they work: exit status 5, and the tool's own life goes on.

use crate::sandbox::{Finished, Sandbox};

fn call(words: &[&str]) -> Finished {
    let sandbox = Sandbox::with_app();
    sandbox.run(&[&["call", "--app", "app.py"], words].concat())
}

#[test]
fn one_that_exits_is_told_with_its_status_and_last_words() {
    let finished = call(&["leave", "status=7"]).exits(5).prints("").says("worker default-1 died: exit status 7");
    // Said once, as it was said: neither repeated nor followed by news of a pool that ends anyway.
    let finished = finished.says("default-1 | I am leaving\n").hides("last output").hides("another worker");
    assert_eq!(finished.stderr.matches("exit status 7").count(), 1, "{finished:#?}");
    call(&["leave", "status=7", "--quiet"]).exits(5).says("last output of the worker:\n  I am leaving\n");
}

#[test]
fn one_that_is_killed_is_told_with_its_signal() {
    call(&["kill_itself"]).exits(5).prints("").says("SIGKILL");
}

#[test]
fn one_that_exits_at_import_fails_the_start() {
    let sandbox = Sandbox::with("import os\nprint('bye', flush=True)\nos._exit(3)\n");
    let finished = sandbox.run(&["call", "--app", "app.py", "anything"]);
    finished.exits(5).prints("").says("start worker default-1: it died: exit status 3").says("bye");
}

#[test]
fn one_that_writes_garbage_into_the_wire_is_cut_off() {
    call(&["write_garbage"]).exits(5).prints("").says("worker default-1 broke the wire protocol and was cut off");
}

#[test]
fn a_gibibyte_on_stdout_is_drained_and_no_protocol() {
    call(&["flood", "mebibytes=1024", "--quiet"]).exits(0).prints("1024");
}

#[test]
fn bytes_that_are_no_text_are_logged_all_the_same() {
    call(&["print_bytes"]).exits(0).prints("null").says("ABC");
}

#[test]
fn one_whose_house_is_wrecked_still_answers() {
    call(&["wreck_the_house"]).exits(0).prints("\"wrecked\"");
}

#[test]
fn a_child_of_a_worker_goes_with_it() {
    call(&["leave_a_child"]).exits(0).prints("\"forked\"");
}
