//! Sockets that a service manager opens, as systemd hands them over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{Running, Sandbox};

/// Opens a TCP socket and a Unix socket, writes down where, and becomes the daemon, which finds them as 3 and 4.
const MANAGER: &str = "\
import json, os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind('handed.sock')
unix.listen()
json.dump('127.0.0.1:%d' % tcp.getsockname()[1], open('address.json', 'w'))
kept = [os.dup(s.fileno()) for s in (tcp, unix)]
for number, fd in ((10, kept[0]), (11, kept[1])):
    os.dup2(fd, number)
for number in (3, 4):
    os.dup2(number + 7, number)
for number in (10, 11):
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[1], sys.argv[1:])
";

#[expect(clippy::disallowed_methods, reason = "a test is the service manager, and waits for what it starts")]
fn started(sandbox: &Sandbox, words: &[&str]) -> Running {
    let hatchery = sandbox.command(words);
    let mut manager = std::process::Command::new("python3");
    manager.args(["-c", MANAGER]).arg(hatchery.get_program()).args(words).current_dir(sandbox.path(""));
    for (name, value) in hatchery.get_envs() {
        match value {
            Some(value) => manager.env(name, value),
            None => manager.env_remove(name),
        };
    }
    manager
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    Running::new(manager.spawn().unwrap())
}

fn is_well(mut stream: impl Read + Write) -> bool {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 200 ")
}

#[test]
fn sockets_that_were_handed_over_go_before_the_configuration() {
    let app =
        "import os\nfrom hatchery import tool\n\n@tool\ndef variable(name: str):\n    return os.environ.get(name)\n";
    let sandbox = Sandbox::with(app);
    sandbox.write("hatchery.toml", "[server]\nlisten = \"127.0.0.1:1\"\nsocket = \"never.sock\"\n");
    let mut running = started(&sandbox, &["serve", "--app", "app.py", "--json", "--quiet"]);
    let said: Value = serde_json::from_str(&running.line()).unwrap();
    let address: String =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("address.json")).unwrap()).unwrap();
    assert_eq!(said["listening"], format!("http://{address}"));
    assert!(is_well(TcpStream::connect(&address).unwrap()));
    assert!(is_well(UnixStream::connect(sandbox.path("handed.sock")).unwrap()));
    assert!(!sandbox.path("never.sock").exists());
    // What tells of them is not handed on: a worker would take what lies at its own 3 and 4 for them.
    sandbox.run(&["call", "variable", "name=LISTEN_FDS", "--addr", &address]).exits(0).prints("null");
    running.signal(Signal::TERM);
    running.finish().exits(0);
    assert!(sandbox.path("handed.sock").exists(), "it belongs to who opened it");
}

#[test]
fn what_does_not_listen_is_refused() {
    let sandbox = Sandbox::with_app();
    let line = "LISTEN_FDS=1 exec \"$0\" serve --app app.py 3</dev/null";
    sandbox.shell(line).exits(2).says("take socket 1 of LISTEN_FDS").says("expected a TCP or Unix socket that listens");
}
