//! What a daemon says of itself, and what the kernel says of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What a process has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    pub(super) descriptors: usize,
    /// Resident, in bytes.
    pub(super) memory: u64,
}

impl Footprint {
    pub(super) fn of(pid: u32) -> Footprint {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = resident.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        Footprint { descriptors, memory: kib << 10 }
    }
}

/// The daemon's numbers.
pub(super) struct Metrics(String);

impl Metrics {
    pub(super) fn of(address: SocketAddr) -> Metrics {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        Metrics(text)
    }

    /// Of all samples of this name that have these labels.
    pub(super) fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let of_name = |line: &&str| {
            let rest = line.strip_prefix("hatchery_").and_then(|line| line.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let samples = self.0.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}
