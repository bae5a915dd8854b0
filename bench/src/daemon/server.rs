//! The floor and the daemon, each a process of its own, killed and waited for when it is dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::Protocol;
use crate::Result;
use crate::child::{command, folder};
use crate::workload::WORKERS;

/// More than there are callers and listeners.
const LIMITS: &str = "limits = { connections = 4096, calls_per_client = 4096 }";

pub(super) struct Server {
    process: Child,
    /// Where it says that it listens: one address for each protocol, or one for all.
    listens: Value,
    /// Whoever reads that closes the pipe when this is dropped, not before.
    _output: BufReader<ChildStdout>,
    _folder: Option<TempDir>,
}

impl Server {
    /// This program, as the least server of each protocol.
    pub(super) fn floor() -> Result<Server> {
        let mut run = command(&std::env::current_exe()?);
        run.arg("daemon-floor");
        Server::start(run, None)
    }

    /// `hatchery serve`, which lies beside this program.
    pub(super) fn daemon() -> Result<Server> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("hatchery.toml"), configuration())?;
        let mut run = command(&hatchery()?);
        run.args(["serve", "--listen", "127.0.0.1:0", "--json", "--quiet", "--data-dir", "data"]);
        run.current_dir(folder.path()).env("XDG_RUNTIME_DIR", folder.path());
        Server::start(run, Some(folder))
    }

    fn start(mut run: Command, folder: Option<TempDir>) -> Result<Server> {
        let mut process = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(process.stdout.take().ok_or("a process without its stdout")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let listens = serde_json::from_str(&line);
        let server = Server { process, listens: listens.unwrap_or_default(), _output: output, _folder: folder };
        if server.listens.is_null() { Err("a server ended before it listened".into()) } else { Ok(server) }
    }

    pub(super) fn address(&self, protocol: Protocol) -> Result<SocketAddr> {
        self.address_of(if protocol == Protocol::Grpc { "grpc" } else { "http" })
    }

    /// Of the floor with a call through the library in it.
    pub(super) fn calling(&self, protocol: Protocol) -> Result<SocketAddr> {
        self.address_of(if protocol == Protocol::Grpc { "grpc_calling" } else { "http_calling" })
    }

    fn address_of(&self, name: &str) -> Result<SocketAddr> {
        let named = self.listens.get(name);
        let said = named.unwrap_or(&self.listens["listening"]).as_str().unwrap_or_default();
        let address = said.rsplit('/').next().unwrap_or_default();
        address.parse().map_err(|_| format!("expected an address, found `{said}`").into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a child that has already ended and been waited for. The workers of a daemon go with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration() -> String {
    let app = folder().join("app.py");
    format!(
        "[server]\n{LIMITS}\n[[pools]]\nname = \"bench\"\napp = {:?}\nworkers = {WORKERS}\n",
        app.display().to_string()
    )
}

fn hatchery() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("hatchery");
    let absent = || format!("{} is not there: `cargo xtask bench` builds it", program.display());
    if program.exists() { Ok(program) } else { Err(absent().into()) }
}
