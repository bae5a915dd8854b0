//! What only a terminal is shown.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::sandbox::{Running, Sandbox};

/// A terminal: our side and its.
fn terminal() -> (File, File) {
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let its = File::options().read(true).write(true).open(name).unwrap();
    (ours.into(), its)
}

/// What stdout shows if it is a terminal.
fn shown(sandbox: &Sandbox, words: &[&str], no_color: bool) -> String {
    let (mut ours, its) = terminal();
    let mut command = sandbox.command(words);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let running = Running::new(command.env("TERM", "xterm").stdout(its).spawn().unwrap());
    // The command's copy of the terminal goes with it, ours stays in `command`.
    drop(command);
    let mut text = Vec::new();
    // A terminal whose other side is closed reads as an input/output error.
    let _end = ours.read_to_end(&mut text);
    running.finish().exits(0);
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

#[test]
fn a_result_is_laid_out_and_coloured() {
    let sandbox = Sandbox::with_app();
    let words = ["call", "--app", "app.py", "echo", r#"value={"a":[1,{}]}"#];
    let plain = "{\n  \"a\": [\n    1,\n    {}\n  ]\n}\n";
    assert_eq!(shown(&sandbox, &words, true), plain);
    assert!(shown(&sandbox, &words, false).contains("\x1b[36m\"a\"\x1b[0m: ["));
    assert_eq!(shown(&sandbox, &[&words[..], &["--color", "never"]].concat(), false), plain);
    assert_eq!(shown(&sandbox, &[&words[..], &["--json"]].concat(), false), "{\"a\":[1,{}]}\n");
}

/// A progress line is for eyes: only stderr that is a terminal has one.
#[test]
fn a_map_shows_how_far_it_is() {
    let sandbox = Sandbox::with_app();
    sandbox.write("input", &"{\"value\":1}\n".repeat(50));
    let words = ["map", "--app", "app.py", "echo", "-i", "input"];
    let (mut ours, its) = terminal();
    let mut command = sandbox.command(&words);
    let running = Running::new(command.env("TERM", "xterm").stderr(its).spawn().unwrap());
    drop(command);
    let mut text = Vec::new();
    let _end = ours.read_to_end(&mut text);
    running.finish().exits(0);
    assert!(String::from_utf8_lossy(&text).contains(" lines"), "{text:?}");
    let plain = sandbox.run(&words).exits(0);
    assert_eq!(plain.stderr, "");
}

#[test]
fn colours_can_be_had_without_a_terminal() {
    let sandbox = Sandbox::with_app();
    let words = ["call", "--app", "app.py", "echo", "value=1", "--color", "always"];
    sandbox.run(&words).exits(0).prints("\x1b[33m1\x1b[0m");
}
