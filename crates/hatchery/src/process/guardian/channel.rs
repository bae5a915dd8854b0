//! Messages with descriptors over a `SOCK_SEQPACKET` socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::message::{Encode, MAX_FDS, MAX_HEAD};

const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// How long a peer may leave no room for a message before it counts as hung. A guardian that two hundred ask for a worker at once,
/// on a busy machine, takes some time.
const SEND_PATIENCE: Duration = Duration::from_secs(20);

/// The kernel wakes us when most of what lies there was read; room for one message there is long before.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(20);

/// A message and the descriptors that came with it.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

/// Two ends, neither inherited.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message. `tail` is the length of what it has beyond its head. Blocks only for as long as a healthy peer
/// could need to read.
pub(super) fn send(socket: impl AsFd, message: &impl Encode, tail: usize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut buffer = vec![0; MAX_HEAD + tail];
    let bytes = message.encode(&mut buffer).ok_or(io::ErrorKind::InvalidInput)?;
    let mut space = [MaybeUninit::uninit(); ANCILLARY];
    let deadline = Instant::now() + SEND_PATIENCE;
    loop {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {MAX_FDS} descriptors")));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
            Ok(_whole) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match wait(&socket, PollFlags::OUT, LOOK_FOR_ROOM) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut && Instant::now() < deadline => {}
                waited => waited?,
            },
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next message; `None` at the end, which a peer that is gone without reading everything reaches as well.
pub(super) fn receive(socket: impl AsFd) -> io::Result<Option<Received>> {
    let mut buffer = [0; MAX_HEAD];
    let mut space = [MaybeUninit::uninit(); ANCILLARY];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            received => break received?,
        }
    };
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds: Vec<OwnedFd> = rights.flatten().collect();
    Ok((received.bytes > 0).then(|| Received { bytes: buffer[..received.bytes].to_vec(), fds }))
}

/// [`receive`], but no longer than that. `TimedOut` says that there was none.
pub(super) fn receive_within(socket: impl AsFd, patience: Duration) -> io::Result<Option<Received>> {
    wait(&socket, PollFlags::IN, patience)?;
    receive(socket)
}

fn wait(socket: impl AsFd, what: PollFlags, patience: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(patience).ok();
    let mut fds = [PollFd::new(&socket, what)];
    loop {
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
