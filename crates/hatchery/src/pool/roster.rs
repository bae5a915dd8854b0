//! Decides which worker runs which call, and when: plain data, no I/O, no clock. `pool/shared.rs` carries out what it says.
//!
//! Whoever brings news (a call, an answer, a worker) tells it, and then asks for the next [`Step`] until there is none.
//! Generic over the call and the worker, so that its tests are scripts of words.

mod ahead;
mod chain;
mod door;
mod lives;
mod looks;
mod numbered;
mod pace;
mod queue;
mod room;
mod talks;
mod terms;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Affinity, Priority};
use crate::id::{CallId, LifeId};
use door::Door;
use lives::Lives;
use numbered::ByNumber;
use pace::Paces;
pub(crate) use pace::ToolNumber;
use queue::{Place, Queue, Tenant};
use room::{Room, Rooms};
use talks::Talks;
pub(crate) use terms::{Admission, Done, Occupant, Refusal, Retired, SessionWants, Step, Totals, Wants, Whereabouts};

/// What the roster obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// Calls that one worker may have at once.
    pub(crate) per_worker: usize,
    /// Calls that may wait.
    pub(crate) max_queue: usize,
    /// Calls after which a worker is to be replaced, at every multiple.
    pub(crate) max_requests: Option<u64>,
}

/// Which calls wait, which run where, and which workers can take more.
///
/// `C` is a call as the pool holds it, `W` a handle of a ready worker.
#[derive(Debug)]
pub(crate) struct Roster<C, W> {
    config: Config,
    lives: Lives<Life<C, W>>,
    /// Those that can take calls.
    free: Rooms,
    /// Those that are busy, and to which a call can be sent ahead.
    ahead: Rooms,
    paces: Paces,
    /// For any worker.
    common: Queue<Entry<C>>,
    waiting: ByNumber<Spot>,
    running: ByNumber<Running>,
    talks: Talks,
    /// Those that cannot be served any more, to be told.
    dropped: VecDeque<(C, Refusal)>,
    next_id: CallId,
    door: Door,
    totals: Totals,
}

/// One worker, from ready to gone.
#[derive(Debug)]
enum Life<C, W> {
    Ready(Box<Ready<C, W>>),
    /// Takes no more calls; those that it has may still end well.
    Leaving {
        worker: W,
        load: usize,
        answered: u64,
    },
    /// Was killed and is still there.
    Held {
        /// One that was never ready is nobody.
        worker: Option<W>,
    },
}

#[derive(Debug)]
struct Ready<C, W> {
    worker: W,
    load: usize,
    /// Calls that it has answered.
    answered: u64,
    /// Takes no calls for the time being.
    is_barred: bool,
    /// Calls may lie in it behind others.
    takes_ahead: bool,
    /// What the calls that it has are expected to take.
    work: Duration,
    /// When it began what it is at: its last answer, or its first call after a pause.
    since: Instant,
    /// It has been at it for longer than was expected.
    is_stalled: bool,
    /// Calls for it alone.
    pinned: Queue<Entry<C>>,
}

/// A call that waits.
#[derive(Debug)]
struct Entry<C> {
    id: CallId,
    call: C,
    wants: Wants,
}

/// Where it does.
#[derive(Clone, Copy, Debug)]
struct Spot {
    line: Line,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Common,
    Pinned(LifeId),
}

#[derive(Debug)]
struct Running {
    life: LifeId,
    /// `None` for what the pool does itself.
    wants: Option<Wants>,
    /// What it was expected to take.
    work: Duration,
    /// Nobody waits for it any more.
    is_given_up: bool,
}

/// To the end of a line, or to its head.
type Put<C> = fn(&mut Queue<Entry<C>>, Priority, &Tenant, Entry<C>) -> Place;

enum Choice {
    Now(LifeId),
    /// To one that is busy.
    Ahead(LifeId),
    Wait(Line),
    Refuse(Refusal),
}

impl<C, W: Clone> Roster<C, W> {
    pub(crate) fn new(config: Config) -> Roster<C, W> {
        Roster {
            config,
            lives: Lives::default(),
            free: Rooms::default(),
            ahead: Rooms::default(),
            paces: Paces::default(),
            common: Queue::default(),
            waiting: ByNumber::default(),
            running: ByNumber::default(),
            talks: Talks::default(),
            dropped: VecDeque::new(),
            next_id: 1,
            door: Door::Open,
            totals: Totals::default(),
        }
    }

    /// From now on it obeys this. Who has room now has it at once.
    pub(crate) fn obey(&mut self, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        for (life, state) in self.lives.iter() {
            if let Life::Ready(ready) = state {
                self.free.moved(life, ready.room(before.per_worker), ready.room(config.per_worker));
                self.ahead.moved(life, ready.room_ahead(&before), ready.room_ahead(&config));
            }
        }
    }

    /// A new call. To its worker if that has room, else to the end of its line.
    pub(crate) fn admit(&mut self, call: C, wants: Wants, now: Instant) -> (Admission<C>, Option<Step<C, W>>) {
        if self.door != Door::Open {
            return (Admission::Refused(call, Refusal::Closed { draining: self.door == Door::Draining }), None);
        }
        let id = self.next_id;
        if let Some(session) = &wants.session {
            self.talks.admitted(session);
        }
        match self.choose_or_send_ahead(&wants, now) {
            Choice::Refuse(refusal) => (Admission::Refused(call, refusal), None),
            Choice::Wait(_) if self.waiting.len() >= self.config.max_queue => {
                self.totals.saturated += 1;
                (Admission::Refused(call, Refusal::Full), None)
            }
            Choice::Now(life) => {
                self.count_in(false);
                let step = self.assign(life, Entry { id, call, wants }, now);
                (Admission::Admitted { id, waits: false }, step)
            }
            Choice::Ahead(life) => {
                self.count_in(true);
                let step = self.assign(life, Entry { id, call, wants }, now);
                (Admission::Admitted { id, waits: true }, step)
            }
            Choice::Wait(line) => {
                self.count_in(true);
                self.wait(line, Entry { id, call, wants }, Queue::append);
                (Admission::Admitted { id, waits: true }, None)
            }
        }
    }

    /// What is to be done next, if anything. To be asked again until there is nothing.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Step<C, W>> {
        loop {
            if let Some((call, refusal)) = self.dropped.pop_front() {
                return Some(Step::Drop(call, refusal));
            }
            let (life, line) = self.next_line().or_else(|| self.next_ahead(now))?;
            let entry = self.pop(line)?;
            if entry.wants.is_expired(now) {
                return Some(Step::Drop(entry.call, Refusal::Expired));
            }
            if let Some(step) = self.assign(life, entry, now) {
                return Some(step);
            }
        }
    }

    /// The worker turned out to be leaving when the call was to be written: it has not seen it. The call is the first of its line
    /// again, unless nobody waits for it any more.
    pub(crate) fn take_back(&mut self, id: CallId, call: C, now: Instant) -> Option<Retired> {
        let Running { life, wants, work, is_given_up } = self.running.remove(&id)?;
        if let Some(Life::Ready(_)) = self.lives.get(life) {
            self.change(life, |ready| ready.less(1, work));
        } else if let Some(Life::Leaving { load, .. }) = self.lives.get_mut(life) {
            *load -= 1;
        }
        let retired = self.retire(life);
        if !is_given_up {
            self.requeue(id, call, wants.unwrap_or_default(), now);
        }
        Some(retired)
    }

    fn requeue(&mut self, id: CallId, call: C, wants: Wants, now: Instant) {
        if self.door == Door::Closed {
            return self.dropped.push_back((call, Refusal::Closed { draining: false }));
        }
        // Whoever watched it in the queue has seen it leave, and watches no more.
        if wants.is_expired(now) {
            return self.dropped.push_back((call, Refusal::Expired));
        }
        self.put_back(Entry { id, call, wants });
    }

    /// To the head of its line, wherever that is now.
    fn put_back(&mut self, entry: Entry<C>) {
        match self.choose(&entry.wants) {
            Choice::Refuse(refusal) => self.dropped.push_back((entry.call, refusal)),
            Choice::Wait(line) => self.wait(line, entry, Queue::prepend),
            // The next step gives it to whoever is free.
            Choice::Now(life) | Choice::Ahead(life) => {
                let is_for_it_alone = entry.wants.seat.is_some() || self.talks.is_bound(&entry.wants);
                let line = if is_for_it_alone { Line::Pinned(life) } else { Line::Common };
                self.wait(line, entry, Queue::prepend);
            }
        }
    }

    /// Takes the call back if it still waits.
    pub(crate) fn withdraw(&mut self, id: CallId) -> Option<C> {
        let Spot { line, place } = self.waiting.remove(&id)?;
        let entry = match line {
            Line::Common => self.common.remove(place),
            Line::Pinned(life) => self.change(life, |ready| ready.pinned.remove(place))?,
        };
        self.talks.left(line, &entry.wants, id);
        Some(entry.call)
    }

    /// Nobody waits for the call any more.
    pub(crate) fn give_up(&mut self, id: CallId) -> Whereabouts<C, W> {
        if let Some(call) = self.withdraw(id) {
            return Whereabouts::Queue(call);
        }
        let running = self.running.get_mut(&id);
        let life = running.map(|running| {
            running.is_given_up = true;
            running.life
        });
        let worker = life.and_then(|life| worker_of(self.lives.get(life)?));
        worker.map_or(Whereabouts::Nowhere, |worker| Whereabouts::Worker(worker.clone()))
    }

    /// A worker came up.
    pub(crate) fn ready(&mut self, life: LifeId, worker: W, takes_ahead: bool, now: Instant) {
        if self.door != Door::Closed {
            self.lives.insert(
                life,
                Life::Ready(Box::new(Ready {
                    worker,
                    load: 0,
                    answered: 0,
                    is_barred: false,
                    takes_ahead: takes_ahead && self.config.per_worker == 1,
                    work: Duration::ZERO,
                    since: now,
                    is_stalled: false,
                    pinned: Queue::default(),
                })),
            );
            self.free.moved(life, Room::default(), Room { load: Some(0), is_eager: false });
        }
    }

    /// It takes no calls until it is let in again.
    pub(crate) fn bar(&mut self, life: LifeId, is_barred: bool) {
        self.change(life, |ready| ready.is_barred = is_barred);
    }

    /// It takes no more calls; those that it has go on.
    pub(crate) fn retire(&mut self, life: LifeId) -> Retired {
        self.change(life, |ready| ready.is_barred = true);
        match self.lives.remove(life) {
            Some(Life::Ready(ready)) => {
                let Ready { worker, load, answered, pinned, .. } = *ready;
                self.lives.insert(life, Life::Leaving { worker, load, answered });
                self.lose(life, pinned);
                Retired { was_ready: true, is_drained: load == 0 }
            }
            Some(other) => {
                let is_drained = matches!(other, Life::Leaving { load: 0, .. });
                self.lives.insert(life, other);
                Retired { was_ready: false, is_drained }
            }
            None => Retired { was_ready: false, is_drained: false },
        }
    }

    /// What waited for it alone waits for nobody, unless it is for whoever sits there: then for its successor, before those that came
    /// since that is there.
    fn lose(&mut self, life: LifeId, mut pinned: Queue<Entry<C>>) {
        let mut named = Vec::new();
        while let Some(entry) = pinned.pop() {
            self.waiting.remove(&entry.id);
            self.talks.left(Line::Pinned(life), &entry.wants, entry.id);
            match entry.wants.seat {
                Some(_) => named.push(entry),
                None => self.dropped.push_back((entry.call, Refusal::StateLost(life))),
            }
        }
        named.into_iter().rev().for_each(|entry| self.put_back(entry));
    }

    /// It was killed and is still there. Its calls are lost.
    pub(crate) fn hold(&mut self, life: LifeId) {
        self.retire(life);
        let worker = match self.lives.remove(life) {
            Some(Life::Leaving { worker, .. }) => Some(worker),
            _ => None,
        };
        self.lives.insert(life, Life::Held { worker });
        self.running.retain(|_, running| running.life != life);
    }

    /// It is gone, and its calls with it. True if it took some until now.
    pub(crate) fn gone(&mut self, life: LifeId) -> bool {
        let Retired { was_ready, .. } = self.retire(life);
        if self.lives.remove(life).is_some() {
            self.running.retain(|_, running| running.life != life);
        }
        was_ready
    }

    /// A place for what the pool itself asks of a worker that has nothing to do.
    pub(crate) fn lease(&mut self, life: LifeId) -> Option<CallId> {
        let is_idle = self.is_idle(life);
        // Nothing is sent behind it.
        let work = self.paces.expected(None);
        let is_taken = is_idle && self.change(life, |ready| ready.more(work, ready.since)).is_some();
        is_taken.then(|| {
            let id = self.next_id;
            self.next_id += 1;
            self.running.insert(id, Running { life, wants: None, work, is_given_up: false });
            id
        })
    }

    /// The sessions that are bound to a worker.
    pub(crate) fn sessions(&self) -> Vec<(Arc<str>, u64)> {
        self.talks.bound_ones()
    }

    /// The sessions that are bound to this life.
    pub(crate) fn sessions_of(&self, life: LifeId) -> Vec<Arc<str>> {
        self.talks.bound_to(life)
    }

    /// Forgets to which worker a session was bound.
    pub(crate) fn forget_session(&mut self, session: &Arc<str>, birth: u64) {
        self.talks.forget(session, birth);
    }

    /// The life that a session is bound to.
    #[cfg(test)]
    fn bound(&self, session: &str, birth: u64) -> Option<LifeId> {
        self.talks.bound(session, birth)
    }

    fn count_in(&mut self, waits: bool) {
        self.next_id += 1;
        self.totals.requests += 1;
        self.totals.queued += u64::from(waits);
    }

    fn choose_or_send_ahead(&mut self, wants: &Wants, now: Instant) -> Choice {
        match self.choose(wants) {
            // Whoever waits already goes first.
            Choice::Wait(Line::Common) if self.common.is_empty() => {
                self.ahead_for(wants, now).map_or(Choice::Wait(Line::Common), Choice::Ahead)
            }
            choice => choice,
        }
    }

    fn choose(&mut self, wants: &Wants) -> Choice {
        if let Some(seat) = wants.seat {
            return self.named(seat);
        }
        let Some(session) = &wants.session else { return self.anyone() };
        let is_hint = session.affinity == Affinity::Hint;
        let bound = self.talks.bound(&session.id, session.birth);
        if (is_hint || bound.is_none()) && self.talks.has_waiting(Line::Common, session) {
            return Choice::Wait(Line::Common);
        }
        let Some(life) = bound else { return self.anyone() };
        match self.lives.get(life) {
            Some(Life::Ready(ready)) if ready.is_barred && !is_hint => Choice::Refuse(Refusal::Tainted(life)),
            Some(Life::Ready(ready)) if self.has_room(ready) && ready.pinned.is_empty() => Choice::Now(life),
            Some(Life::Ready(_)) => match session.affinity {
                Affinity::Hint => self.anyone(),
                Affinity::StrictQueue => Choice::Wait(Line::Pinned(life)),
                Affinity::StrictFailFast => Choice::Refuse(Refusal::Busy(life)),
            },
            _ if is_hint => {
                self.talks.unbind(session);
                self.anyone()
            }
            _ => Choice::Refuse(Refusal::StateLost(life)),
        }
    }

    /// The one worker that a call is for: now, or when its turn there has come. Of two in one seat the elder is about to leave.
    fn named(&self, seat: usize) -> Choice {
        let ready = self.lives.in_seat(seat).filter_map(|(life, state)| match state {
            Life::Ready(ready) => Some((life, ready)),
            Life::Leaving { .. } | Life::Held { .. } => None,
        });
        match ready.last() {
            None => Choice::Refuse(Refusal::NamedAbsent(seat)),
            Some((life, ready)) if ready.is_barred => Choice::Refuse(Refusal::NamedTainted(life)),
            Some((life, ready)) if self.has_room(ready) && ready.pinned.is_empty() => Choice::Now(life),
            Some((life, _)) => Choice::Wait(Line::Pinned(life)),
        }
    }

    fn anyone(&self) -> Choice {
        self.free.least_loaded().map_or(Choice::Wait(Line::Common), Choice::Now)
    }

    fn wait(&mut self, line: Line, entry: Entry<C>, put: Put<C>) {
        let id = entry.id;
        let (priority, tenant) = self.talks.joined(line, &entry.wants, id);
        let place = match line {
            Line::Common => Some(put(&mut self.common, priority, &tenant, entry)),
            Line::Pinned(life) => self.change(life, |ready| put(&mut ready.pinned, priority, &tenant, entry)),
        };
        if let Some(place) = place {
            self.waiting.insert(id, Spot { line, place });
        }
    }

    /// The line whose head comes next, and the worker for it.
    fn next_line(&self) -> Option<(LifeId, Line)> {
        let least_loaded = self.free.least_loaded()?;
        let rank =
            |queue: &Queue<Entry<C>>| queue.front().map(|(priority, entry)| (priority, std::cmp::Reverse(entry.id)));
        let common = rank(&self.common);
        let eager = self.free.first_eager().and_then(|life| match self.lives.get(life)? {
            Life::Ready(ready) => Some((life, rank(&ready.pinned)?)),
            Life::Leaving { .. } | Life::Held { .. } => None,
        });
        match (common, eager) {
            (common, Some((life, pinned))) if common.is_none_or(|common| common < pinned) => {
                Some((life, Line::Pinned(life)))
            }
            (Some(_), _) => Some((least_loaded, Line::Common)),
            (None, _) => None,
        }
    }

    fn pop(&mut self, line: Line) -> Option<Entry<C>> {
        let entry = match line {
            Line::Common => self.common.pop(),
            Line::Pinned(life) => self.change(life, |ready| ready.pinned.pop())?,
        }?;
        self.waiting.remove(&entry.id);
        self.talks.left(line, &entry.wants, entry.id);
        Some(entry)
    }

    fn assign(&mut self, life: LifeId, entry: Entry<C>, now: Instant) -> Option<Step<C, W>> {
        let Entry { id, call, wants } = entry;
        let work = self.paces.expected(wants.tool);
        let worker = self.change(life, |ready| {
            ready.more(work, now);
            ready.worker.clone()
        })?;
        if let Some(session) = &wants.session
            && self.talks.bind(session, life)
        {
            self.pin_those_that_wait(session, life);
        }
        self.running.insert(id, Running { life, wants: Some(wants), work, is_given_up: false });
        Some(Step::Send { id, call, worker })
    }

    /// The session has a worker now: its strict calls that wait for any are for that one.
    fn pin_those_that_wait(&mut self, session: &SessionWants, life: LifeId) {
        for id in self.talks.waiting_in_common(session) {
            let Some(spot) = self.waiting.get(&id).copied() else { continue };
            let affinity = self.common.get(spot.place).wants.session.as_ref().map(|session| session.affinity);
            if affinity.is_none_or(|affinity| affinity == Affinity::Hint) {
                continue;
            }
            let entry = self.common.remove(spot.place);
            self.waiting.remove(&id);
            self.talks.left(Line::Common, &entry.wants, id);
            match affinity {
                Some(Affinity::StrictFailFast) if self.is_full(life) => {
                    self.dropped.push_back((entry.call, Refusal::Busy(life)));
                }
                _ => self.wait(Line::Pinned(life), entry, Queue::append),
            }
        }
    }

    /// Has room, and nothing to do.
    fn is_idle(&self, life: LifeId) -> bool {
        matches!(self.lives.get(life), Some(Life::Ready(ready)) if ready.load == 0 && self.has_room(ready))
    }

    fn has_room(&self, ready: &Ready<C, W>) -> bool {
        ready.room(self.config.per_worker).load.is_some()
    }

    /// The one way to change a ready worker: what is known of its room follows.
    fn change<R>(&mut self, life: LifeId, change: impl FnOnce(&mut Ready<C, W>) -> R) -> Option<R> {
        let Some(Life::Ready(ready)) = self.lives.get_mut(life) else { return None };
        let before = (ready.room(self.config.per_worker), ready.room_ahead(&self.config));
        let result = change(ready);
        let after = (ready.room(self.config.per_worker), ready.room_ahead(&self.config));
        self.free.moved(life, before.0, after.0);
        self.ahead.moved(life, before.1, after.1);
        Some(result)
    }
}

impl<C, W> Ready<C, W> {
    fn room(&self, per_worker: usize) -> Room {
        let load = (!self.is_barred && self.load < per_worker).then_some(self.load);
        Room { load, is_eager: load.is_some() && !self.pinned.is_empty() }
    }
}

fn worker_of<C, W>(life: &Life<C, W>) -> Option<&W> {
    match life {
        Life::Ready(ready) => Some(&ready.worker),
        Life::Leaving { worker, .. } => Some(worker),
        Life::Held { worker } => worker.as_ref(),
    }
}

#[cfg(test)]
mod measuring;
#[cfg(test)]
mod tests;
