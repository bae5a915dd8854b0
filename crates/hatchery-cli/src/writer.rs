//! One thread per output. A write blocks while nobody reads (a pager, a stopped terminal), and whoever waits for a
//! signal must not block: so the command hands its lines to a thread, and waits for room without blocking.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};

use indicatif::ProgressBar;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{mpsc, oneshot};

/// How many texts wait for the thread before the command waits.
const WAITING: usize = 64;

/// An output that never blocks its writer's thread. Clones write to the same output.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Item>,
    failure: Arc<OnceLock<WriteError>>,
}

/// Why nothing more can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The reader is gone.
    Closed,
    /// The operating system said this.
    Failed(String),
}

#[derive(Debug)]
enum Item {
    Text(Vec<u8>),
    Flush(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. Texts are written above `bar` if there is one on the same terminal.
    pub(crate) fn start(output: BorrowedFd<'_>, bar: Option<ProgressBar>) -> io::Result<Writer> {
        let output = File::from(output.try_clone_to_owned()?);
        let (queue, mut items) = mpsc::channel(WAITING);
        let failure = Arc::new(OnceLock::new());
        let told = failure.clone();
        std::thread::Builder::new().name("writer".into()).spawn(move || {
            let mut output = BufWriter::with_capacity(64 * 1024, Output { file: output, bar });
            while let Some(item) = items.blocking_recv() {
                // The reason stands before the item and the queue are dropped: whoever finds them gone finds the reason.
                if let Err(error) = carry_out(&item, items.is_empty(), &mut output) {
                    let _first_one_stays = told.set(error.into());
                    return;
                }
                if let Item::Flush(done) = item {
                    let _gave_up = done.send(());
                }
            }
        })?;
        Ok(Writer { queue, failure })
    }

    /// Hands over a text; it is on its way at once, and nothing is held back. Tells of a failure of this or an earlier one.
    pub(crate) async fn write(&self, text: impl Into<Vec<u8>>) -> Result<(), WriteError> {
        self.queue.send(Item::Text(text.into())).await.map_err(|_| self.failure())
    }

    /// Waits until everything is written.
    pub(crate) async fn flush(&self) -> Result<(), WriteError> {
        let (done, written) = oneshot::channel();
        self.queue.send(Item::Flush(done)).await.map_err(|_| self.failure())?;
        written.await.map_err(|_| self.failure())
    }

    fn failure(&self) -> WriteError {
        self.failure.get().cloned().unwrap_or(WriteError::Closed)
    }
}

/// Texts that wait together go out in one write; the `last` of them never stays behind.
fn carry_out(item: &Item, last: bool, output: &mut impl Write) -> io::Result<()> {
    if let Item::Text(text) = item {
        output.write_all(text)?;
    }
    if last || matches!(item, Item::Flush(_)) { output.flush() } else { Ok(()) }
}

struct Output {
    file: File,
    bar: Option<ProgressBar>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_patiently(&self.file, bytes)),
            None => write_patiently(&self.file, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Some programs leave the descriptor they share with us in non-blocking mode.
fn write_patiently(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::OUT)], None)?;
            }
            other => return other,
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> WriteError {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => WriteError::Closed,
            _ => WriteError::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[tokio::test]
    async fn a_line_arrives_while_the_writer_lives() {
        let (reader, output) = io::pipe().unwrap();
        let writer = Writer::start(output.as_fd(), None).unwrap();
        writer.write("one\n").await.unwrap();
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_told_of() {
        let (reader, output) = io::pipe().unwrap();
        drop(reader);
        let writer = Writer::start(output.as_fd(), None).unwrap();
        writer.write("one\n").await.unwrap();
        assert_eq!(writer.flush().await, Err(WriteError::Closed));
    }

    #[tokio::test]
    async fn a_full_device_is_a_failure_with_its_reason() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let writer = Writer::start(full.as_fd(), None).unwrap();
        writer.write("one\n").await.unwrap();
        let error = writer.flush().await.unwrap_err();
        assert!(matches!(&error, WriteError::Failed(why) if why.contains("No space left")), "{error:?}");
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_holds_the_thread_and_not_the_caller() {
        let (_reader, output) = io::pipe().unwrap();
        let writer = Writer::start(output.as_fd(), None).unwrap();
        writer.write(vec![b'x'; 1 << 20]).await.unwrap();
        let mut flush = std::pin::pin!(writer.flush());
        tokio::select! {
            biased;
            result = &mut flush => panic!("flushed {result:?} into a pipe that nobody reads"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[tokio::test]
    async fn a_non_blocking_output_is_waited_for() {
        let (mut reader, output) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&output, true).unwrap();
        let writer = Writer::start(output.as_fd(), None).unwrap();
        writer.write(vec![b'x'; 1 << 20]).await.unwrap();
        drop((writer, output));
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), 1 << 20);
    }
}
