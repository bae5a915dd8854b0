//! What a process writes to descriptors 1 and 2: read for as long as it lives, in bounded memory, however fast it writes.

mod lines;
mod tail;
mod throttle;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;

use rustix::io::Errno;
use rustix::pipe::fcntl_getpipe_size;
use tokio::net::unix::pipe::Receiver;

pub(crate) use lines::LineSplitter;
pub(crate) use tail::Tail;
pub(crate) use throttle::{Admission, Dropped, Throttle};

/// The capacity of a pipe: more than this, one `read` cannot get.
const READ_SIZE: usize = 64 * 1024;

/// Reads lines from a non-blocking pipe until its end, and hands each to `sink` without its line end.
///
/// A grandchild may hold the other end open for ever. So `ended` says that the process itself is gone: then what it has
/// left in the pipe is read, and that is all.
pub(crate) async fn drain(
    pipe: OwnedFd,
    ended: impl Future<Output = ()>,
    mut sink: impl FnMut(&str),
) -> io::Result<()> {
    let pipe = Receiver::from_owned_fd(pipe)?;
    let mut lines = LineSplitter::default();
    let mut ended = pin!(ended);
    let outcome = loop {
        tokio::select! {
            // First, lest a grandchild that never stops writing keep us for ever.
            biased;
            () = &mut ended => break with_buffer(|buffer| {
                read_what_is_left(&pipe, buffer, |bytes| lines.push(bytes, &mut sink))
            }),
            readable = pipe.readable() => readable?,
        }
        let read = with_buffer(|buffer| pipe.try_read(buffer).inspect(|n| lines.push(&buffer[..*n], &mut sink)));
        match read {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => break Err(error),
        }
    };
    lines.finish(&mut sink);
    outcome
}

/// One for all that a thread reads, not one for each pipe: most of them are silent.
fn with_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
    }
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => read(&mut buffer),
        // Whoever hears a line reads another pipe before it returns.
        Err(_) => read(&mut vec![0; READ_SIZE]),
    })
}

/// Reads no more than the pipe can hold: what comes beyond that, the process cannot have written.
fn read_what_is_left(pipe: &Receiver, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut left = fcntl_getpipe_size(pipe)?;
    while left > 0 {
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(n) => {
                take(&buffer[..n]);
                left = left.saturating_sub(n);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[tokio::test]
    async fn a_writer_as_fast_as_the_reader_is_left_after_one_pipeful() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let pipe = Receiver::from_owned_fd(reader).unwrap();
        let size = fcntl_getpipe_size(&pipe).unwrap();
        let piece = vec![b'x'; 4096];
        rustix::io::write(&writer, &piece).unwrap();
        let mut taken = 0;
        let write_again = |bytes: &[u8]| {
            taken += bytes.len();
            assert!(taken <= size, "{taken} of {size} bytes");
            rustix::io::write(&writer, &piece).unwrap();
        };
        read_what_is_left(&pipe, &mut vec![0; READ_SIZE], write_again).unwrap();
        assert_eq!(taken, size);
    }
}
