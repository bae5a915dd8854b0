//! `unsafe` has a few rooms, and each is named here.

use super::Finding;
use super::code::{code_only, line_of, words};
use super::tree::Tree;

/// The files that may hold unsafe code: the room of the dangerous calls; tests that play a host which blocks signals, ignores
/// or handles SIGCHLD, or forks; an allocator that counts; and what stands in for a C library below the guardian.
const ROOMS: [&str; 12] = [
    "bench/examples/call.rs",
    "crates/hatchery/src/process/raw.rs",
    "crates/hatchery/guardian/memory.rs",
    "crates/hatchery/guardian/sys/aarch64.rs",
    "crates/hatchery/guardian/sys/files.rs",
    "crates/hatchery/guardian/sys/processes.rs",
    "crates/hatchery/guardian/sys/sockets.rs",
    "crates/hatchery/guardian/sys/x86_64.rs",
    "crates/hatchery/src/process/tests/foreign_hosts.rs",
    "crates/hatchery/src/process/tests/pairs.rs",
    "crates/hatchery/src/process/tests/starting.rs",
    "crates/hatchery/tests/it/embedder.rs",
];

pub(super) fn rooms(tree: &Tree) -> Vec<Finding> {
    let outside = tree.with_extension(&["rs"]).filter(|file| !ROOMS.contains(&file.path.as_str()));
    outside
        .flat_map(|file| {
            let code = code_only(&file.text);
            let lines: Vec<usize> = words(&code, "unsafe").map(|at| line_of(&code, at)).collect();
            lines.into_iter().map(|line| {
                let what = format!(
                    "unsafe code lives in {} only; use a safe call of rustix or std, or of the guardian's `sys`",
                    ROOMS[0]
                );
                Finding::new(&file.path, line, "unsafe", what)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn unsafe_outside_of_its_rooms() {
        let text = "// unsafe is a word here\n#![deny(unsafe_code)]\nlet x = unsafe { f() };\n";
        let files = [(ROOMS[0], text), ("crates/hatchery/src/pool.rs", text), ("a.md", text)];
        assert_eq!(places(rooms, &files), ["crates/hatchery/src/pool.rs:3"]);
    }
}
