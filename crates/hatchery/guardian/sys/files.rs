//! Files, folders, pipes and mappings.
//!
//! All that this program opens is close-on-exec.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::{ptr, slice};

use super::arch::{self, syscall};
use super::{CLOSE_RANGE, Errno, Fd, Result, c_str, check, fd, signed, uninterrupted};

const CLOEXEC: usize = 0o2_000_000;
const AT_FDCWD: i32 = -100;
const AT_REMOVEDIR: usize = 0x200;

/// What to open a file for.
#[derive(Clone, Copy)]
pub(crate) enum Open {
    Read = 0,
    Write = 1,
}

pub(crate) fn close(number: i32) {
    // SAFETY: no pointers. A number that is not open is refused.
    unsafe { syscall(arch::CLOSE, [signed(number), 0, 0, 0, 0, 0]) };
}

/// All from `first` on, up to the last that there can be.
pub(crate) fn close_from(first: i32) {
    // SAFETY: no pointers.
    let closed = check(unsafe { syscall(CLOSE_RANGE, [signed(first), u32::MAX as usize, 0, 0, 0, 0]) });
    if closed.is_err() {
        (first..4096).for_each(close);
    }
}

/// All from `first` on will be closed by the next `execve`. Before Linux 5.11 that is so only if they were opened that way.
pub(crate) fn close_from_on_exec(first: usize) {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    // SAFETY: no pointers.
    unsafe { syscall(CLOSE_RANGE, [first, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0, 0]) };
}

pub(crate) fn open(path: &CStr, open: Open) -> Result<Fd> {
    open_at(AT_FDCWD, path, open as usize)
}

pub(crate) fn open_in(folder: &Fd, path: &CStr, open: Open) -> Result<Fd> {
    open_at(folder.number(), path, open as usize)
}

pub(crate) fn open_folder(path: &CStr) -> Result<Fd> {
    open_at(AT_FDCWD, path, arch::O_DIRECTORY)
}

pub(crate) fn open_folder_in(folder: &Fd, path: &CStr) -> Result<Fd> {
    open_at(folder.number(), path, arch::O_DIRECTORY)
}

fn open_at(folder: i32, path: &CStr, flags: usize) -> Result<Fd> {
    // SAFETY: the path is NUL-terminated and borrowed beyond the call.
    let number = check(unsafe { syscall(arch::OPENAT, [signed(folder), c_str(path), flags | CLOEXEC, 0, 0, 0]) })?;
    Ok(Fd::own(number as i32))
}

pub(crate) fn make_folder(parent: &Fd, name: &CStr) -> Result<()> {
    // SAFETY: the path is NUL-terminated and borrowed beyond the call.
    check(unsafe { syscall(arch::MKDIRAT, [fd(parent), c_str(name), 0o755, 0, 0, 0]) }).map(drop)
}

/// Only an empty one.
pub(crate) fn remove_folder(parent: &Fd, name: &CStr) -> Result<()> {
    // SAFETY: the path is NUL-terminated and borrowed beyond the call.
    check(unsafe { syscall(arch::UNLINKAT, [fd(parent), c_str(name), AT_REMOVEDIR, 0, 0, 0]) }).map(drop)
}

pub(crate) fn read_link<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let arguments = [signed(AT_FDCWD), c_str(path), buffer.as_mut_ptr().expose_provenance(), buffer.len(), 0, 0];
    // SAFETY: the kernel writes no more than the buffer's length.
    let length = check(unsafe { syscall(arch::READLINKAT, arguments) })?;
    Ok(&buffer[..length])
}

pub(crate) fn read<'b>(file: &Fd, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let arguments = [fd(file), buffer.as_mut_ptr().expose_provenance(), buffer.len(), 0, 0, 0];
    // SAFETY: the kernel writes no more than the buffer's length.
    let length = uninterrupted(|| check(unsafe { syscall(arch::READ, arguments) }))?;
    Ok(&buffer[..length])
}

/// Entries as the kernel lays them out; empty at the end of the folder.
pub(crate) fn read_folder<'b>(folder: &Fd, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let arguments = [fd(folder), buffer.as_mut_ptr().expose_provenance(), buffer.len(), 0, 0, 0];
    // SAFETY: the kernel writes no more than the buffer's length.
    let length = check(unsafe { syscall(arch::GETDENTS64, arguments) })?;
    Ok(&buffer[..length])
}

/// What is written here is short: the kernel takes all of it or nothing.
pub(crate) fn write(file: &Fd, bytes: &[u8]) -> Result<()> {
    // SAFETY: the kernel only reads the bytes.
    let write =
        || check(unsafe { syscall(arch::WRITE, [fd(file), bytes.as_ptr().expose_provenance(), bytes.len(), 0, 0, 0]) });
    uninterrupted(write).map(drop)
}

/// The reading end and the writing end.
pub(crate) fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [0_i32; 2];
    // SAFETY: the kernel writes two numbers.
    check(unsafe { syscall(arch::PIPE2, [ends.as_mut_ptr().expose_provenance(), CLOEXEC, 0, 0, 0, 0]) })?;
    Ok((Fd::own(ends[0]), Fd::own(ends[1])))
}

/// Makes `target` the same, and not close-on-exec. The two must differ.
pub(crate) fn copy_to(source: &Fd, target: usize) -> Result<()> {
    // SAFETY: no pointers.
    uninterrupted(|| check(unsafe { syscall(arch::DUP3, [fd(source), target, 0, 0, 0, 0]) })).map(drop)
}

/// A second descriptor, not below `lowest`.
pub(crate) fn copy_above(source: &Fd, lowest: usize) -> Result<Fd> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    // SAFETY: no pointers.
    let number = check(unsafe { syscall(arch::FCNTL, [fd(source), F_DUPFD_CLOEXEC, lowest, 0, 0, 0]) })?;
    Ok(Fd::own(number as i32))
}

/// How long a memfd is, if nobody can make it shorter any more.
pub(crate) fn sealed_length(file: &Fd) -> Result<usize> {
    const F_GET_SEALS: usize = 1034;
    const F_SEAL_SHRINK: usize = 2;
    const SEEK_END: usize = 2;
    // SAFETY: no pointers.
    let seals = check(unsafe { syscall(arch::FCNTL, [fd(file), F_GET_SEALS, 0, 0, 0, 0]) })?;
    if seals & F_SEAL_SHRINK == 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: no pointers.
    check(unsafe { syscall(arch::LSEEK, [fd(file), 0, SEEK_END, 0, 0, 0]) })
}

pub(crate) fn change_directory(path: &CStr) -> Result<()> {
    // SAFETY: the path is NUL-terminated and borrowed beyond the call.
    check(unsafe { syscall(arch::CHDIR, [c_str(path), 0, 0, 0, 0, 0]) }).map(drop)
}

/// In this mount namespace: mounts of the outside still arrive, and ours do not leave.
pub(crate) fn mount_fresh_proc() -> Result<()> {
    const MS_NOSUID_NODEV_NOEXEC: usize = 2 | 4 | 8;
    const MS_REC_SLAVE: usize = (1 << 14) | (1 << 19);
    mount(c"none", c"/", MS_REC_SLAVE)?;
    mount(c"proc", c"/proc", MS_NOSUID_NODEV_NOEXEC)
}

fn mount(kind: &CStr, place: &CStr, flags: usize) -> Result<()> {
    // SAFETY: three NUL-terminated strings, and a null pointer for no data.
    check(unsafe { syscall(arch::MOUNT, [c_str(kind), c_str(place), c_str(kind), flags, 0, 0]) }).map(drop)
}

/// Pages of our own, given back when dropped.
pub(crate) struct Mapping<T> {
    address: usize,
    count: usize,
    kind: PhantomData<T>,
}

const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 2;

impl Mapping<u8> {
    /// A file that nobody can shorten, whose length is at least `length`.
    pub(crate) fn of_sealed(file: &Fd, length: usize) -> Result<Mapping<u8>> {
        if length > sealed_length(file)? {
            return Err(Errno::INVAL);
        }
        Mapping::new(length, PROT_READ, MAP_PRIVATE, file.number())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: that many bytes are mapped for as long as `self` lives; any byte is a `u8`.
        unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(self.address), self.count) }
    }
}

impl Mapping<usize> {
    /// Zeros.
    pub(crate) fn of_words(count: usize) -> Result<Mapping<usize>> {
        const MAP_ANONYMOUS: usize = 0x20;
        Mapping::new(count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1)
    }

    pub(crate) fn words(&mut self) -> &mut [usize] {
        // SAFETY: that many words are mapped, writable and page-aligned, for as long as `self` lives.
        unsafe { slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(self.address), self.count) }
    }
}

impl<T> Mapping<T> {
    fn new(count: usize, protection: usize, flags: usize, file: i32) -> Result<Mapping<T>> {
        let length = count.checked_mul(size_of::<T>()).ok_or(Errno::INVAL)?;
        // SAFETY: the kernel chooses a place where nothing is.
        let address = check(unsafe { syscall(arch::MMAP, [0, length, protection, flags, signed(file), 0]) })?;
        Ok(Mapping { address, count, kind: PhantomData })
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; what borrowed from it is gone.
        unsafe { syscall(arch::MUNMAP, [self.address, self.count * size_of::<T>(), 0, 0, 0, 0]) };
    }
}
