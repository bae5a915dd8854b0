//! Decides which worker runs which call, and when: plain data, no I/O, no clock. `pool.rs` carries out what it says.
//!
//! Generic over the call and the worker, so that its tests are scripts of words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::id::CallId;

/// What the roster obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// Seats, each for one worker at a time.
    pub(crate) seats: usize,
    /// Calls that one worker may have at once; 1 in the `process` profile.
    pub(crate) per_worker: usize,
    /// Calls that may wait.
    pub(crate) max_queue: usize,
}

/// Which calls wait, which run where, and which workers can take more.
///
/// `C` is a call as the pool holds it, `W` a handle of a ready worker.
#[derive(Debug)]
pub(crate) struct Roster<C, W> {
    config: Config,
    seats: Vec<Seat<W>>,
    /// Ready seats by load: the first is the least loaded, the lowest number among equals.
    by_load: BTreeSet<(usize, usize)>,
    /// FIFO, as ids rise.
    queue: BTreeMap<CallId, C>,
    running: HashMap<CallId, usize>,
    next_id: CallId,
    is_closed: bool,
}

#[derive(Debug)]
struct Seat<W> {
    state: State<W>,
    /// Lives that came to nothing since the last that did: one call answered, or a long life.
    failures: u32,
}

#[derive(Debug)]
enum State<W> {
    /// No worker, or one that is not ready yet.
    Out,
    Ready {
        worker: W,
        load: usize,
    },
    /// Takes no more calls; those that it has may still end well.
    Leaving {
        worker: W,
        load: usize,
    },
    /// Its worker was killed and is still there. Nobody else may sit here until it is gone.
    Held {
        /// One that was never ready is nobody.
        worker: Option<W>,
    },
}

/// What is known about who sits in a seat.
pub(crate) struct Occupant<'a, W> {
    pub(crate) state: &'static str,
    pub(crate) worker: Option<&'a W>,
    pub(crate) load: usize,
}

/// A worker that lived as long was good, even if it had nothing to do.
const LONG_LIFE: Duration = MAX_BACKOFF;

const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// "Write this call to this worker."
#[derive(Debug)]
pub(crate) struct Send<C, W> {
    pub(crate) id: CallId,
    pub(crate) call: C,
    pub(crate) worker: W,
}

/// The answer to a new call.
#[derive(Debug)]
pub(crate) enum Admission<C, W> {
    Send(Send<C, W>),
    Queued(CallId),
    Full(C),
    Closed(C),
}

/// Where a call was when it was given up.
#[derive(Debug)]
pub(crate) enum Place<C, W> {
    /// It waited, and now never runs.
    Queue(C),
    /// This worker has it and is to be told.
    Worker(W),
    /// It has ended.
    Nowhere,
}

impl<C, W: Clone> Roster<C, W> {
    pub(crate) fn new(config: Config) -> Roster<C, W> {
        Roster {
            config,
            seats: (0..config.seats).map(|_| Seat { state: State::Out, failures: 0 }).collect(),
            by_load: BTreeSet::new(),
            queue: BTreeMap::new(),
            running: HashMap::new(),
            next_id: 1,
            is_closed: false,
        }
    }

    /// A new call. To the least loaded worker if one has room, else to the end of the queue.
    pub(crate) fn admit(&mut self, call: C) -> Admission<C, W> {
        if self.is_closed {
            return Admission::Closed(call);
        }
        let id = self.next_id;
        match self.seat_with_room() {
            Some(seat) => {
                self.next_id += 1;
                Admission::Send(self.assign(seat, id, call))
            }
            None if self.queue.len() >= self.config.max_queue => Admission::Full(call),
            None => {
                self.next_id += 1;
                self.queue.insert(id, call);
                Admission::Queued(id)
            }
        }
    }

    /// The worker answered the call for good. Says which call it takes next.
    pub(crate) fn done(&mut self, id: CallId) -> Option<Send<C, W>> {
        let seat = self.running.remove(&id)?;
        self.seats[seat].failures = 0;
        match &mut self.seats[seat].state {
            State::Out | State::Held { .. } => {}
            State::Leaving { load, .. } => *load -= 1,
            State::Ready { load, .. } => {
                self.by_load.remove(&(*load, seat));
                *load -= 1;
                self.by_load.insert((*load, seat));
            }
        }
        self.next()
    }

    /// Takes the call back if it still waits.
    pub(crate) fn withdraw(&mut self, id: CallId) -> Option<C> {
        self.queue.remove(&id)
    }

    /// Nobody waits for the call any more.
    pub(crate) fn give_up(&mut self, id: CallId) -> Place<C, W> {
        if let Some(call) = self.withdraw(id) {
            return Place::Queue(call);
        }
        match self.running.get(&id).and_then(|&seat| self.seat(seat).worker) {
            Some(worker) => Place::Worker(worker.clone()),
            None => Place::Nowhere,
        }
    }

    /// A worker came up in this seat.
    pub(crate) fn ready(&mut self, seat: usize, worker: W) -> Vec<Send<C, W>> {
        if self.is_closed {
            return Vec::new();
        }
        self.seats[seat].state = State::Ready { worker, load: 0 };
        self.by_load.insert((0, seat));
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The worker in this seat takes no more calls; those that it has go on.
    pub(crate) fn retire(&mut self, seat: usize) {
        let state = &mut self.seats[seat].state;
        if let State::Ready { worker, load } = state {
            self.by_load.remove(&(*load, seat));
            *state = State::Leaving { worker: worker.clone(), load: *load };
        }
    }

    /// The worker of this seat cannot be ended. Its calls are lost; the seat is not given to another.
    pub(crate) fn hold(&mut self, seat: usize) {
        self.retire(seat);
        let state = &mut self.seats[seat].state;
        let worker = if let State::Leaving { worker, .. } = state { Some(worker.clone()) } else { None };
        *state = State::Held { worker };
        self.running.retain(|_, at| *at != seat);
    }

    /// The worker of this seat is gone after so long a life, its calls with it. Says how long to wait before the next
    /// start.
    pub(crate) fn gone(&mut self, seat: usize, lived: Duration) -> Duration {
        self.vacate(seat);
        let failures = if lived < LONG_LIFE { self.seats[seat].failures } else { 0 };
        self.seats[seat].failures = failures.saturating_add(1);
        backoff(failures)
    }

    /// Nobody sits here any more, and nobody is to follow.
    pub(crate) fn vacate(&mut self, seat: usize) {
        self.retire(seat);
        self.seats[seat].state = State::Out;
        self.running.retain(|_, at| *at != seat);
    }

    /// No more calls, and no more waiting ones. Those that run go on.
    pub(crate) fn close(&mut self) -> Vec<C> {
        self.is_closed = true;
        std::mem::take(&mut self.queue).into_values().collect()
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Who sits there, and what it does.
    pub(crate) fn seat(&self, seat: usize) -> Occupant<'_, W> {
        let (state, worker, load) = match &self.seats[seat].state {
            State::Out if self.is_closed => ("gone", None, 0),
            State::Out => ("starting", None, 0),
            State::Ready { worker, load: 0 } => ("idle", Some(worker), 0),
            State::Ready { worker, load } => ("busy", Some(worker), *load),
            State::Leaving { worker, load } => ("draining", Some(worker), *load),
            State::Held { worker } => ("unkillable", worker.as_ref(), 0),
        };
        Occupant { state, worker, load }
    }

    /// The worker of this seat, if it takes calls.
    pub(crate) fn ready_worker(&self, seat: usize) -> Option<&W> {
        match &self.seats[seat].state {
            State::Ready { worker, .. } => Some(worker),
            State::Out | State::Leaving { .. } | State::Held { .. } => None,
        }
    }

    /// The call that has waited longest, if some worker has room.
    fn next(&mut self) -> Option<Send<C, W>> {
        let seat = self.seat_with_room()?;
        let (id, call) = self.queue.pop_first()?;
        Some(self.assign(seat, id, call))
    }

    fn seat_with_room(&self) -> Option<usize> {
        self.by_load.first().filter(|(load, _)| *load < self.config.per_worker).map(|(_, seat)| *seat)
    }

    fn assign(&mut self, seat: usize, id: CallId, call: C) -> Send<C, W> {
        let State::Ready { worker, load } = &mut self.seats[seat].state else {
            unreachable!("by_load holds ready seats only")
        };
        self.by_load.remove(&(*load, seat));
        *load += 1;
        self.by_load.insert((*load, seat));
        self.running.insert(id, seat);
        Send { id, call, worker: worker.clone() }
    }
}

/// The first failure after a good call is mended at once; then 100 ms, doubling up to 30 s.
fn backoff(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => Duration::from_millis(100).saturating_mul(1 << (n - 1).min(16)).min(MAX_BACKOFF),
    }
}

#[cfg(test)]
mod tests;
