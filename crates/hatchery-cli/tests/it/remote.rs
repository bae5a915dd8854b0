//! Which daemon a command finds, and what becomes of the daemon's work when the command ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::sandbox::{Running, Sandbox, wait_until};

const CALL: [&str; 4] = ["call", "word_count", "text=a", "-q"];

#[test]
fn a_flag_beats_the_variable_and_that_the_data_directory() {
    let (here, there) =
        (Sandbox::with_app(), Sandbox::with("from hatchery import tool\n@tool\ndef there(): return 1\n"));
    let (near, far) = (Daemon::serve(&here, &[]), Daemon::serve(&there, &[]));
    here.run(&CALL).exits(0).prints(r#"{"a":1}"#);
    let in_variable = |words: &[&str], address: &str| {
        let mut command = here.command(words);
        Running::new(command.env("HATCHERY_ADDR", address).spawn().unwrap()).finish()
    };
    in_variable(&["call", "there"], &far.address).exits(0).prints("1");
    in_variable(&CALL, "").exits(0);
    in_variable(&[&CALL[..], &["--addr", &near.address]].concat(), &far.address).exits(0).prints(r#"{"a":1}"#);
    in_variable(&["call", "there", "--addr", &format!("http://{}/", far.address)], "nonsense").exits(0);
    in_variable(&CALL, "nonsense").exits(2).says("HATCHERY_ADDR: expected the address of a daemon");
    in_variable(&[&CALL[..], &["--app", "app.py"]].concat(), "nonsense").exits(0);
    here.run(&["call", "there", "--data-dir", &there.name("state/hatchery/default")]).exits(0).prints("1");
    near.end();
    far.end();
}

#[test]
fn flags_that_belong_elsewhere_are_refused() {
    let sandbox = Sandbox::with_app();
    let refused = |words: &[&str], said: &str| drop(sandbox.run(&[&CALL[..], words].concat()).exits(2).says(said));
    refused(&["--workers", "2"], "--workers is for --app, not for a daemon");
    refused(&["--python", "python3"], "--python is for --app, not for a daemon");
    refused(&["--app", "app.py", "--addr", "127.0.0.1:1"], "--addr is for a daemon, not for --app");
    refused(&["--app", "app.py", "--pool", "p"], "--pool is for a daemon, not for --app");
    refused(&["--addr", "localhost"], "expected the address of a daemon, like 127.0.0.1:7411");
}

#[test]
fn a_pool_that_is_not_there_is_named() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    sandbox.run(&[&CALL[..], &["--pool", "defautl"]].concat()).exits(2).says("did you mean `default`?");
    sandbox.run(&["tools", "--pool", "a/b"]).exits(2).says("no such pool: a/b");
    daemon.end();
}

#[test]
fn nobody_there_is_not_available() {
    let sandbox = Sandbox::new();
    for command in [&CALL[..], &["tools"], &["status"], &["workers"], &["map", "t"], &["stream", "t"]] {
        sandbox.run(command).exits(4).prints("").says("error: no daemon is running; ").says("hatchery serve");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = format!("no daemon is running at {free}: Connection refused");
    sandbox.run(&[&CALL[..], &["--addr", &free]].concat()).exits(4).says(&said);
    let error = sandbox.run(&["status", "--addr", &free, "--json"]).exits(4).json();
    assert_eq!(error["error"]["kind"], "unavailable");
}

/// Answers one request with this, whatever it was, and hangs up.
fn imposter(answer: &'static str) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _first_bytes = client.read(&mut [0; 64]).unwrap();
        client.write_all(answer.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // What is unread when the socket closes would take the answer with it.
        let _until_the_command_hangs_up = std::io::copy(&mut client, &mut std::io::sink());
    });
    (address, thread)
}

#[test]
fn somebody_else_there_is_told_from_a_daemon() {
    let sandbox = Sandbox::new();
    for (words, answer, said) in [
        (&["status"][..], "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404 Not Found, not as a daemon does"),
        (&["status"], "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "what this version does not know"),
        (&["workers"], "SSH-2.0-OpenSSH\r\n", "it went away before it had answered"),
        (&["call", "t", "{}"], "", "it went away before it had answered"),
        (&["call", "t", "{}"], "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "it went away before it had answered"),
        (&["stream", "t", "{}"], "HTTP/1.1 200 OK\r\n\r\nevent: chunk\ndata: 1\n\n", "ended the stream before its end"),
    ] {
        let (address, thread) = imposter(answer);
        sandbox.run(&[words, &["--addr", &address]].concat()).exits(4).says(said);
        thread.join().unwrap();
    }
}

#[test]
fn a_chunk_is_printed_while_the_generator_waits() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let mut running = sandbox.start(&["stream", "gated_countdown", "n=3", &format!("gate={}", sandbox.name("gate"))]);
    assert_eq!(running.line(), "3");
    sandbox.write("gate", "");
    running.finish().exits(0).prints("2\n1");
    daemon.end();
}

#[test]
fn a_signal_cancels_the_call() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let (mark, told) = (format!("mark={}", sandbox.name("mark")), format!("told={}", sandbox.name("told")));
    let running = sandbox.start(&["call", "until_cancelled", &mark, &told]);
    sandbox.wait_for("mark");
    running.signal(Signal::INT);
    running.finish().exits(130).prints("");
    sandbox.wait_for("told");
    sandbox.run(&CALL).exits(0).prints(r#"{"a":1}"#);
    daemon.end();
}

#[test]
fn a_stream_that_nobody_reads_any_more_is_closed() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let mut running = sandbox.start(&["stream", "silent_after_one", &format!("mark={}", sandbox.name("silent")), "-q"]);
    assert_eq!(running.line(), "1");
    sandbox.wait_for("silent");
    running.close_stdout();
    let finished = running.finish().exits(0);
    assert_eq!(finished.stderr, "");
    wait_until("the worker is free", || sandbox.run(&["workers", "--json"]).json()[0]["state"] == "idle");
    daemon.end();
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    for words in [&CALL[..], &["status"], &["workers", "--json"], &["tools"]] {
        let (reader, pipe) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.command(words);
        let finished = Running::new(command.stdout(pipe).spawn().unwrap()).finish().exits(0);
        assert_eq!(finished.stderr, "", "{words:?}");
    }
    daemon.end();
}

#[test]
fn the_last_output_of_a_worker_that_died_is_shown() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    let finished = sandbox.run(&["call", "leave", "status=3"]).exits(5);
    finished.says("worker default-1 died: exit status 3\nlast output of the worker:\n  I am leaving\n");
    daemon.end().says("default-1 | I am leaving\n");
}
