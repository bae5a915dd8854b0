//! The floors of W5: bare workers, forked from a template that does nothing else, and started one by one.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{Modules, Started, WORKERS};
use crate::Result;
use crate::child::Python;
use crate::family::Memory;
use crate::frame::{Tag, put};
use crate::workload::{check, payload};

const PROGRAM: &str = "floor_worker.py";

pub(super) fn template(python: &Path, modules: Modules) -> Result<Started> {
    let begin = Instant::now();
    let template = Template::start(python, modules)?;
    let boot_ms = begin.elapsed().as_secs_f64() * 1e3;
    let begin = Instant::now();
    let workers = (0..WORKERS).map(|_| template.fork()).collect::<Result<Vec<_>>>()?;
    let ready_ms = answered(workers, begin)?;
    Ok(Started { boot_ms: Some(boot_ms), ..ready_ms })
}

pub(super) fn cold(python: &Path, modules: Modules) -> Result<Started> {
    let begin = Instant::now();
    let workers = (0..WORKERS).map(|_| Worker::start(python, modules)).collect::<Result<Vec<_>>>()?;
    answered(workers, begin)
}

/// The calls are on their way before the workers are.
fn answered(mut workers: Vec<Worker>, begin: Instant) -> Result<Started> {
    for worker in &mut workers {
        worker.call()?;
    }
    for worker in &mut workers {
        worker.answer()?;
    }
    let ready_ms = begin.elapsed().as_secs_f64() * 1e3;
    Ok(Started { boot_ms: None, ready_ms, memory: Memory::below_this()? })
}

struct Template {
    control: UnixStream,
    _process: Python,
}

impl Template {
    fn start(python: &Path, modules: Modules) -> Result<Template> {
        let (mut control, process) = connected(python, &[&["template"], modules.imports()].concat())?;
        control.read_exact(&mut [0])?;
        Ok(Template { control, _process: process })
    }

    /// The worker's end of a socket goes to the template, and from there to the worker.
    fn fork(&self) -> Result<Worker> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let ends = [theirs.as_fd()];
        if !rights.push(SendAncillaryMessage::ScmRights(&ends)) {
            return Err("no room for a descriptor in a message".into());
        }
        sendmsg(&self.control, &[IoSlice::new(b"f")], &mut rights, SendFlags::empty())?;
        Ok(Worker { socket, _process: None })
    }
}

struct Worker {
    socket: UnixStream,
    /// `None` for one that the template owns; it ends with its socket.
    _process: Option<Python>,
}

impl Worker {
    fn start(python: &Path, modules: Modules) -> Result<Worker> {
        let (socket, process) = connected(python, modules.imports())?;
        Ok(Worker { socket, _process: Some(process) })
    }

    fn call(&mut self) -> Result<()> {
        let mut frame = Vec::new();
        put(&mut frame, Tag::Call, 0, &payload(0))?;
        Ok(self.socket.write_all(&frame)?)
    }

    fn answer(&mut self) -> Result<()> {
        let mut header = [0; 16];
        self.socket.read_exact(&mut header)?;
        let [l0, l1, l2, l3, ..] = header;
        let mut body = vec![0; u32::from_le_bytes([l0, l1, l2, l3]) as usize];
        self.socket.read_exact(&mut body)?;
        check(&serde_json::from_slice(&body)?, 0)
    }
}

/// A program whose standard input and output are one socket.
fn connected(python: &Path, arguments: &[&str]) -> Result<(UnixStream, Python)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (stdin, stdout) = (OwnedFd::from(theirs.try_clone()?), OwnedFd::from(theirs));
    Ok((ours, Python::start_with(python, PROGRAM, arguments, stdin.into(), stdout.into())?))
}
