//! As the first process of a PID namespace, like that of a container.

use std::io::Read as _;

use rustix::process::Signal;

use crate::sandbox::{Running, Sandbox, eventually};

const APP: &str = "
import os
from pathlib import Path
from hatchery import tool

def stat(pid):
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    name, rest = text[text.index('(') + 1:text.rindex(')')], text[text.rindex(')') + 2:].split()
    return (name, rest[0], int(rest[1]))

@tool
def zombies() -> list:
    '''Those of the first process.'''
    found = [stat(pid) for pid in os.listdir('/proc') if pid.isdigit()]
    return [name for name, state, parent in filter(None, found) if parent == 1 and state == 'Z']

@tool
def first() -> str:
    return stat(1)[0]
";

/// A shell leaves an orphan behind and becomes `hatchery serve`, as an entry point may. The orphan ends when its pipe does.
const ENTRY: &str = r#"(sh -c 'touch orphan; exec cat' < fifo > /dev/null 2>&1 &) ; exec "$0" serve --app app.py --listen 127.0.0.1:0 --json"#;

/// A shell becomes `hatchery serve`, and was handed a socket and a watchdog: both mean the first process.
const HANDED: &str = r#"export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$0" serve --app app.py --json"#;

/// Opens a TCP socket as 3 and a manager's as a path, and becomes `unshare`, which becomes the first process's parent.
const MANAGER: &str = "\
import json, os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
json.dump('127.0.0.1:%d' % tcp.getsockname()[1], open('address.json', 'w'))
os.dup2(tcp.fileno(), 10)
os.dup2(10, 3)
os.close(10)
os.environ.update(LISTEN_FDS='1', NOTIFY_SOCKET=os.path.abspath('manager'), WATCHDOG_USEC='200000')
os.execvp(sys.argv[1], sys.argv[1:])
";

struct Container {
    running: Running,
}

impl Container {
    fn start(sandbox: &Sandbox) -> Container {
        Container::of(sandbox, "unshare", &[], ENTRY)
    }

    /// One whose first process is a shell with this line.
    #[expect(clippy::disallowed_methods, reason = "a test is the user of the command, and waits for it")]
    fn of(sandbox: &Sandbox, program: &str, words: &[&str], line: &str) -> Container {
        let hatchery = sandbox.command(&[]);
        let mut command = std::process::Command::new(program);
        command.args(words).args(["-Urpf", "--mount-proc", "--kill-child", "sh", "-c", line]);
        command.arg(hatchery.get_program()).current_dir(sandbox.path(""));
        hatchery.get_envs().for_each(|(name, value)| match value {
            Some(value) => drop(command.env(name, value)),
            None => drop(command.env_remove(name)),
        });
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Container { running: Running::new(command.spawn().unwrap()) }
    }

    /// Once it has said that it listens, it is the only child: before, an interpreter's launcher may have others.
    fn first(&self) -> rustix::process::Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.running.id());
        let pid = eventually("there is a first process", || {
            std::fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()
        });
        rustix::process::Pid::from_raw(pid).unwrap()
    }

    fn signal(&self, number: Signal) {
        let pid = self.first();
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::pidfd_send_signal(&pidfd, number).unwrap();
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(APP);
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("fifo"), rustix::fs::Mode::RWXU).unwrap();
    sandbox
}

#[test]
fn orphans_that_are_given_to_it_are_taken_up_and_one_signal_drains_it() {
    let sandbox = sandbox();
    let mut container = Container::start(&sandbox);
    let orphan = std::fs::OpenOptions::new().write(true).open(sandbox.path("fifo")).unwrap();
    sandbox.wait_for("orphan");
    let line = container.running.line();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = said["listening"].as_str().unwrap().strip_prefix("http://").unwrap();
    let ask = |tool: &str| sandbox.run(&["call", tool, "-q", "--addr", address]).exits(0).stdout;
    assert_eq!(ask("first"), "\"hatchery\"\n");
    drop(orphan);
    eventually("the orphan has ended", || {
        let mut found = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("environ"));
        let mark = format!("HATCHERY_TEST_MARK={}", sandbox.path("").display());
        let mark = mark.trim_end_matches('/').as_bytes().to_vec();
        let is_cat = |path: &std::path::PathBuf| {
            std::fs::read_to_string(path.with_file_name("comm")).is_ok_and(|name| name == "cat\n")
        };
        let carries = |path: &std::path::PathBuf| {
            let mut text = Vec::new();
            let read = std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text));
            read.is_ok() && text.split(|byte| *byte == 0).any(|entry| entry == mark)
        };
        found.find(|path| is_cat(path) && carries(path)).is_none().then_some(())
    });
    eventually("nobody is a zombie", || (ask("zombies") == "[]\n").then_some(()));
    container.signal(Signal::TERM);
    container.running.finish().exits(0).says("draining: ");
}

#[test]
fn a_second_signal_ends_it_at_once_and_its_status_says_so() {
    let app = format!(
        "{APP}\n@tool\ndef stubborn(mark: str) -> None:\n    import time\n    Path(mark).touch()\n    while True:\n        time.sleep(1)\n"
    );
    let sandbox = Sandbox::with(&app);
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("fifo"), rustix::fs::Mode::RWXU).unwrap();
    let mut container = Container::start(&sandbox);
    let _orphan = std::fs::OpenOptions::new().write(true).open(sandbox.path("fifo")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&container.running.line()).unwrap();
    let address = said["listening"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let call = sandbox.start(&["call", "stubborn", &format!("mark={}", sandbox.name("mark")), "--addr", &address]);
    sandbox.wait_for("mark");
    container.signal(Signal::TERM);
    eventually("it drains", || {
        let status = sandbox.run(&["status", "--json", "--addr", &address]);
        (status.json()["phase"] == "draining").then_some(())
    });
    container.signal(Signal::TERM);
    container.running.finish().exits(143);
    call.finish().exits(4);
}

#[test]
fn the_sockets_and_the_watchdog_that_are_meant_for_it_are_its_daemons() {
    let sandbox = Sandbox::with(APP);
    let manager = std::os::unix::net::UnixDatagram::bind(sandbox.path("manager")).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut container = Container::of(&sandbox, "python3", &["-c", MANAGER, "unshare"], HANDED);
    let said: serde_json::Value = serde_json::from_str(&container.running.line()).unwrap();
    let address: String =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path("address.json")).unwrap()).unwrap();
    assert_eq!(said["listening"], format!("http://{address}"));
    let mut text = [0; 256];
    while {
        let length = manager.recv(&mut text).unwrap();
        &text[..length] != b"WATCHDOG=1"
    } {}
    container.signal(Signal::TERM);
    container.running.finish().exits(0);
}
