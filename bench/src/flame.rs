//! Flame graphs of hatchery's own rows: where client, workers and what is between them spend their time.

use std::path::Path;
#[cfg(feature = "flame")]
use std::path::PathBuf;

use crate::Result;
use crate::contender::Flavour;
use crate::options::{Options, Part};
use crate::workload::Size;

/// `flame-work WORKLOAD`: what is looked at, in a process of its own.
pub(crate) fn work(arguments: impl Iterator<Item = String>) -> Result<()> {
    for part in Options::parse(arguments)?.parts {
        if let Part::Calls(workload) = part {
            Flavour::Threads.run(crate::ours::measure(workload, Size::FULL))?;
        }
    }
    Ok(())
}

#[cfg(not(feature = "flame"))]
pub(crate) fn draw(_folder: &Path, _options: &Options) -> Result<()> {
    Err("built without the feature `flame`, which `cargo xtask bench flame` turns on".into())
}

/// Draws `w1.svg` and its like.
#[cfg(feature = "flame")]
pub(crate) fn draw(folder: &Path, options: &Options) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    let workloads: Vec<_> = options.parts.iter().filter(|part| matches!(part, Part::Calls(_))).collect();
    if workloads.is_empty() {
        return Err("flame graphs are drawn of w1 to w4".into());
    }
    for part in workloads {
        let stacks = record(folder, part.name())?;
        println!("{}", graph(folder, part.name(), &stacks)?.display());
    }
    Ok(())
}

/// Runs the workload under perf; what was on the processors, as text.
#[cfg(feature = "flame")]
fn record(folder: &Path, name: &str) -> Result<Vec<u8>> {
    use crate::child::command;
    eprintln!("{name} under perf");
    let data = folder.join(format!("{name}.perf"));
    let mut record = command(Path::new("perf"));
    record.args(["record", "--quiet", "-F", "997", "--call-graph", "dwarf,8192", "-o"]).arg(&data).arg("--");
    let recorded = record.arg(std::env::current_exe()?).args(["flame-work", name]).output();
    let recorded = recorded.map_err(|error| {
        format!("start perf: {error}; it is in the package linux-perf of Debian, linux-tools-generic of Ubuntu")
    })?;
    if !recorded.status.success() {
        let said = String::from_utf8_lossy(&recorded.stderr).trim().to_owned();
        let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
        return Err(format!("perf record: {said}; kernel.perf_event_paranoid is {}", level.trim()).into());
    }
    // Lines of sources would be looked up one by one, by a program started for each.
    let script = command(Path::new("perf")).args(["script", "--no-inline", "-i"]).arg(&data).output()?;
    std::fs::remove_file(&data)?;
    Ok(script.stdout)
}

#[cfg(feature = "flame")]
fn graph(folder: &Path, name: &str, stacks: &[u8]) -> Result<PathBuf> {
    use inferno::collapse::Collapse;
    use inferno::flamegraph;
    let mut folded = Vec::new();
    inferno::collapse::perf::Folder::default().collapse(stacks, &mut folded)?;
    let path = folder.join(format!("{name}.svg"));
    let mut options = flamegraph::Options::default();
    options.title = format!("hatchery, {name}");
    flamegraph::from_reader(&mut options, folded.as_slice(), std::fs::File::create(&path)?)?;
    Ok(path)
}

#[cfg(all(test, feature = "flame"))]
mod tests {
    use super::*;

    #[test]
    fn stacks_become_a_graph_with_their_names() {
        let stacks = "bench 1/1 10.0: 1 cycles:\n\t1 read_frame (/bench)\n\t2 serve (/bench)\n\n";
        let folder = tempfile::tempdir().unwrap();
        let path = graph(folder.path(), "w1", stacks.as_bytes()).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("read_frame") && text.contains("serve"));
    }
}
