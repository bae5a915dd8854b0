//! The system calls that this program makes, each behind a safe function. There is no C library below.

use core::ffi::CStr;

#[cfg(target_arch = "aarch64")]
#[path = "sys/aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "sys/x86_64.rs"]
mod arch;
pub(crate) mod files;
pub(crate) mod processes;
pub(crate) mod sockets;

/// These got the same number everywhere.
const PIDFD_SEND_SIGNAL: usize = 424;
const PIDFD_OPEN: usize = 434;
const CLONE3: usize = 435;
const CLOSE_RANGE: usize = 436;

pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// Why the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) const PERM: Errno = Errno(1);
    pub(crate) const NOENT: Errno = Errno(2);
    pub(crate) const INTR: Errno = Errno(4);
    pub(crate) const AGAIN: Errno = Errno(11);
    pub(crate) const NOMEM: Errno = Errno(12);
    pub(crate) const BUSY: Errno = Errno(16);
    pub(crate) const EXIST: Errno = Errno(17);
    pub(crate) const INVAL: Errno = Errno(22);
    pub(crate) const MFILE: Errno = Errno(24);
    pub(crate) const NOSPC: Errno = Errno(28);
    pub(crate) const PIPE: Errno = Errno(32);
    pub(crate) const NOBUFS: Errno = Errno(105);
    pub(crate) const TOOMANYREFS: Errno = Errno(109);
    pub(crate) const TIMEDOUT: Errno = Errno(110);
    pub(crate) const CANCELED: Errno = Errno(125);
    pub(crate) const OWNERDEAD: Errno = Errno(130);
}

impl Errno {
    /// It may be otherwise in a moment.
    pub(crate) fn is_shortage(self) -> bool {
        matches!(self, Errno::NOMEM | Errno::NOBUFS | Errno::TOOMANYREFS)
    }
}

/// The number that says what went wrong, or 0.
pub(crate) fn errno_of<T>(result: &Result<T>) -> i32 {
    result.as_ref().err().map_or(0, |errno| errno.0)
}

/// An open descriptor, closed when dropped.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Fd {
    /// One that the program was started with, or that the kernel has just given it.
    pub(crate) const fn own(number: i32) -> Fd {
        Fd(number)
    }

    pub(crate) fn number(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        files::close(self.0);
    }
}

/// Where the assembly of `_start` arrives, on the stack that the kernel made.
extern "C" fn start() -> ! {
    crate::main()
}

fn check(result: isize) -> Result<usize> {
    match result {
        -4095..0 => Err(Errno(-(result as i32))),
        _ => Ok(result.cast_unsigned()),
    }
}

/// A descriptor number as an argument.
fn fd(fd: &Fd) -> usize {
    signed(fd.0)
}

fn signed(number: i32) -> usize {
    (number as isize).cast_unsigned()
}

fn c_str(text: &CStr) -> usize {
    text.as_ptr().expose_provenance()
}

/// Again and again until no signal interrupts it. All are blocked, but a debugger may still do that.
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
