//! Memory for a value that is still to be written.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::segment::Slot;

/// Bytes to be filled and passed to a worker, from [`Pool::buffer`](crate::Pool::buffer): memory that the pool's workers can read,
/// so that the value is not copied again. Where there is no shared memory, or no room in it, it is memory of this process, and
/// everything works all the same.
///
/// What is in it at first is not said: zeros, or what was there before. Dropped, its memory goes back to the pool at once;
/// [frozen](Buffer::freeze), when the last who looks into it is done, worker or host.
pub struct Buffer(Memory);

enum Memory {
    Shared(Slot),
    /// In words, so that numbers of any type lie where they must.
    Own {
        words: Vec<u128>,
        length: usize,
    },
}

impl Buffer {
    pub(super) fn shared(slot: Slot) -> Buffer {
        Buffer(Memory::Shared(slot))
    }

    pub(super) fn own(length: usize) -> Buffer {
        Buffer(Memory::Own { words: vec![0; length.div_ceil(size_of::<u128>())], length })
    }

    /// Whether the workers of the pool can read it where it is.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Memory::Shared(_))
    }

    /// The bytes, which nobody changes any more. Nothing is copied.
    pub fn freeze(self) -> Bytes {
        match self.0 {
            Memory::Shared(slot) => Bytes::from_owner(slot),
            own @ Memory::Own { .. } => Bytes::from_owner(Buffer(own)),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Shared(slot) => slot.as_ref(),
            Memory::Own { words, length } => &bytemuck::cast_slice(words)[..*length],
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Shared(slot) => slot.bytes_mut(),
            Memory::Own { words, length } => &mut bytemuck::cast_slice_mut(words)[..*length],
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("length", &self.len()).field("shared", &self.is_shared()).finish()
    }
}
