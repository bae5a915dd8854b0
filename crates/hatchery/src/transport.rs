//! Frames over the three descriptors of a worker. `Outbox` writes from any thread without a task in between; `Inbox`
//! reads many frames at once. Neither knows what a frame means.

mod inbox;
mod outbox;

pub(crate) use inbox::{Inbox, Received};
pub(crate) use outbox::Outbox;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::error::{Error, ErrorKind, Result};
use crate::wire::{Channel, Decoder, Terms};

/// The host's ends.
pub(crate) struct HostEnds {
    pub(crate) data_out: Outbox<pipe::Sender>,
    pub(crate) data_in: Inbox<pipe::Receiver>,
    pub(crate) control_out: Outbox<UnixStream>,
    pub(crate) control_in: Inbox<Arc<UnixStream>>,
}

/// Makes the channels of one worker: the host's ends, and the three that the worker inherits, in the order of
/// `HATCHERY_WIRE`. Everything is close-on-exec from its first moment, so that no other worker inherits it.
pub(crate) fn channels(offered: Terms) -> Result<(HostEnds, Vec<OwnedFd>)> {
    let (calls_read, calls_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"))?;
    let (replies_read, replies_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"))?;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(failed("make a socket pair"))?;

    let data_out = pipe::Sender::from_owned_fd(calls_write).map_err(failed("watch a pipe"))?;
    let data_in = pipe::Receiver::from_owned_fd(replies_read).map_err(failed("watch a pipe"))?;
    let control = std::os::unix::net::UnixStream::from(ours);
    control.set_nonblocking(true).map_err(failed("watch a socket"))?;
    let control = Arc::new(UnixStream::from_std(control).map_err(failed("watch a socket"))?);

    let host = HostEnds {
        data_out: Outbox::new(Arc::new(data_out)),
        data_in: Inbox::new(data_in, Decoder::new(Channel::Data, offered)),
        control_out: Outbox::new(Arc::clone(&control)),
        control_in: Inbox::new(control, Decoder::new(Channel::Control, offered)),
    };
    Ok((host, vec![calls_read, replies_write, theirs]))
}

fn failed<E: std::fmt::Display>(attempted: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::new(ErrorKind::Internal, format!("{attempted} for a worker: {error}"))
}
