//! What one worker holds of the memory that is shared with it, and what this process holds of the worker's. Large values go out
//! and come in here (`docs/design/wire.md` section 2.3).

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::id::WorkerId;
use crate::memory::{ALIGNMENT, Arena, ArenaSettings, Segment, SegmentId};
use crate::telemetry::{Emitter, Event, Kind, SharedEvent};
use crate::transport::Outbox;
use crate::value::{Attachment, Attachments, ON_DEVICE, Place, Places, Shelf};
use crate::wire::{Access, Capability, Encoded, SegmentBody, Terms};

const EXPORTED: Kind = Kind::named("shared.exported");
const IMPORTED: Kind = Kind::named("shared.imported");
const FELL_BACK: Kind = Kind::named("shared.fell_back");

/// The accounts of one life of a worker.
pub(super) struct Loans {
    worker: WorkerId,
    emitter: Emitter,
    /// `None`: the pool shares no memory.
    arena: Option<Arc<Arena>>,
    control: Arc<Outbox<UnixStream>>,
    /// Where values of the worker's that nobody looks at any more are told of. Never waits, whoever drops the last.
    returns: mpsc::UnboundedSender<Place>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was agreed, if shared memory was. `None` before READY and after the end.
    terms: Option<Terms>,
    /// The one in which the worker writes.
    own: Option<Arc<Segment>>,
    /// Those that it was told of.
    known: HashSet<SegmentId>,
    held: BTreeMap<Place, Held>,
    /// The last number for something on a device.
    last_on_device: u64,
}

/// A place that the worker has been sent, so many times.
struct Held {
    value: Bytes,
    times: usize,
}

/// Where the values of a frame lie, and what keeps them there until [`Loans::lend`] has written it down.
#[derive(Default)]
pub(super) struct Placed {
    places: Vec<Option<Place>>,
    values: Vec<(Place, Bytes)>,
    /// Segments that the worker does not know, with a descriptor for it.
    strange: Vec<(Arc<Segment>, OwnedFd)>,
}

impl Placed {
    pub(super) fn places(&self) -> &Places {
        &self.places
    }
}

impl Loans {
    pub(super) fn new(
        worker: WorkerId,
        emitter: Emitter,
        arena: Option<Arc<Arena>>,
        control: Arc<Outbox<UnixStream>>,
    ) -> (Arc<Loans>, mpsc::UnboundedReceiver<Place>) {
        let (returns, returned) = mpsc::unbounded_channel();
        let loans = Loans { worker, emitter, arena, control, returns, state: Mutex::default() };
        (Arc::new(loans), returned)
    }

    /// The worker is ready, on these terms: it gets a segment to write in, if it can use one.
    pub(super) fn open(&self, terms: Terms) {
        let Some(arena) = self.arena.as_ref().filter(|_| terms.capabilities.contains(Capability::Segments)) else {
            return;
        };
        let mut state = self.lock();
        state.terms = Some(terms);
        let given = arena.for_worker().and_then(|segment| Ok((segment.for_writer()?, segment)));
        match given {
            Ok((memory, segment)) => {
                self.introduce(&mut state, &segment, memory, Access::Write, &terms);
                state.own = Some(segment);
            }
            Err(error) => self.fell_back(arena, 0, format!("no memory for the worker to write in: {error}")),
        }
    }

    /// The worker is dead: what it held is free, and it can be lent no more.
    pub(super) fn close(&self) {
        let state = std::mem::take(&mut *self.lock());
        // Outside of the lock: pages may be given back.
        drop(state);
    }

    /// Finds the values that the worker can read where they are, and copies into shared memory those that are large enough.
    pub(super) fn place(&self, values: &Attachments) -> Placed {
        let mut placed = Placed::default();
        let Some(arena) = self.arena.as_ref().filter(|_| !values.is_empty() && self.lock().terms.is_some()) else {
            return placed;
        };
        for value in values.items() {
            let found = match value {
                Attachment::Device(array) => Some((self.number(), array.held.clone())),
                value => self
                    .located(arena, value.data(), &mut placed)
                    .or_else(|| self.copied(arena, value.data(), &mut placed)),
            };
            placed.places.push(found.as_ref().map(|(place, _)| *place));
            placed.values.extend(found);
        }
        placed
    }

    /// The frame with these values is about to be sent.
    pub(super) fn lend(&self, placed: Placed) {
        if placed.values.is_empty() {
            return;
        }
        let mut state = self.lock();
        let Some(terms) = state.terms else { return };
        for (segment, memory) in placed.strange {
            if !state.known.contains(&segment.id()) {
                self.introduce(&mut state, &segment, memory, Access::Read, &terms);
            }
        }
        for (place, value) in placed.values {
            self.exported(&value);
            let held = state.held.entry(place).or_insert_with(|| Held { value: value.clone(), times: 0 });
            held.times += 1;
            if held.value.len() < value.len() {
                held.value = value;
            }
        }
    }

    /// The worker looks at this place no more, once.
    pub(super) fn released(&self, place: Place) -> Result<(), String> {
        let mut state = self.lock();
        let Some(held) = state.held.get_mut(&place) else {
            return Err(format!("it released {} of segment {}, which it does not hold", place.offset, place.segment));
        };
        held.times -= 1;
        let last = if held.times == 0 { state.held.remove(&place) } else { None };
        drop(state);
        // Outside of the lock: pages may be given back, and another worker's account be settled.
        drop(last);
        Ok(())
    }

    /// Tells the worker of what came back, until its life ends.
    pub(super) async fn tell_returns(self: Arc<Loans>, mut returned: mpsc::UnboundedReceiver<Place>) {
        while let Some(place) = returned.recv().await {
            let terms = self.lock().terms;
            if let Some(frame) = terms.and_then(|terms| Encoded::release(place, &terms).ok()) {
                let _dying = self.control.send(frame);
            }
        }
    }

    /// Where this value lies, if the worker can be shown it.
    fn located(&self, arena: &Arena, value: &Bytes, placed: &mut Placed) -> Option<(Place, Bytes)> {
        if value.is_empty() {
            return None;
        }
        let (segment, offset) = arena.locate(value)?;
        let is_shown = offset.is_multiple_of(ALIGNMENT) && self.shows(&segment, placed);
        is_shown.then(|| (Place { segment: segment.id(), offset }, value.clone()))
    }

    /// The value in this process's segment, if it is large and there is room.
    fn copied(&self, arena: &Arena, value: &Bytes, placed: &mut Placed) -> Option<(Place, Bytes)> {
        let length = value.len() as u64;
        if value.is_empty() || length < arena.settings().threshold {
            return None;
        }
        match arena.copy(value) {
            Ok(copy) => {
                let found = self.located(arena, &copy, placed);
                if found.is_none() {
                    self.fell_back(arena, length, "the worker cannot be shown the memory: no /proc".to_owned());
                }
                found
            }
            Err(reason) => {
                self.fell_back(arena, length, reason.to_string());
                None
            }
        }
    }

    /// Whether the worker knows this segment, or can be told of it.
    fn shows(&self, segment: &Arc<Segment>, placed: &mut Placed) -> bool {
        let is_known = self.lock().known.contains(&segment.id())
            || placed.strange.iter().any(|(strange, _)| strange.id() == segment.id());
        if !is_known {
            let Ok(memory) = segment.for_readers() else { return false };
            placed.strange.push((Arc::clone(segment), memory));
        }
        true
    }

    fn introduce(&self, state: &mut State, segment: &Segment, memory: OwnedFd, access: Access, terms: &Terms) {
        let ArenaSettings { threshold, keep, .. } =
            self.arena.as_ref().map(|arena| *arena.settings()).unwrap_or_default();
        let body = SegmentBody { size: segment.size(), access, keep, threshold };
        if let Ok(frame) = Encoded::segment(segment.id(), &body, memory, terms) {
            state.known.insert(segment.id());
            let _dying = self.control.send(frame);
        }
    }

    /// A number of our own for something on a device.
    fn number(&self) -> Place {
        let mut state = self.lock();
        state.last_on_device += 1;
        Place { segment: ON_DEVICE, offset: state.last_on_device }
    }

    fn exported(&self, value: &Bytes) {
        if let Some(arena) = &self.arena {
            arena.count_exported();
        }
        self.tell(EXPORTED, |worker| SharedEvent::Exported { worker, bytes: value.len() as u64 });
    }

    fn fell_back(&self, arena: &Arena, bytes: u64, reason: String) {
        arena.count_fell_back();
        self.tell(FELL_BACK, |worker| SharedEvent::FellBack { worker: Some(worker), bytes, reason });
    }

    fn tell(&self, kind: Kind, event: impl FnOnce(WorkerId) -> SharedEvent) {
        self.emitter.emit_with(kind, || Event::Shared(event(self.worker.clone())));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every section leaves the accounts whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Loans {
    fn take(&self, place: Place, length: u64) -> Result<Bytes, String> {
        let state = self.lock();
        if state.terms.is_none() {
            return Err("it speaks of shared memory, which was not agreed".to_owned());
        }
        let value = match &state.own {
            Some(own) if own.id() == place.segment => self.looked_at(own, place, length)?,
            _ if place.segment == ON_DEVICE => Bytes::from_owner(Kept(self.lent(place))),
            _ => state.view(place, length)?,
        };
        drop(state);
        if let Some(arena) = &self.arena {
            arena.count_imported();
        }
        self.tell(IMPORTED, |worker| SharedEvent::Imported { worker, bytes: length });
        Ok(value)
    }

    fn worker(&self) -> WorkerId {
        self.worker.clone()
    }
}

impl Loans {
    fn looked_at(&self, own: &Arc<Segment>, place: Place, length: u64) -> Result<Bytes, String> {
        own.look(place.offset, length, self.lent(place)).ok_or_else(|| {
            let Place { segment, offset } = place;
            format!("offset {offset}, length {length} reaches past the {} bytes of segment {segment}", own.size())
        })
    }

    fn lent(&self, place: Place) -> Lent {
        Lent { place, returns: self.returns.clone() }
    }
}

impl State {
    /// A part of what the worker holds.
    fn view(&self, place: Place, length: u64) -> Result<Bytes, String> {
        let from = Place { offset: 0, ..place };
        let covering = self.held.range(from..=place).rev().find_map(|(at, held)| {
            let start = usize::try_from(place.offset - at.offset).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= held.value.len()).then(|| held.value.slice(start..end))
        });
        covering.ok_or_else(|| {
            let Place { segment, offset } = place;
            format!("it does not hold offset {offset}, length {length} of segment {segment}")
        })
    }
}

impl std::fmt::Debug for Loans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loans").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// A value that the worker keeps for us until this is dropped.
struct Lent {
    place: Place,
    returns: mpsc::UnboundedSender<Place>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A worker that is gone has nothing to be told.
        let _gone = self.returns.send(self.place);
    }
}

/// No bytes, and what they stand for.
struct Kept(#[expect(dead_code, reason = "kept for its drop")] Lent);

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}
