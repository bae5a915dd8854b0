//! Tells when the reader of stdout has gone away, although nothing is being written: `my-script | head -1` ends at once, however
//! long its workers are silent.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use tokio::sync::oneshot;

/// Resolves when nobody can read this program's stdout any more; never, if stdout is no pipe or socket. A reason to stop for
/// [`Builder::run`](crate::Builder::run). Nothing of the program changes for it; the thread that watches is left behind if the
/// future is dropped, and ends with the process.
pub async fn stdout_closed() {
    let stdout = rustix::stdio::stdout();
    let (gone, told) = oneshot::channel();
    let watch = std::thread::Builder::new().name("stdout-watch".into());
    let watched = has_reader(stdout) && watch.spawn(move || wait_for_error(stdout).then(|| gone.send(()))).is_ok();
    if !watched || told.await.is_err() {
        std::future::pending().await
    }
}

fn has_reader(output: BorrowedFd<'_>) -> bool {
    fstat(output).is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

/// Blocks until the other end is closed. Errors and hang-ups are reported without being asked for.
fn wait_for_error(output: BorrowedFd<'_>) -> bool {
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(output, PollFlags::empty())], None) {
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_pipe_has_a_reader_and_a_file_has_none() {
        let (_reader, pipe) = std::io::pipe().unwrap();
        assert!(has_reader(pipe.as_fd()));
        assert!(!has_reader(std::fs::File::open("/dev/null").unwrap().as_fd()));
    }

    #[test]
    fn the_end_of_the_reader_is_seen() {
        let (reader, pipe) = std::io::pipe().unwrap();
        drop(reader);
        assert!(wait_for_error(pipe.as_fd()));
    }
}
