//! Where rooms put events, by interest: one that nobody wants costs a look at a bit.
//!
//! Subscribers who want the same names read from the same line, so what an event costs goes with the number of different wishes
//! and not with that of subscribers; and an event is put only into the lines that want it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::SystemTime;

use tokio::sync::broadcast;

use super::event::{Event, Heard, Level};
use super::events::Events;
use super::filter::EventFilter;
use super::kinds::{Kind, Kinds};
use super::log;

/// Cheap to clone: all clones are one. When the last is dropped, its subscribers have heard everything.
#[derive(Clone, Debug)]
pub(crate) struct Emitter(Arc<Switchboard>);

impl Emitter {
    /// `backlog` is how far a subscriber may fall behind, in events, before it loses the oldest.
    pub(crate) fn new(backlog: usize) -> Emitter {
        Emitter(Arc::new(Switchboard { backlog, wanted: Wanted::default(), lines: RwLock::default() }))
    }

    /// Never waits for a reader. An event that nobody wants is dropped; logs tell of it too, if somebody reads those.
    pub(crate) fn emit(&self, event: Event) {
        log::speak(&event);
        let kind = event.kind();
        if self.0.wanted.contains(kind) {
            self.0.put(kind, event);
        }
    }

    /// The same, of an event that is made only if somebody wants it. It must be of this kind, which logs tell of at `debug` at most.
    pub(crate) fn emit_with(&self, kind: Kind, event: impl FnOnce() -> Event) {
        self.emit_at(kind, Level::Debug, event);
    }

    /// The same, of one that logs tell of at this level at most.
    pub(crate) fn emit_at(&self, kind: Kind, level: Level, event: impl FnOnce() -> Event) {
        if self.is_wanted_at(kind, level) {
            let event = event();
            debug_assert_eq!(event.kind(), kind, "{event:?}");
            debug_assert!(log::is_told_at_most(&event, level), "{event:?}");
            self.emit(event);
        }
    }

    /// Whether making an event of this kind, which logs tell of at `debug` at most, is worth the while.
    pub(crate) fn is_wanted(&self, kind: Kind) -> bool {
        self.is_wanted_at(kind, Level::Debug)
    }

    fn is_wanted_at(&self, kind: Kind, level: Level) -> bool {
        self.0.wanted.contains(kind) || log::is_heard(kind, level)
    }

    /// How many listen.
    pub(crate) fn subscriber_count(&self) -> usize {
        self.0.lines().iter().map(|line| line.sender.receiver_count()).sum()
    }

    /// Everything that happens from now on and that the filter lets pass.
    pub(crate) fn subscribe(&self, filter: EventFilter) -> Events {
        let receiver = self.0.subscribe(filter.kinds());
        Events::new(receiver, filter, Subscription(Arc::downgrade(&self.0)))
    }
}

/// Different wishes that have a line each. Each takes memory, and who subscribes may be anybody: a further one reads from a line
/// that has what it wants and more, and passes over the rest.
const MOST_LINES: usize = 16;

#[derive(Debug)]
pub(super) struct Switchboard {
    backlog: usize,
    wanted: Wanted,
    lines: RwLock<Vec<Line>>,
}

#[derive(Debug)]
struct Line {
    kinds: Kinds,
    sender: broadcast::Sender<Arc<Heard>>,
}

impl Switchboard {
    fn put(&self, kind: Kind, event: Event) {
        let heard = Arc::new(Heard { at: SystemTime::now(), event });
        let lines = self.lines();
        let wanting = lines.iter().filter(|line| line.kinds.contains(kind));
        wanting.for_each(|line| drop(line.sender.send(Arc::clone(&heard))));
    }

    fn subscribe(&self, kinds: Kinds) -> broadcast::Receiver<Arc<Heard>> {
        let joined = join(&self.lines(), kinds);
        joined.unwrap_or_else(|| {
            // Made before the lines are held: it is large.
            let spare = broadcast::Sender::new(self.backlog);
            let mut lines = self.lines_to_change();
            // Somebody else may have been faster.
            join(&lines, kinds).unwrap_or_else(|| {
                let receiver = spare.subscribe();
                let kinds = if lines.len() < MOST_LINES { kinds } else { Kinds::ALL };
                lines.push(Line { kinds, sender: spare });
                self.wanted.set(&lines);
                receiver
            })
        })
    }

    /// Somebody has left: lines that nobody reads go.
    fn clear(&self) {
        let mut lines = self.lines_to_change();
        let left: Vec<Line> = lines.extract_if(.., |line| line.sender.receiver_count() == 0).collect();
        self.wanted.set(&lines);
        drop(lines);
        // What they still hold may take a while to drop.
        drop(left);
    }

    fn lines(&self) -> RwLockReadGuard<'_, Vec<Line>> {
        // Each change leaves the list whole.
        self.lines.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines_to_change(&self) -> RwLockWriteGuard<'_, Vec<Line>> {
        self.lines.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at a line that there is: of those who want the same, or, where there is no room for another, one that has it too.
fn join(lines: &[Line], kinds: Kinds) -> Option<broadcast::Receiver<Arc<Heard>>> {
    let has_room = lines.len() < MOST_LINES;
    let same = lines.iter().find(|line| line.kinds == kinds);
    let line = same.or_else(|| lines.iter().find(|line| !has_room && line.kinds.includes(kinds)))?;
    Some(line.sender.subscribe())
}

/// Which kinds somebody wants.
#[derive(Debug, Default)]
struct Wanted([AtomicU64; 2]);

impl Wanted {
    fn contains(&self, kind: Kind) -> bool {
        let number = kind.number();
        self.0[number / 64].load(Ordering::Relaxed) >> (number % 64) & 1 == 1
    }

    fn set(&self, lines: &[Line]) {
        let kinds = lines.iter().fold(Kinds::NONE, |kinds, line| kinds.or(line.kinds));
        self.0.iter().zip(kinds.words()).for_each(|(word, bits)| word.store(bits, Ordering::Relaxed));
    }
}

/// Held by a subscriber, which lets go of its line before this is dropped.
#[derive(Debug)]
pub(super) struct Subscription(Weak<Switchboard>);

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(switchboard) = self.0.upgrade() {
            switchboard.clear();
        }
    }
}

#[cfg(test)]
impl Emitter {
    fn line_count(&self) -> usize {
        self.0.lines().len()
    }
}

#[cfg(test)]
mod tests;
