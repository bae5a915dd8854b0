//! The shared memory of one pool: the segment that this process writes, and those of its workers, by address.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use bytes::Bytes;
use serde::Serialize;

use super::{ArenaSettings, Buffer, Segment, Writer};

/// See the head of this file. Takes no memory and no descriptor before the first large value.
#[derive(Debug)]
pub(crate) struct Arena {
    settings: ArenaSettings,
    /// The one that this process writes, once there is memory for it.
    own: OnceLock<Arc<Segment>>,
    /// All that are mapped here, by the address where they begin.
    segments: RwLock<BTreeMap<usize, Weak<Segment>>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    imported: AtomicU64,
    fell_back: AtomicU64,
}

/// Why a value is not in shared memory though it is large enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotShared {
    /// The kernel gives none at all.
    NoMemory(String),
    /// What there is is taken.
    Full(String),
}

impl fmt::Display for NotShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotShared::NoMemory(error) => write!(f, "no shared memory is to be had: {error}"),
            NotShared::Full(error) => write!(f, "no room in the shared memory: {error}"),
        }
    }
}

/// What a pool's shared memory holds. All sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArenaStatus {
    /// The size of each segment: what the values in it can take at most.
    pub limit: u64,
    /// What values of this program take in its segment now, those that workers hold among them.
    pub used: u64,
    /// How many values that is.
    pub slots: usize,
    /// What all segments together have in memory, used or kept for the next value.
    pub resident: u64,
    /// How many segments there are: this program's, and one of each worker.
    pub segments: usize,
    /// Values that were passed to workers by reference.
    pub exported: u64,
    /// Values that came from workers by reference.
    pub imported: u64,
    /// Values that were large enough and were copied through the pipe all the same.
    pub fell_back: u64,
}

impl Arena {
    pub(crate) fn new(settings: ArenaSettings) -> Arena {
        Arena { settings, own: OnceLock::new(), segments: RwLock::default(), counts: Counts::default() }
    }

    pub(crate) fn settings(&self) -> &ArenaSettings {
        &self.settings
    }

    /// A buffer in this process's segment, or the reason why there is none.
    pub(crate) fn buffer(&self, length: usize) -> Result<Buffer, NotShared> {
        let slot = self.own()?.take(length).map_err(|error| NotShared::Full(error.to_string()))?;
        Ok(Buffer::shared(slot))
    }

    /// As [`Arena::buffer`], from this process's memory.
    pub(crate) fn own_buffer(length: usize) -> Buffer {
        Buffer::own(length)
    }

    /// The same bytes in this process's segment.
    pub(crate) fn copy(&self, value: &[u8]) -> Result<Bytes, NotShared> {
        let mut buffer = self.buffer(value.len())?;
        buffer.copy_from_slice(value);
        Ok(buffer.freeze())
    }

    /// The segment in which this value lies, and where, if it is one of this pool's.
    pub(crate) fn locate(&self, value: &[u8]) -> Option<(Arc<Segment>, u64)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let (_, segment) = segments.range(..=value.as_ptr() as usize).next_back()?;
        let segment = segment.upgrade()?;
        let offset = segment.offset_of(value)?;
        Some((segment, offset))
    }

    /// A new segment for a worker to write in.
    pub(crate) fn for_worker(&self) -> io::Result<Arc<Segment>> {
        let segment = Segment::new(self.settings.limit, self.settings.keep, Writer::Worker)?;
        self.add(&segment);
        Ok(segment)
    }

    pub(crate) fn count_exported(&self) {
        self.counts.exported.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_imported(&self) {
        self.counts.imported.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_fell_back(&self) {
        self.counts.fell_back.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn status(&self) -> ArenaStatus {
        let segments: Vec<Arc<Segment>> = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            segments.values().filter_map(Weak::upgrade).collect()
        };
        let used: Vec<(u64, usize)> = segments.iter().map(|segment| segment.used()).collect();
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ArenaStatus {
            limit: self.settings.limit,
            used: used.iter().map(|(bytes, _)| bytes).sum(),
            slots: used.iter().map(|(_, slots)| slots).sum(),
            resident: segments.iter().map(|segment| segment.resident()).sum(),
            segments: segments.len(),
            exported: counted(&self.counts.exported),
            imported: counted(&self.counts.imported),
            fell_back: counted(&self.counts.fell_back),
        }
    }

    fn own(&self) -> Result<&Arc<Segment>, NotShared> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let made = Segment::new(self.settings.limit, self.settings.keep, Writer::Host);
        let made = made.map_err(|error| NotShared::NoMemory(error.to_string()))?;
        // Known by its address before anybody can have a value in it. Of two that are made at once, one stays.
        self.add(&made);
        Ok(self.own.get_or_init(|| made))
    }

    fn add(&self, segment: &Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        // One that is gone no longer stands in the way of what is mapped at its address now.
        segments.retain(|_, segment| segment.strong_count() > 0);
        segments.insert(segment.address(), Arc::downgrade(segment));
    }
}
