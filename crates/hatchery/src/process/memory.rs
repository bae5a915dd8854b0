//! How much memory a process has in use.

use std::fs;
use std::path::Path;

/// Bytes of physical memory, as `/proc` has it. `None` if there is no such process, or no `/proc`.
pub(crate) fn resident_bytes(pid: i32) -> Option<u64> {
    let pages = resident_pages(&fs::read_to_string(format!("/proc/{pid}/statm")).ok()?)?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

/// The same of a process and everything that lives in its control group; where it has none, of everything below it.
pub(crate) fn resident_bytes_of_tree(pid: i32, group: Option<&Path>) -> Option<u64> {
    let own = resident_bytes(pid)?;
    let others = group.and_then(members).unwrap_or_else(|| descendants(pid));
    Some(others.into_iter().filter(|other| *other != pid).filter_map(resident_bytes).fold(own, u64::saturating_add))
}

fn members(group: &Path) -> Option<Vec<i32>> {
    let text = fs::read_to_string(group.join("cgroup.procs")).ok()?;
    Some(numbers(&text))
}

/// As far as the kernel tells (`CONFIG_PROC_CHILDREN`).
fn descendants(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut looked = 0;
    while let Some(&parent) = found.get(looked) {
        looked += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let new: Vec<i32> = children.flat_map(|text| numbers(&text)).filter(|child| !found.contains(child)).collect();
        found.extend(new);
    }
    found
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The second field: the first counts what is mapped, used or not.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_field_counts() {
        assert_eq!(resident_pages("2713 1024 801 5 0 412 0\n"), Some(1024));
        assert_eq!(resident_pages(""), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is waited for")]
    fn what_lives_below_counts_too() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let (own, child_s) = (resident_bytes(pid).unwrap(), i32::try_from(child.id()).unwrap());
        let (below, tree) = (descendants(pid), resident_bytes_of_tree(child_s, None).unwrap());
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("cgroup.procs"), format!("{child_s}\n{pid}\n")).unwrap();
        let in_group = resident_bytes_of_tree(child_s, Some(group.path())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(below.contains(&pid) && below.contains(&child_s), "{below:?}");
        assert!(tree > 0 && in_group > own / 2, "{tree} {in_group} {own}");
    }

    #[test]
    fn this_process_uses_memory_and_no_process_uses_none() {
        let ours = resident_bytes(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(ours > 100_000, "{ours}");
        assert_eq!(resident_bytes(i32::MAX), None);
    }
}
