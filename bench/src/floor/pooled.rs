//! The floor of W3: one memory file, faulted in beforehand and mapped by both sides for good, and a pipe pair that says
//! whose turn it is.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use vmap::MapMut;

use crate::Result;
use crate::arrays::{self, Exchange, ones, sum};
use crate::child::Python;
use crate::sample::Sample;
use crate::workload::Size;

const PROGRAM: &str = "floor_arrays.py";

pub(crate) fn measure(python: &Path, size: Size) -> Result<Sample> {
    arrays::measure(&mut Pooled::start(python)?, size)
}

struct Pooled {
    /// What the client sends, where its user has it.
    array: Vec<u8>,
    memory: MapMut,
    worker: Worker,
}

impl Exchange for Pooled {
    fn to(&mut self) -> Result<f64> {
        self.memory.copy_from_slice(&self.array);
        self.worker.turn(b't')
    }

    fn from(&mut self) -> Result<f64> {
        self.worker.turn(b'f')?;
        Ok(sum(&self.memory))
    }
}

impl Pooled {
    fn start(python: &Path) -> Result<Pooled> {
        let array = ones();
        let file = File::from(memfd_create("bench", MemfdFlags::CLOEXEC)?);
        file.set_len(array.len() as u64)?;
        let mut memory: MapMut = MapMut::with_options().write().len(array.len()).map(&file)?;
        memory.fill(0);
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let mut worker = Worker::start(python, &path)?;
        // Our descriptor stays open until the worker has one of its own, which its first answer says.
        worker.turn(b't')?;
        Ok(Pooled { array, memory, worker })
    }
}

struct Worker {
    output: ChildStdin,
    input: ChildStdout,
    _process: Python,
}

impl Worker {
    fn start(python: &Path, path: &str) -> Result<Worker> {
        let mut process = Python::start_with(python, PROGRAM, &[path], Stdio::piped(), Stdio::piped())?;
        let missing = "a child without its pipes";
        let output = process.inner().stdin.take().ok_or(missing)?;
        let input = process.inner().stdout.take().ok_or(missing)?;
        Ok(Worker { output, input, _process: process })
    }

    /// Gives the worker its turn and waits for the end of it, and what it found.
    fn turn(&mut self, order: u8) -> Result<f64> {
        self.output.write_all(&[order])?;
        let mut answer = [0; 8];
        self.input.read_exact(&mut answer)?;
        Ok(f64::from_le_bytes(answer))
    }
}
