//! Datagrams with descriptors, and waiting for several things at once.

use super::arch::{self, syscall};
use super::processes::SIGCHLD;
use super::{Errno, Fd, Result, check, fd, signed, uninterrupted};
use crate::message::MAX_FDS;

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// Length, level and kind; the descriptors follow.
const CONTROL_HEAD: usize = 16;

const MSG_CTRUNC: i32 = 8;
const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

#[repr(C)]
struct Message {
    name: usize,
    name_length: u32,
    parts: usize,
    part_count: usize,
    control: usize,
    control_length: usize,
    flags: i32,
}

#[repr(C)]
struct Part {
    base: usize,
    length: usize,
}

#[repr(C, align(8))]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    fds: [i32; MAX_FDS],
}

impl Message {
    fn new(part: &Part, control: &Control, control_length: usize) -> Message {
        let (parts, control) = ((&raw const *part).expose_provenance(), (&raw const *control).expose_provenance());
        Message { name: 0, name_length: 0, parts, part_count: 1, control, control_length, flags: 0 }
    }
}

/// One datagram. `AGAIN` if the other side does not read.
pub(crate) fn send(socket: &Fd, bytes: &[u8], descriptors: &[&Fd]) -> Result<()> {
    let part = Part { base: bytes.as_ptr().expose_provenance(), length: bytes.len() };
    let length = CONTROL_HEAD + descriptors.len().min(MAX_FDS) * size_of::<i32>();
    let mut control = Control { length, level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [0; MAX_FDS] };
    control.fds.iter_mut().zip(descriptors).for_each(|(place, descriptor)| *place = descriptor.number());
    let control_length = if descriptors.is_empty() { 0 } else { length.next_multiple_of(8) };
    let message = Message::new(&part, &control, control_length);
    let arguments = [fd(socket), (&raw const message).expose_provenance(), MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0];
    // SAFETY: the structures are the kernel's, and point to what is borrowed here; the kernel only reads.
    uninterrupted(|| check(unsafe { syscall(arch::SENDMSG, arguments) })).map(drop)
}

/// The descriptors that came with a datagram.
pub(crate) struct Descriptors {
    fds: [Option<Fd>; MAX_FDS],
    count: usize,
    /// Some did not arrive: there were too many, or no room in our own table.
    pub(crate) cut: bool,
}

impl Descriptors {
    /// All of them, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fd> {
        self.fds[..self.count].iter().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Taken out of the rest.
    pub(crate) fn take(&mut self, index: usize) -> Option<Fd> {
        self.fds.get_mut(index)?.take()
    }
}

/// One datagram, if there is one. An empty one: the other side has closed.
pub(crate) fn receive<'b>(socket: &Fd, buffer: &'b mut [u8]) -> Result<(&'b [u8], Descriptors)> {
    let part = Part { base: buffer.as_mut_ptr().expose_provenance(), length: buffer.len() };
    let control = Control { length: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let mut message = Message::new(&part, &control, size_of::<Control>());
    let arguments = [fd(socket), (&raw mut message).expose_provenance(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, 0, 0];
    // SAFETY: the structures are the kernel's, and it writes no more than the lengths in them.
    let length = uninterrupted(|| check(unsafe { syscall(arch::RECVMSG, arguments) }))?;
    // SAFETY: the kernel wrote into it behind the compiler's back, through an exposed pointer.
    let control = unsafe { core::ptr::read_volatile(&raw const control) };
    let descriptors = descriptors(&control, &message);
    if message.flags & MSG_TRUNC != 0 {
        return Err(Errno::INVAL);
    }
    Ok((&buffer[..length], descriptors))
}

fn descriptors(control: &Control, message: &Message) -> Descriptors {
    let has_any = message.control_length > CONTROL_HEAD && control.kind == SCM_RIGHTS && control.level == SOL_SOCKET;
    let count = if has_any { (control.length.saturating_sub(CONTROL_HEAD) / 4).min(MAX_FDS) } else { 0 };
    let mut fds = [const { None }; MAX_FDS];
    for (place, &number) in fds.iter_mut().zip(&control.fds[..count]) {
        *place = Some(Fd::own(number));
    }
    Descriptors { fds, count, cut: message.flags & MSG_CTRUNC != 0 }
}

/// Who has come to a listening socket. `AGAIN` if nobody has.
pub(crate) fn accept(door: &Fd) -> Result<Fd> {
    const SOCK_CLOEXEC: usize = 0o2_000_000;
    // SAFETY: the null pointers say that nobody asks for an address.
    let number = uninterrupted(|| check(unsafe { syscall(arch::ACCEPT4, [fd(door), 0, 0, SOCK_CLOEXEC, 0, 0]) }))?;
    Ok(Fd::own(number as i32))
}

/// The process that has connected a socket, in the kernel's words.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Peer {
    /// 0: it lives where we see no numbers.
    pub(crate) pid: i32,
    pub(crate) user: u32,
    group: u32,
}

pub(crate) fn peer(socket: &Fd) -> Result<Peer> {
    const SO_PEERCRED: usize = 17;
    let mut peer = Peer::default();
    // SAFETY: plain numbers, whatever the kernel writes into them.
    unsafe { option(socket, SO_PEERCRED, &mut peer) }?;
    Ok(peer)
}

/// A pidfd of it, which can be nobody else's (Linux 6.5).
pub(crate) fn peer_pidfd(socket: &Fd) -> Result<Fd> {
    const SO_PEERPIDFD: usize = 77;
    let mut number = -1_i32;
    // SAFETY: a plain number, whatever the kernel writes into it.
    unsafe { option(socket, SO_PEERPIDFD, &mut number) }?;
    Ok(Fd::own(number))
}

/// # Safety
///
/// Any bytes must be a `T`.
unsafe fn option<T: Copy>(socket: &Fd, name: usize, value: &mut T) -> Result<()> {
    let mut length = size_of::<T>() as u32;
    let (address, size) = ((&raw mut *value).expose_provenance(), (&raw mut length).expose_provenance());
    let arguments = [fd(socket), SOL_SOCKET as usize, name, address, size, 0];
    // SAFETY: the kernel writes no more than the length, and then the length that it wrote.
    check(unsafe { syscall(arch::GETSOCKOPT, arguments) })?;
    // SAFETY: the kernel wrote both behind the compiler's back, through exposed pointers; the caller's promise.
    let (written, length) =
        unsafe { (core::ptr::read_volatile(&raw const *value), core::ptr::read_volatile(&raw const length)) };
    *value = written;
    if length as usize == size_of::<T>() { Ok(()) } else { Err(Errno::INVAL) }
}

pub(crate) const READABLE: i16 = 1;
pub(crate) const WRITABLE: i16 = 4;

/// What to wait for, and what came.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    fd: i32,
    events: i16,
    came: i16,
}

impl Watch {
    pub(crate) const NOTHING: Watch = Watch { fd: -1, events: 0, came: 0 };

    pub(crate) fn new(fd: &Fd, events: i16) -> Watch {
        Watch { fd: fd.number(), events, came: 0 }
    }

    pub(crate) fn of(fd: Option<&Fd>, events: i16) -> Watch {
        fd.map_or(Watch::NOTHING, |fd| Watch::new(fd, events))
    }

    /// Something came: what was asked for, an error, or the other side's end.
    pub(crate) fn came(&self) -> bool {
        self.came != 0
    }
}

/// Waits until one of them has something, or for so long. Forever, if no time is given.
pub(crate) fn wait(watches: &mut [Watch], milliseconds: Option<u64>) -> Result<()> {
    let time = milliseconds.map(|all| [all / 1000, all % 1000 * 1_000_000]);
    let time = time.as_ref().map_or(0, |time| time.as_ptr().expose_provenance());
    let arguments = [watches.as_mut_ptr().expose_provenance(), watches.len(), time, 0, 0, 0];
    // SAFETY: the kernel writes into as many structures as there are, and reads two words or a null pointer.
    match check(unsafe { syscall(arch::PPOLL, arguments) }) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// For a pidfd: the process has ended.
pub(crate) fn is_readable(fd: &Fd) -> bool {
    let mut watch = [Watch::new(fd, READABLE)];
    wait(&mut watch, Some(0)).is_ok() && watch[0].came()
}

/// Readable when a child has ended. Never blocks a reader.
pub(crate) fn child_events() -> Result<Fd> {
    const SFD_CLOEXEC_NONBLOCK: usize = 0o2_000_000 | 0o4_000;
    let signals = 1_u64 << (SIGCHLD - 1);
    let arguments = [signed(-1), (&raw const signals).expose_provenance(), 8, SFD_CLOEXEC_NONBLOCK, 0, 0];
    // SAFETY: the kernel reads one word.
    check(unsafe { syscall(arch::SIGNALFD4, arguments) }).map(|number| Fd::own(number as i32))
}

/// Milliseconds since some moment in the past.
pub(crate) fn now() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0_u64; 2];
    // SAFETY: the kernel writes two words.
    unsafe { syscall(arch::CLOCK_GETTIME, [CLOCK_MONOTONIC, time.as_mut_ptr().expose_provenance(), 0, 0, 0, 0]) };
    time[0] * 1000 + time[1] / 1_000_000
}
