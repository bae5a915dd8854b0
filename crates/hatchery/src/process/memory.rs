//! How much memory a process has in use.

use std::fs;

/// Bytes of physical memory, as `/proc` has it. `None` if there is no such process, or no `/proc`.
pub(crate) fn resident_bytes(pid: i32) -> Option<u64> {
    let pages = resident_pages(&fs::read_to_string(format!("/proc/{pid}/statm")).ok()?)?;
    pages.checked_mul(rustix::param::page_size() as u64)
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
    fn this_process_uses_memory_and_no_process_uses_none() {
        let ours = resident_bytes(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(ours > 100_000, "{ours}");
        assert_eq!(resident_bytes(i32::MAX), None);
    }
}
