//! A bit of shared memory that is none, for tests and fuzzing.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::id::WorkerId;
#[cfg(test)]
use crate::value::Attachments;
use crate::value::{ON_DEVICE, Place, Shelf};

/// Segment 3, of 8 KiB of zeros, and anything on a device. Remembers what was looked up.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    taken: Mutex<Vec<Place>>,
}

impl Scratch {
    const SEGMENT: u32 = 3;
    const MEMORY: &[u8] = &[0; 8192];

    /// Where the items of the one frame that was read with this lie.
    #[cfg(test)]
    pub(crate) fn places(&self, attachments: &Attachments) -> Vec<Option<Place>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter();
        let shared = attachments.origin().map(|origin| origin.shared.clone()).unwrap_or_default();
        shared.into_iter().map(|is_shared| if is_shared { taken.next() } else { None }).collect()
    }
}

impl Shelf for Scratch {
    fn take(&self, place: Place, length: u64) -> Result<Bytes, String> {
        let (start, length) = (place.offset as usize, length as usize);
        let bytes = match place.segment {
            ON_DEVICE => Some(&[][..]),
            Scratch::SEGMENT => start.checked_add(length).and_then(|end| Scratch::MEMORY.get(start..end)),
            _ => None,
        };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        bytes.map(Bytes::from_static).ok_or_else(|| format!("nothing is held at {start} of {}", place.segment))
    }

    fn worker(&self) -> WorkerId {
        WorkerId::new("scratch", 0)
    }
}
