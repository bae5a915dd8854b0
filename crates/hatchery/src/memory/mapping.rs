//! Memory behind a descriptor, mapped into this process.
#![allow(unsafe_code, reason = "the one room for mapped memory; each block says why it is sound")]

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::{io, ptr, slice};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// A mapping of the first `length` bytes of a memfd that is sealed against change of its size, so that no access can fail for
/// want of a file behind it. Unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    is_writable: bool,
}

// SAFETY: a mapping belongs to the process, not to a thread; what lies in it is reached through `Part`s alone, which are bytes.
unsafe impl Send for Mapping {}
// SAFETY: as above: `&Mapping` gives no access to the bytes but by `Part`, whose owners see to it that they do not overlap.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(fd: BorrowedFd<'_>, length: usize, is_writable: bool) -> io::Result<Mapping> {
        let access = if is_writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: the kernel picks an address where nothing is mapped, so no memory of Rust's is touched.
        let start = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, fd, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Mapping { start, length, is_writable })
    }

    /// Where it begins, as a number to compare with.
    pub(super) fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// Sees to it that there is memory behind this range, so that writing there cannot fail. The pages are mapped too.
    pub(super) fn populate(&self, range: &Range<usize>) -> io::Result<()> {
        self.advise(range, Advice::LinuxPopulateWrite)
    }

    /// Gives the pages of this range back; it reads as zeros from now on.
    pub(super) fn discard(&self, range: &Range<usize>) -> io::Result<()> {
        self.advise(range, Advice::LinuxRemove)
    }

    fn advise(&self, range: &Range<usize>, advice: Advice) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {} bytes", self.length);
        // SAFETY: the range lies within this mapping, and neither advice makes memory inaccessible: one adds pages, the other
        // turns bytes into zeros, in a range that, by the callers' contract, nobody looks at.
        unsafe { madvise(self.start.as_ptr().add(range.start).cast(), range.len(), advice) }?;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and every `Part` holds the mapping, so nobody looks into it any more. An
        // error would leave it mapped, which harms nobody.
        let _mapped_still = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A range of a mapping that has an owner: whoever makes one has it from the allocator of the segment's only writer.
#[derive(Debug)]
pub(super) struct Part {
    mapping: Arc<Mapping>,
    range: Range<usize>,
}

impl Part {
    /// `None` if the range does not lie within the mapping.
    pub(super) fn new(mapping: &Arc<Mapping>, range: Range<usize>) -> Option<Part> {
        let is_within = range.start <= range.end && range.end <= mapping.length;
        is_within.then(|| Part { mapping: Arc::clone(mapping), range })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: within the mapping, which lives as long as `self`; bytes of any value are bytes. In a segment of ours nobody
        // writes here: the only writer owns this very part, and lends it mutably in `bytes_mut`. In a worker's segment, the
        // worker has handed the range over and may use it again only after our RELEASE. One that breaks its word changes bytes
        // that are used as bytes and numbers, by volatile luck of its own; nothing of ours is decided by them. Arrow, which would
        // trust offsets in them, is given a copy.
        unsafe { slice::from_raw_parts(self.mapping.start.as_ptr().add(self.range.start), self.range.len()) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(self.mapping.is_writable, "a part of a segment that somebody else writes");
        // SAFETY: within the mapping, which is writable and lives as long as `self`. `self` is the only part with this range
        // (its allocator gives it to nobody else), and it is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.mapping.start.as_ptr().add(self.range.start), self.range.len()) }
    }
}
