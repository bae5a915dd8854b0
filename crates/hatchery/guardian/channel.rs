//! Talk with the host: one socket, whole messages, and descriptors beside them.

use crate::message::{Encode, MAX_HEAD};
use crate::sys::sockets::{self, Descriptors, READABLE, WRITABLE, Watch, is_readable, wait};
use crate::sys::{Errno, Fd, Result};

/// The socket, and those without whom there is nobody to talk for.
pub(crate) struct Channel {
    /// None while there is no host: nothing is heard then, and what is said is for nobody.
    pub(crate) socket: Option<Fd>,
    /// A pidfd each: the host, and for a guardian its keeper.
    pub(crate) masters: [Option<Fd>; 2],
}

/// What came, if anything did.
#[allow(clippy::large_enum_variant, reason = "there is no allocator to put it elsewhere")]
pub(crate) enum Heard<'b> {
    Nothing,
    Message(&'b [u8], Descriptors),
    /// The other side has closed, or is not what it should be.
    End,
}

impl Channel {
    /// Waits as long as the host does not read and lives. To be called after every fact is true.
    pub(crate) fn say(&self, fact: &impl Encode, descriptors: &[&Fd]) -> Result<()> {
        self.socket.as_ref().map_or(Ok(()), |socket| self.say_through(socket, fact, descriptors))
    }

    /// [`Channel::say`], through another socket to the same host.
    pub(crate) fn say_through(&self, socket: &Fd, fact: &impl Encode, descriptors: &[&Fd]) -> Result<()> {
        let mut buffer = [0; MAX_HEAD];
        let bytes = fact.encode(&mut buffer).ok_or(Errno::INVAL)?;
        loop {
            match sockets::send(socket, bytes, descriptors) {
                Err(Errno::AGAIN) => self.wait_for_room(socket)?,
                Err(errno) if errno.is_shortage() => self.wait_a_moment()?,
                sent => return sent,
            }
        }
    }

    fn wait_for_room(&self, socket: &Fd) -> Result<()> {
        let [host, keeper] = self.watch_masters();
        wait(&mut [Watch::new(socket, WRITABLE), host, keeper], None)?;
        if self.is_orphaned() { Err(Errno::PIPE) } else { Ok(()) }
    }

    fn wait_a_moment(&self) -> Result<()> {
        const MOMENT_MS: u64 = 10;
        wait(&mut self.watch_masters(), Some(MOMENT_MS))?;
        if self.is_orphaned() { Err(Errno::PIPE) } else { Ok(()) }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch::of(self.socket.as_ref(), READABLE)
    }

    pub(crate) fn watch_masters(&self) -> [Watch; 2] {
        self.masters.each_ref().map(|master| Watch::of(master.as_ref(), READABLE))
    }

    pub(crate) fn has_host(&self) -> bool {
        self.socket.is_some()
    }

    /// There is none any more.
    pub(crate) fn forget_host(&mut self) {
        (self.socket, self.masters[0]) = (None, None);
    }

    /// A master has died.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.masters.iter().flatten().any(is_readable)
    }

    pub(crate) fn hear<'b>(&self, buffer: &'b mut [u8]) -> Heard<'b> {
        match &self.socket {
            Some(socket) => self.hear_from(socket, buffer),
            None => Heard::Nothing,
        }
    }

    /// [`Channel::hear`], from another socket of the same host.
    pub(crate) fn hear_from<'b>(&self, socket: &Fd, buffer: &'b mut [u8]) -> Heard<'b> {
        match sockets::receive(socket, buffer) {
            Err(Errno::AGAIN) => Heard::Nothing,
            // The message is still there.
            Err(errno) if errno.is_shortage() && self.wait_a_moment().is_ok() => Heard::Nothing,
            Ok((message, descriptors)) if !message.is_empty() => Heard::Message(message, descriptors),
            Ok(_) | Err(_) => Heard::End,
        }
    }
}
