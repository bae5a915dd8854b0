//! One segment: a memfd of fixed size, and who writes in it.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use bytes::Bytes;
use rustix::fs::{
    CWD, FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags, fallocate, fchmod, fcntl_add_seals, fstat, ftruncate,
    memfd_create, openat,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::allocator::Allocator;
use super::mapping::{Mapping, Part};

/// A segment's number on the wire: from 1, never used twice by this process.
pub(crate) type SegmentId = u32;

/// Who may write into a segment, and so allocates there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// This process.
    Host,
    /// The one worker that it is made for.
    Worker,
}

/// See the head of this file. Lives as long as somebody looks into it.
pub(crate) struct Segment {
    id: SegmentId,
    size: u64,
    keep: u64,
    memory: OwnedFd,
    mapping: Arc<Mapping>,
    /// Of one that this process writes.
    allocator: Option<Mutex<Allocator>>,
}

impl Segment {
    /// One of this size. No memory is taken yet.
    pub(crate) fn new(size: u64, keep: u64, writer: Writer) -> io::Result<Arc<Segment>> {
        let grain = rustix::param::page_size() as u64;
        let size = size / grain * grain;
        let memory = sealed("hatchery-segment", size)?;
        let is_ours = writer == Writer::Host;
        let mapping = Mapping::new(memory.as_fd(), usize::try_from(size).map_err(|_| Errno::FBIG)?, is_ours)?;
        let allocator = is_ours.then(|| Mutex::new(Allocator::new(size, grain)));
        Ok(Arc::new(Segment { id: next_id()?, size, keep, memory, mapping: Arc::new(mapping), allocator }))
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.id
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The descriptor for the worker that writes here.
    pub(crate) fn for_writer(&self) -> io::Result<OwnedFd> {
        self.memory.try_clone()
    }

    /// A descriptor with which nobody can write. Made by way of `/proc`: one that is only duplicated could.
    pub(crate) fn for_readers(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.memory.as_raw_fd());
        Ok(openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Where its mapping begins in this process.
    pub(super) fn address(&self) -> usize {
        self.mapping.address()
    }

    /// Where this value lies in the segment, if it does.
    pub(crate) fn offset_of(&self, value: &[u8]) -> Option<u64> {
        let offset = (value.as_ptr() as usize).checked_sub(self.address())? as u64;
        let end = offset.checked_add(value.len() as u64)?;
        (end <= self.size).then_some(offset)
    }

    /// What a worker has put there, until `owner` is dropped with the last of it. `None` if it does not lie within.
    pub(crate) fn look<T: Send + 'static>(self: &Arc<Segment>, offset: u64, length: u64, owner: T) -> Option<Bytes> {
        let part = self.part(offset..offset.checked_add(length)?)?;
        Some(Bytes::from_owner(Looked { part, _segment: Arc::clone(self), _owner: owner }))
    }

    /// Room for so many bytes, which are zeros or what was there before.
    ///
    /// # Errors
    /// Out of room in the segment, or of memory in the machine.
    pub(super) fn take(self: &Arc<Segment>, length: usize) -> io::Result<Slot> {
        let taken = self.lock().and_then(|mut allocator| allocator.take(length as u64)).ok_or(Errno::NOSPC)?;
        // Outside of the lock: the range is nobody else's already.
        let warm = taken.cold.iter().try_for_each(|range| self.warm_up(range));
        let part = self.part(taken.range.start..taken.range.start + length as u64).ok_or(Errno::NOSPC.into());
        match warm.and(part) {
            Ok(part) => Ok(Slot { segment: Arc::clone(self), range: taken.range, part }),
            Err(error) => {
                self.discard(&taken.range);
                self.lock().into_iter().for_each(|mut allocator| allocator.failed(taken.range.clone()));
                Err(error)
            }
        }
    }

    /// Bytes that values have in it, and how many values those are. Of a worker's, what the worker says is not known here.
    pub(super) fn used(&self) -> (u64, usize) {
        self.lock().map_or((0, 0), |allocator| (allocator.used(), allocator.slots()))
    }

    /// Bytes that it has in memory, used or kept.
    pub(super) fn resident(&self) -> u64 {
        const BLOCK: u64 = 512;
        fstat(&self.memory).map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK)
    }

    fn part(&self, range: Range<u64>) -> Option<Part> {
        Part::new(&self.mapping, usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }

    /// Has the kernel find memory now, when it can still say no: a page that is not to be had at the moment of a write is a SIGBUS.
    fn warm_up(&self, range: &Range<u64>) -> io::Result<()> {
        match self.mapping.populate(&(range.start as usize..range.end as usize)) {
            // Linux before 5.14 does not know it.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                Ok(fallocate(&self.memory, FallocateFlags::empty(), range.start, range.end - range.start)?)
            }
            answer => answer,
        }
    }

    fn give(&self, range: Range<u64>) {
        let excess = self.lock().map(|mut allocator| {
            allocator.give(range);
            allocator.excess(self.keep)
        });
        for range in excess.into_iter().flatten() {
            self.discard(&range);
            if let Some(mut allocator) = self.lock() {
                allocator.cooled(range);
            }
        }
    }

    fn discard(&self, range: &Range<u64>) {
        // What the kernel does not take back stays where it is, and is as good as new.
        let _kept = self.mapping.discard(&(range.start as usize..range.end as usize));
    }

    fn lock(&self) -> Option<MutexGuard<'_, Allocator>> {
        // Every section leaves the allocator whole.
        self.allocator.as_ref().map(|allocator| allocator.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Segment {
    /// Gives the pages back: workers that were shown it have it mapped until they end. Whatever lies in it holds it, also what a
    /// worker was lent and has not released, so nobody looks any more.
    fn drop(&mut self) {
        let whole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // What the kernel does not take back now, it does when the last mapping is gone.
        let _kept = fallocate(&self.memory, whole, 0, self.size);
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({}, {} bytes)", self.id, self.size)
    }
}

/// A value of a worker's, and who is to know when it is no longer looked at.
struct Looked<T> {
    part: Part,
    /// So that it can be passed on by reference for as long as it is here, even if its worker is not.
    _segment: Arc<Segment>,
    _owner: T,
}

impl<T> AsRef<[u8]> for Looked<T> {
    fn as_ref(&self) -> &[u8] {
        self.part.bytes()
    }
}

/// A part of a segment that this process writes, and that is ours until it is dropped.
pub(super) struct Slot {
    segment: Arc<Segment>,
    range: Range<u64>,
    part: Part,
}

impl Slot {
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.part.bytes_mut()
    }
}

impl AsRef<[u8]> for Slot {
    fn as_ref(&self) -> &[u8] {
        self.part.bytes()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.segment.give(self.range.clone());
    }
}

/// A memfd of this size, for good: nobody's mapping can be cut off under him.
pub(crate) fn sealed(name: &str, size: u64) -> io::Result<OwnedFd> {
    check_file_size(size)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know that memory need not be a program.
        Err(Errno::INVAL) => memfd_create(name, flags)?,
        made => made?,
    };
    ftruncate(&memory, size)?;
    // By its name in /proc nobody opens it for writing, unless he is root or takes pains.
    fchmod(&memory, Mode::RUSR)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(memory)
}

/// To go over the limit on file sizes is a signal, not an error.
fn check_file_size(size: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < size => {
            let message = format!("files of this process may have {limit} bytes (RLIMIT_FSIZE), not {size}");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
        }
        _ => Ok(()),
    }
}

fn next_id() -> io::Result<SegmentId> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let next = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
    Ok(next.map_err(|_| Errno::OVERFLOW)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn segment(keep: u64) -> Arc<Segment> {
        Segment::new(8 * MIB, keep, Writer::Host).unwrap()
    }

    #[test]
    fn what_is_free_beyond_keep_goes_back_to_the_kernel() {
        let segment = segment(MIB);
        assert_eq!(segment.resident(), 0, "nothing was touched");
        let mut slots: Vec<Slot> = (0..4).map(|_| segment.take(MIB as usize).unwrap()).collect();
        slots[3].bytes_mut().fill(7);
        assert_eq!((segment.resident(), segment.used()), (4 * MIB, (4 * MIB, 4)));
        assert!(segment.take(5 * MIB as usize).is_err());
        drop(slots);
        assert_eq!((segment.resident(), segment.used()), (MIB, (0, 0)));
        assert!(segment.take(8 * MIB as usize).unwrap().as_ref().iter().skip(MIB as usize).all(|&byte| byte == 0));
    }

    #[test]
    fn a_readers_descriptor_cannot_be_mapped_for_writing_nor_can_the_size_change() {
        let segment = segment(0);
        let reader = segment.for_readers().unwrap();
        assert!(Mapping::new(reader.as_fd(), 4096, false).is_ok());
        assert!(Mapping::new(reader.as_fd(), 4096, true).is_err());
        assert_eq!(ftruncate(segment.for_writer().unwrap(), 1), Err(Errno::PERM));
        assert_eq!(ftruncate(segment.for_writer().unwrap(), 9 * MIB), Err(Errno::PERM));
    }

    #[test]
    fn its_pages_go_with_the_last_value_whoever_has_it_mapped() {
        let segment = segment(MIB);
        let reader = segment.for_readers().unwrap();
        let _mapped = Mapping::new(reader.as_fd(), MIB as usize, false).unwrap();
        let mut slot = segment.take(MIB as usize).unwrap();
        slot.bytes_mut().fill(7);
        drop(segment);
        assert!(fstat(&reader).unwrap().st_blocks > 0 && slot.as_ref().iter().all(|byte| *byte == 7));
        drop(slot);
        assert_eq!(fstat(&reader).unwrap().st_blocks, 0);
    }

    #[test]
    fn a_value_is_found_by_its_address_and_a_look_stays_within() {
        let segment = segment(0);
        let (first, second) = (segment.take(10).unwrap(), segment.take(10).unwrap());
        assert_eq!(segment.offset_of(&first.as_ref()[1..]), Some(1));
        assert_eq!(segment.offset_of(second.as_ref()), Some(rustix::param::page_size() as u64));
        assert_eq!(segment.offset_of(&[1, 2]), None);
        assert!(segment.look(8 * MIB - 1, 1, ()).is_some());
        assert!(segment.look(8 * MIB - 1, 2, ()).is_none() && segment.look(2, u64::MAX, ()).is_none());
    }
}
