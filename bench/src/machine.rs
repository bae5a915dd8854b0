//! The machine and the interpreter that the figures hold for.

use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::child::output;

#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) load: String,
    pub(crate) python: String,
    /// The JSON library of the floor's worker; hatchery's worker takes the same.
    pub(crate) json: String,
}

pub(crate) fn facts(python: &Path) -> Result<Facts> {
    let cpu = first_line("/proc/cpuinfo", |line| {
        Some(line.strip_prefix("model name")?.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    Ok(Facts {
        cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism()?.get(),
        kernel: first_line("/proc/sys/kernel/osrelease", |line| Some(line.to_owned())).unwrap_or_default(),
        load: first_line("/proc/loadavg", |line| line.split(' ').next().map(str::to_owned)).unwrap_or_default(),
        python: output(python, "version.py", &[])?,
        json: output(python, "floor_worker.py", &["--json"])?,
    })
}

fn first_line(path: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    std::fs::read_to_string(path).ok()?.lines().find_map(read)
}
