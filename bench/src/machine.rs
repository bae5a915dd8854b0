//! The machine, the interpreter and the peers that the figures hold for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::child::output;

/// What a package is called, by which the peers are known.
const PACKAGES: [&str; 8] = ["numpy", "pandas", "scikit-learn", "loky", "mosec", "grpcio", "ray", "msgspec"];

#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// The governor of the clock, and who the machine is lent by, as far as it can be seen.
    pub(crate) governor: String,
    pub(crate) virtualisation: String,
    /// The load of the last minute when the run began.
    pub(crate) load: String,
    pub(crate) python: String,
    /// The JSON library of the floor's worker; hatchery's worker takes the same.
    pub(crate) json: String,
    /// Versions of the packages that are installed.
    pub(crate) packages: BTreeMap<String, String>,
}

pub(crate) fn facts(python: &Path) -> Result<Facts> {
    let unknown = || "not seen".to_owned();
    let kib =
        first_line("/proc/meminfo", |line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let whole = |line: &str| Some(line.trim().to_owned());
    Ok(Facts {
        cpu: first_line("/proc/cpuinfo", |line| value_of(line, "model name"))
            .unwrap_or(std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism()?.get(),
        memory_gib: kib.map_or(f64::NAN, |kib: f64| kib / f64::from(1 << 20)),
        kernel: first_line("/proc/sys/kernel/osrelease", whole).unwrap_or_default(),
        governor: first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", whole).unwrap_or_else(unknown),
        virtualisation: virtualisation().unwrap_or_else(unknown),
        load: first_line("/proc/loadavg", |line| line.split(' ').next().map(str::to_owned)).unwrap_or_default(),
        python: output(python, "version.py", &[])?,
        json: output(python, "floor_worker.py", &["--json"])?,
        packages: serde_json::from_str(&output(python, "orphans/versions.py", &PACKAGES)?)?,
    })
}

impl Facts {
    /// One subject a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Facts { cpu, cores, memory_gib, kernel, governor, virtualisation, load, python, json, packages } = self;
        let versions = packages.iter().filter(|(name, _)| *name != "python");
        let versions: Vec<_> = versions.map(|(name, version)| format!("{name} {version}")).collect();
        vec![
            format!(
                "{cpu}, {cores} cores, {memory_gib:.0} GiB, Linux {kernel}, virtual machine: {virtualisation}, governor {governor}, load {load}"
            ),
            format!("{python}, JSON library {json}"),
            versions.join(", "),
        ]
    }
}

/// The vendor that the firmware names, else whether the processor knows of a hypervisor.
fn virtualisation() -> Option<String> {
    let vendor = first_line("/sys/class/dmi/id/sys_vendor", |line| Some(line.trim().to_owned()));
    let flags = || first_line("/proc/cpuinfo", |line| value_of(line, "flags"));
    let has_hypervisor = |flags: String| flags.split(' ').any(|flag| flag == "hypervisor");
    vendor.or_else(|| flags().map(|flags| if has_hypervisor(flags) { "yes" } else { "no" }.to_owned()))
}

fn value_of(line: &str, name: &str) -> Option<String> {
    Some(line.strip_prefix(name)?.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn first_line<T>(path: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    std::fs::read_to_string(path).ok()?.lines().find_map(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_kernel_stand_behind_a_colon() {
        assert_eq!(value_of("model name\t: AMD EPYC", "model name").unwrap(), "AMD EPYC");
        assert_eq!(value_of("flags : a b", "model name"), None);
    }
}
