//! What a service manager hears.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::process::Signal;

use super::saying;
use crate::daemon::SERVE;
use crate::sandbox::{Running, Sandbox};

struct Manager(UnixDatagram);

impl Manager {
    fn new(socket: UnixDatagram) -> Manager {
        socket.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        Manager(socket)
    }

    fn next(&self) -> String {
        let mut text = [0; 4096];
        let length = self.0.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    /// What it says next of anything but its being alive.
    fn news(&self) -> String {
        loop {
            match self.next() {
                alive if alive == "WATCHDOG=1" => {}
                news => return news,
            }
        }
    }
}

fn started(sandbox: &Sandbox, words: &[&str], address: &str, watchdog: &str) -> Running {
    let mut command = sandbox.command(words);
    Running::new(command.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", watchdog).spawn().unwrap())
}

#[test]
fn a_manager_hears_of_each_phase_and_of_each_reload() {
    let sandbox = Sandbox::with_app();
    let path = sandbox.name("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    sandbox.write("hatchery.toml", &saying(""));
    let running = started(&sandbox, &["serve"], &path, "");
    assert!(manager.news().starts_with("STATUS=sweeping"));
    assert!(manager.news().starts_with("STATUS=filling"));
    let ready = manager.news();
    assert!(ready.starts_with("READY=1\nSTATUS=serving on 127.0.0.1:"), "{ready}");
    sandbox.run(&["call", "word_count", "text=a", "-q"]).exits(0);

    running.signal(Signal::HUP);
    let reloading = manager.news();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.news(), ready);
    sandbox.write("hatchery.toml", &saying("worker = 1"));
    running.signal(Signal::HUP);
    assert!(manager.news().starts_with("RELOADING=1\n"));
    let refused = manager.news();
    assert!(refused.starts_with("READY=1\n") && refused.contains("the configuration was not taken: "), "{refused}");

    running.signal(Signal::TERM);
    assert!(manager.news().starts_with("STOPPING=1\nSTATUS=draining"));
    assert!(manager.news().starts_with("STOPPING=1\nSTATUS=closed"));
    running.finish().exits(0);
}

#[test]
fn the_watchdog_is_fed_under_an_abstract_name_and_workers_are_not_told_of_either() {
    let app = "import os\nfrom hatchery import tool\n@tool\ndef told():\n    return [n for n in os.environ if n.startswith(('NOTIFY', 'WATCHDOG'))]\n";
    let sandbox = Sandbox::with(app);
    let name = format!("hatchery-cli-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let running = started(&sandbox, &SERVE, &format!("@{name}"), "200000");
    let mut seen = Vec::new();
    while !seen.iter().any(|news: &String| news.starts_with("READY=1")) {
        seen.push(manager.next());
    }
    while seen.iter().rev().take_while(|news| *news == "WATCHDOG=1").count() < 3 {
        seen.push(manager.next());
    }
    sandbox.run(&["call", "told", "-q"]).exits(0).prints("[]");
    running.signal(Signal::TERM);
    running.finish().exits(0);
}

#[test]
fn a_start_that_fails_is_not_ready_and_a_manager_that_cannot_be_reached_is_a_mistake() {
    let sandbox = Sandbox::with("raise RuntimeError('no')\n");
    let path = sandbox.name("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    started(&sandbox, &SERVE, &path, "").finish().exits(2);
    let mut news = Vec::new();
    while !news.iter().any(|it: &String| it.contains("closed")) {
        news.push(manager.news());
    }
    assert!(!news.iter().any(|it| it.contains("READY=1")), "{news:?}");
    let wrong = started(&sandbox, &SERVE, "vsock:2:1", "").finish().exits(2);
    wrong.says("reach the service manager at vsock:2:1: expected a path");
    started(&sandbox, &SERVE, &path, "soon").finish().exits(2).says("WATCHDOG_USEC: expected a number");
}
