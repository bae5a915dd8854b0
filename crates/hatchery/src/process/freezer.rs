//! For tests: a group of the freezer of cgroup v1, in which a process is out of reach of every signal.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Thawed and removed when dropped.
pub(crate) struct Freezer(PathBuf);

impl Freezer {
    /// `None`, and a word about it, where this machine has none to be had.
    pub(crate) fn make() -> Option<Freezer> {
        let folder = PathBuf::from(format!("/sys/fs/cgroup/freezer/hatchery-test-{:016x}", crate::id::random_u64()));
        match fs::create_dir(&folder).and_then(|()| fs::metadata(folder.join("freezer.state"))) {
            Ok(_) => Some(Freezer(folder)),
            Err(error) => {
                println!("not checked: {}: {error}", folder.display());
                let _not_made = fs::remove_dir(&folder);
                None
            }
        }
    }

    /// Returns when the process is held.
    pub(crate) fn freeze(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
        self.until("it is frozen", || {
            // Asking is what makes the kernel look.
            fs::read_to_string(self.0.join("freezer.state")).unwrap() == "FROZEN\n"
        });
    }

    /// Whoever enters from now on is held.
    pub(crate) fn freeze_empty(&self) -> fs::File {
        fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
        fs::File::options().write(true).open(self.0.join("cgroup.procs")).unwrap()
    }

    pub(crate) fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "not for a minute: {what}: {}", self.0.display());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        if std::thread::panicking() {
            let _whoever_failed_stays = fs::remove_dir(&self.0);
        } else {
            self.until("it is empty", || fs::remove_dir(&self.0).is_ok());
        }
    }
}
