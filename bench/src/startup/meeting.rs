//! Where workers wait for each other in their first call, so that each of them has one: whoever arrives writes a line into
//! one pipe with a name, and waits at another until it is opened. Nobody polls.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use crate::Result;

/// How long workers may take to come.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Meeting {
    folder: tempfile::TempDir,
    arrivals: BufReader<pipe::Receiver>,
}

impl Meeting {
    pub(super) fn call() -> Result<Meeting> {
        let folder = tempfile::tempdir()?;
        for name in ["arrived", "gate"] {
            mkfifoat(CWD, folder.path().join(name), Mode::RUSR | Mode::WUSR)?;
        }
        // For writing too: so it has no end while nobody has come.
        let arrivals = pipe::OpenOptions::new().read_write(true).open_receiver(folder.path().join("arrived"))?;
        Ok(Meeting { folder, arrivals: BufReader::new(arrivals) })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until so many have come, and lets them go. They go as long as the answer is kept.
    pub(super) async fn all(&mut self, count: usize) -> Result<File> {
        let mut come = BTreeSet::new();
        let waiting = async {
            while come.len() < count {
                let mut line = String::new();
                self.arrivals.read_line(&mut line).await?;
                come.insert(line);
            }
            Ok::<_, std::io::Error>(())
        };
        let ended = tokio::time::timeout(PATIENCE, waiting).await;
        ended.map_err(|_| format!("{} of {count} workers came within {} s", come.len(), PATIENCE.as_secs()))??;
        Ok(OpenOptions::new().read(true).write(true).open(self.folder.path().join("gate"))?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn nobody_goes_before_all_have_come() {
        let mut meeting = Meeting::call().unwrap();
        let worker = |name: &'static str, folder: std::path::PathBuf| {
            std::thread::spawn(move || {
                let mut arrived = OpenOptions::new().write(true).open(folder.join("arrived")).unwrap();
                // The same one twice is one.
                arrived.write_all(format!("{name}\n").as_bytes()).unwrap();
                File::open(folder.join("gate")).unwrap();
            })
        };
        let folder = meeting.folder().to_owned();
        let first = worker("1", folder.clone());
        let second = worker("1", folder.clone());
        let third = worker("2", folder);
        let gate = meeting.all(2).await.unwrap();
        for worker in [first, second, third] {
            worker.join().unwrap();
        }
        drop(gate);
    }
}
