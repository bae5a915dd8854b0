//! Messages with descriptors over a `SOCK_SEQPACKET` socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, read, write};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::message::{Encode, MAX_FDS, MAX_HEAD};

const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// How often a peer may leave no room for a message before it counts as hung: 20 s in all. A guardian that two hundred ask
/// for a worker at once, on a busy machine, takes some time.
const LOOKS_FOR_ROOM: u32 = 1000;

/// The kernel wakes us when most of what lies there was read; room for one message there is long before.
const LOOK_FOR_ROOM: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A message and the descriptors that came with it.
pub(in crate::process) struct Received {
    pub(in crate::process) bytes: Vec<u8>,
    pub(in crate::process) fds: Vec<OwnedFd>,
}

/// Two ends, neither inherited.
pub(in crate::process) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message. `tail` is the length of what it has beyond its head. Blocks only for as long as a healthy peer
/// could need to read.
pub(super) fn send(socket: impl AsFd, message: &impl Encode, tail: usize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut buffer = vec![0; MAX_HEAD + tail];
    send_bytes(socket, message.encode(&mut buffer).ok_or(io::ErrorKind::InvalidInput)?, fds)
}

/// [`send`], of what has its form already.
pub(in crate::process) fn send_bytes(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    for _ in 0..LOOKS_FOR_ROOM {
        match send_now(&socket, bytes, fds) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(&socket, PollFlags::OUT, &LOOK_FOR_ROOM, 1).or_else(|late| match late.kind() {
                    io::ErrorKind::TimedOut => Ok(()),
                    _ => Err(late),
                })?;
            }
            sent => return sent,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Sends one message without a tail, if there is room for it. Never blocks.
pub(super) fn offer(socket: impl AsFd, message: &impl Encode) -> io::Result<()> {
    let mut buffer = [0; MAX_HEAD];
    let bytes = message.encode(&mut buffer).ok_or(io::ErrorKind::InvalidInput)?;
    send_now(socket, bytes, &[])
}

fn send_now(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {MAX_FDS} descriptors")));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
            Ok(_whole) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// From now on [`receive`] says `WouldBlock` after so long.
pub(super) fn limit_patience(socket: impl AsFd, patience: Duration) -> io::Result<()> {
    Ok(set_socket_timeout(socket, Timeout::Recv, Some(patience))?)
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

/// [`receive`], but no longer than so many seconds. `TimedOut` says that there was none.
pub(in crate::process) fn receive_within(socket: impl AsFd, seconds: u32) -> io::Result<Option<Received>> {
    wait(&socket, PollFlags::IN, &Timespec { tv_sec: 1, tv_nsec: 0 }, seconds)?;
    receive(socket)
}

/// As many looks, each of that length, as were waited: if this program was stopped meanwhile, so was the other, and only one
/// of them is over.
fn wait(socket: impl AsFd, what: PollFlags, look: &Timespec, looks: u32) -> io::Result<()> {
    let mut waited = 0;
    while waited < looks {
        match poll(&mut [PollFd::new(&socket, what)], Some(look)) {
            Ok(0) => waited += 1,
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Wakes the thread that listens, from any other.
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    pub(super) fn ring(&self) {
        let _rings_already = write(&self.0, &1u64.to_ne_bytes());
    }

    fn silence(&self) {
        let _rung_again_then = read(&self.0, &mut [0; 8]);
    }
}

/// What there is to attend to.
pub(super) struct Woken {
    pub(super) message: bool,
    pub(super) bell: bool,
}

/// Waits for a message, or for the bell, which is silent then; for ever, without a patience.
pub(super) fn attend(socket: impl AsFd, bell: &Bell, patience: Option<Duration>) -> io::Result<Woken> {
    let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
    let mut fds = [PollFd::new(&socket, PollFlags::IN), PollFd::new(&bell.0, PollFlags::IN)];
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [message, rings] = fds.map(|fd| !fd.revents().is_empty());
    if rings {
        bell.silence();
    }
    Ok(Woken { message, bell: rings })
}
