//! A peer that is a server: a program in a process group of its own, ended with all that it has started.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;
use crate::child::{command, folder, wait};

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    group: Pid,
}

impl Server {
    /// Starts a program of this folder and waits until it `answers`, asked again and again.
    pub(super) fn start<T>(
        python: &Path,
        program: &str,
        prepare: impl FnOnce(&mut Command),
        mut answers: impl FnMut() -> Result<T>,
    ) -> Result<(Server, T)> {
        use std::os::unix::process::CommandExt;
        let mut run = command(python);
        run.arg(folder().join(program)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        prepare(run.process_group(0));
        let process = run.spawn().map_err(|error| format!("start {program}: {error}"))?;
        let mut server = Server { group: Pid::from_child(&process), process };
        let patience = Instant::now() + PATIENCE;
        loop {
            match answers() {
                Ok(answer) => return Ok((server, answer)),
                Err(error) => server.is_coming(program, patience, &*error)?,
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_coming(&mut self, program: &str, patience: Instant, last: &dyn std::error::Error) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            return Err(format!("{program} ended with {status} before it served").into());
        }
        if Instant::now() < patience { Ok(()) } else { Err(format!("{program} did not serve in time: {last}").into()) }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "its leader is our child and not yet waited for, so the number is its own"
    )]
    fn signal(&self, signal: Signal) {
        // It fails only for a group that has ended already.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        // What of the group is left, such as the workers of a server that could not end them, goes with its leader.
        let _ended = wait(&self.process, GRACE);
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
