//! The least compiled worker: hands shaken, a daemon left, no tool, gone when its host is. See `docs/design/wire.md`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::json;

use super::folder;
use crate::Result;

const READY: u8 = 2;
const SHUTDOWN: u8 = 3;
const HEADER: usize = 32;

/// `orphans-work`, as hatchery starts it.
pub(crate) fn work() -> Result<()> {
    let mut control = control()?;
    receive(&mut control)?;
    leave_daemon()?;
    let report = std::env::var("ORPHANS_REPORT")?;
    std::fs::write(Path::new(&report).join(format!("worker.{}", std::process::id())), "")?;
    let ready = json!({ "version": 1, "runtime": { "language": "rust" }, "capabilities": [], "tools": [] });
    control.write_all(&frame(READY, &serde_json::to_vec(&ready)?))?;
    // The end of control is an error here, and the end of this process, as the wire asks.
    while receive(&mut control)? != SHUTDOWN {}
    Ok(())
}

/// A descriptor of our own by its number, without unsafe code: taken from ourselves as from another process.
fn control() -> Result<File> {
    let wire = std::env::var("HATCHERY_WIRE")?;
    let number = wire.split(',').nth(2).ok_or("HATCHERY_WIRE names no control")?.parse()?;
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, number, PidfdGetfdFlags::empty())?.into())
}

/// Reads one frame; its kind.
fn receive(control: &mut File) -> Result<u8> {
    let mut header = [0; HEADER];
    control.read_exact(&mut header)?;
    let [_, _, kind, _, l0, l1, l2, l3, ..] = header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    std::io::copy(&mut control.take(u64::from(length)), &mut std::io::sink())?;
    Ok(kind)
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame[..3].copy_from_slice(&[b'h', b'y', kind]);
    frame[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

#[expect(clippy::disallowed_methods, reason = "a worker that leaves a daemon is what is measured")]
fn leave_daemon() -> Result<()> {
    let status = Command::new("sh").arg(folder().join("daemon.sh")).status()?;
    if status.success() { Ok(()) } else { Err(format!("daemon.sh ended with {status}").into()) }
}
