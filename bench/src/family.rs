//! The processes below one, and the memory that they take, as the kernel tells it.

use serde::Serialize;

use crate::Result;

/// Memory of several processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// Pages that several have count for each...
    pub(crate) rss_mib: f64,
    /// ... or in equal parts.
    pub(crate) pss_mib: f64,
}

impl Memory {
    /// Of all processes below this one.
    pub(crate) fn below_this() -> Result<Memory> {
        let mut memory = Memory::default();
        let mut below = children("self");
        while let Some(pid) = below.pop() {
            below.extend(children(pid));
            memory.add(&read(&format!("/proc/{pid}/smaps_rollup"))?);
        }
        Ok(memory)
    }

    fn add(&mut self, rollup: &str) {
        let kib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default()
        };
        self.rss_mib += kib("Rss") / 1024.0;
        self.pss_mib += kib("Pss") / 1024.0;
    }
}

/// Of all threads of a process. One that is gone has none.
pub(crate) fn children(pid: impl std::fmt::Display) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: impl std::fmt::Display) -> Result<f64> {
    let statm = read(&format!("/proc/{pid}/statm"))?;
    let pages: f64 = statm.split(' ').nth(1).ok_or("statm without its second figure")?.parse()?;
    Ok(pages * rustix::param::page_size() as f64)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| format!("read {path}: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_sums_are_added_up() {
        let mut memory = Memory::default();
        for _ in 0..2 {
            memory.add(
                "5581-7ffe ---p 00000000 00:00 0   [rollup]\nRss:     2048 kB\nPss:      512 kB\nPss_Dirty:  9 kB\n",
            );
        }
        assert_eq!(memory, Memory { rss_mib: 4.0, pss_mib: 1.0 });
    }
}
