//! A daemon of one test, in the background.

use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{Finished, Running, Sandbox};

/// `hatchery serve` of the sandbox's `app.py`, which is ended if the test fails.
pub(crate) struct Daemon {
    pub(crate) running: Running,
    /// `127.0.0.1:40123`.
    pub(crate) address: String,
}

/// Words that serve `app.py` on a free port.
pub(crate) const SERVE: [&str; 5] = ["serve", "--app", "app.py", "--listen", "127.0.0.1:0"];

impl Daemon {
    /// Serves, once this returns.
    pub(crate) fn serve(sandbox: &Sandbox, words: &[&str]) -> Daemon {
        Daemon::start(sandbox, &[&SERVE[..], words].concat())
    }

    /// The same, of whatever these words say.
    pub(crate) fn start(sandbox: &Sandbox, words: &[&str]) -> Daemon {
        let mut running = sandbox.start(&[words, &["--json"]].concat());
        let line = running.line();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line:?}"));
        let address = said["listening"].as_str().unwrap().rsplit("://").next().unwrap().to_owned();
        Daemon { running, address }
    }

    /// Ends as it should.
    pub(crate) fn end(self) -> Finished {
        self.running.signal(Signal::TERM);
        self.running.finish().exits(0)
    }
}
