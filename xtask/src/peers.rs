//! The environments of the benchmarks: what workers import, and the peers, each if it can be had.

use std::fs;
use std::path::{Path, PathBuf};

use crate::child::{command, on_path, succeed};

/// An environment under the target folder, and what is to be in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Environment {
    folder: &'static str,
    requirements: &'static str,
    /// Whether tini is to be in it, which is no package of Python.
    has_tini: bool,
}

/// Of the workloads.
pub(crate) const WORKLOADS: Environment =
    Environment { folder: "bench-env", requirements: "bench/requirements.txt", has_tini: false };

/// Of `cargo xtask bench orphans`: other supervisors.
pub(crate) const ORPHANS: Environment =
    Environment { folder: "orphans", requirements: "bench/orphans/requirements.txt", has_tini: true };

/// What was tried, written when all of it was.
const STAMP: &str = "complete.txt";

impl Environment {
    /// The environment's interpreter. What cannot be installed is left out, and its rows say so.
    pub(crate) fn ensure(self, root: &Path) -> Result<PathBuf, String> {
        let home = crate::target(root).join(self.folder);
        let python = home.join("bin/python");
        let file = root.join(self.requirements);
        let wanted = fs::read_to_string(&file).map_err(|error| format!("read {}: {error}", file.display()))?;
        let stamp = home.join(STAMP);
        if python.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(python);
        }
        println!("making the environment of the benchmarks, {}", home.display());
        succeed(command("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        for package in packages(&wanted) {
            if let Err(reason) = install(&python, package) {
                eprintln!("xtask: without {package}: {reason}");
            }
        }
        if self.has_tini
            && let Err(reason) = tini(&home)
        {
            eprintln!("xtask: without tini: {reason}");
        }
        fs::write(&stamp, wanted).map_err(|error| format!("write {}: {error}", stamp.display()))?;
        Ok(python)
    }
}

fn packages(requirements: &str) -> impl Iterator<Item = &str> {
    requirements.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty())
}

fn install(python: &Path, package: &str) -> Result<(), String> {
    let mut pip = command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--prefer-binary"]);
    succeed(pip.arg(package))
}

/// tini is a package of Debian: unpacked into the environment, not installed.
fn tini(home: &Path) -> Result<(), String> {
    if on_path("tini").is_some() {
        return Ok(());
    }
    succeed(command("apt-get").args(["-qq", "download", "tini"]).current_dir(home))?;
    let entries = fs::read_dir(home).map_err(|error| format!("list {}: {error}", home.display()))?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let package = entries.flatten().map(|entry| entry.path()).find(is_package).ok_or("apt-get brought no package")?;
    succeed(command("dpkg-deb").arg("-x").arg(&package).arg(home.join("debian")))?;
    let (from, to) = (home.join("debian/usr/bin/tini"), home.join("bin/tini"));
    fs::copy(&from, &to).map_err(|error| format!("copy {}: {error}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_packages() {
        assert_eq!(packages("# why\na==1\n\nb==2\n").collect::<Vec<_>>(), ["a==1", "b==2"]);
    }
}
