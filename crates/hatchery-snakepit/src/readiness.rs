//! The file by which a worker says where it listens.

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};

/// A worker renames a file, of which nothing tells but looking.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The file of one worker. Dropped, it is gone.
pub(crate) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Nothing is made yet: the worker does.
    pub(crate) fn new(path: PathBuf) -> ReadyFile {
        ReadyFile(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Resolves when the worker has said its port. One that is empty, or begins with no number, is not written yet.
    pub(crate) async fn port(&self) -> Result<u16> {
        loop {
            match std::fs::read_to_string(&self.0) {
                Ok(text) => {
                    if let Some(number) = leading_number(&text) {
                        return self.port_of(number);
                    }
                }
                Err(error) if error.kind() == NotFound => {}
                Err(error) => return Err(self.wrong(&error.to_string())),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn port_of(&self, number: &str) -> Result<u16> {
        match number.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(self.wrong(&format!("expected a port, found {number}"))),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Protocol, format!("read where it listens, from {}: {what}", self.0.display()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _it_may_never_have_been = std::fs::remove_file(&self.0);
        // One that is killed between writing and renaming leaves this.
        let _nor_this = std::fs::remove_file(self.0.with_added_extension("tmp"));
    }
}

/// The digits that the trimmed text begins with.
fn leading_number(text: &str) -> Option<&str> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_empty_first_and_filled_then_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = ReadyFile::new(dir.path().join("ready"));
        let mut asking = Box::pin(file.port());
        for text in [None, Some(""), Some("\n"), Some("port")] {
            text.into_iter().for_each(|text| std::fs::write(file.path(), text).unwrap());
            assert!(tokio::time::timeout(2 * LOOK_EVERY, &mut asking).await.is_err(), "{text:?}");
        }
        std::fs::write(file.path(), "50051").unwrap();
        assert_eq!(asking.as_mut().await.unwrap(), 50051);
        drop(asking);
        drop(file);
        assert!(!dir.path().join("ready").exists());
    }

    #[tokio::test]
    async fn what_is_no_port_is_said() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["0", "65536", "99999999999999999999"] {
            let file = ReadyFile::new(dir.path().join("ready"));
            std::fs::write(file.path(), text).unwrap();
            let error = file.port().await.unwrap_err();
            assert!(error.message().ends_with(&format!("expected a port, found {text}")), "{error}");
        }
    }
}
