//! Keeps one seat filled: a life, a pause, the next one; and, to replace a worker, the next one beside it, until that is
//! ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::Shared;
use super::restarts::Backoff;
use crate::error::{Error, ErrorKind};
use crate::host::HostTools;
use crate::id::{LifeId, WorkerId};
use crate::process::Escalation;
use crate::run::Run;
use crate::session::Sessions;
use crate::telemetry::{Emitter, Event, PoolEvent, RecycleReason, WorkerEvent};
use crate::worker::{self, Exit, Template, Word};

/// What a seat is told.
#[derive(Debug)]
pub(super) enum Order {
    /// This life takes calls.
    Ready(u64),
    /// This life has finished what it had.
    Drained(u64),
    /// This life is to be replaced, if it is still the one that sits here.
    Replace(u64, RecycleReason),
    /// Whoever sits here is to be replaced.
    Renew(RecycleReason),
    /// Whoever sits here is to end within the graces, and another to follow.
    Restart,
    /// Nobody is to sit here any more, once those who do have finished what they have.
    Clear,
    /// Somebody is, after all.
    Refill,
}

/// What the pool tells its seats: go on, or end like this. Dropped: end at once.
pub(super) type Stop = watch::Receiver<Option<Escalation>>;

/// What every seat of a pool is filled with.
#[derive(Clone)]
pub(crate) struct Hiring {
    pub(crate) run: Arc<Run>,
    pub(crate) emitter: Emitter,
    pub(crate) host_tools: HostTools,
    pub(crate) sessions: Sessions,
    /// The pool's own.
    pub(crate) template: Option<Arc<Template>>,
}

pub(super) struct Seat {
    shared: Arc<Shared>,
    hiring: Hiring,
    number: usize,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Of the pool.
    stop: Stop,
    lives: BTreeMap<u64, Life>,
    tasks: JoinSet<Exit>,
    /// Who sits here.
    holder: Option<u64>,
    /// Who is to follow while the holder still serves.
    successor: Option<u64>,
    /// When the next life begins: the holder's, if nobody sits here, else its successor's.
    next_start: Option<Instant>,
    /// Why the holder is to be replaced.
    reason: Option<RecycleReason>,
    is_cleared: bool,
    is_decided: bool,
    backoff: Backoff,
}

/// One life in the seat.
struct Life {
    task: Id,
    began: Instant,
    /// To end.
    word: watch::Sender<Option<Word>>,
}

/// Leaves nothing behind when the seat's task is dropped half-way, as when a runtime ends.
impl Drop for Seat {
    fn drop(&mut self) {
        for generation in std::mem::take(&mut self.lives).into_keys() {
            self.shared.gone(LifeId { seat: self.number, generation });
        }
        self.decide();
    }
}

impl Seat {
    /// `after` says when the first life begins.
    pub(super) fn new(
        shared: Arc<Shared>,
        hiring: Hiring,
        number: usize,
        orders: mpsc::UnboundedReceiver<Order>,
        stop: Stop,
        after: Duration,
    ) -> Seat {
        Seat {
            shared,
            hiring,
            number,
            orders,
            stop,
            lives: BTreeMap::new(),
            tasks: JoinSet::new(),
            holder: None,
            successor: None,
            next_start: Some(Instant::now() + after),
            reason: None,
            is_cleared: false,
            is_decided: false,
            backoff: Backoff::default(),
        }
    }

    /// Until the pool ends, or the seat is cleared.
    pub(super) async fn keep(&mut self) {
        while !self.is_left() {
            tokio::select! {
                biased;
                how = told(&mut self.stop) => return self.end(how).await,
                Some(order) = self.orders.recv() => self.obey(order),
                Some(ended) = self.tasks.join_next_with_id() => match ended {
                    Ok((task, exit)) => self.bury(task, exit),
                    Err(error) => self.bury(error.id(), panicked(&error)),
                },
                () = until(self.next_start) => self.begin(),
            }
        }
    }

    /// Nobody is here, nobody is to come, and nobody can say otherwise any more.
    fn is_left(&mut self) -> bool {
        if !self.is_cleared || !self.lives.is_empty() {
            return false;
        }
        let mut seats = self.shared.lock_seats();
        let is_left = self.orders.is_empty();
        if is_left {
            seats.orders.remove(&self.number);
        }
        is_left
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Ready(generation) => self.took_its_place(generation),
            Order::Drained(generation) => self.tell_to_end(generation),
            Order::Replace(generation, reason) if self.holder == Some(generation) => self.replace(reason),
            Order::Replace(..) => {}
            Order::Renew(reason) => self.renew(reason),
            Order::Restart => self.restart(),
            Order::Clear => self.clear(),
            Order::Refill if self.is_cleared => {
                self.is_cleared = false;
                self.next_start = Some(Instant::now());
            }
            Order::Refill => {}
        }
    }

    /// A start, of the holder or of its successor.
    fn begin(&mut self) {
        self.next_start = None;
        let generation = self.shared.next_generation(self.number);
        let (word, told) = watch::channel(None);
        let place = if self.holder.is_none() { &mut self.holder } else { &mut self.successor };
        *place = Some(generation);
        let seat = self.life(generation);
        let task = self.tasks.spawn(worker::run(seat, told)).id();
        self.lives.insert(generation, Life { task, began: Instant::now(), word });
    }

    fn life(&self, generation: u64) -> Arc<worker::Seat> {
        let rules = self.shared.rules();
        Arc::new(worker::Seat {
            life: LifeId { seat: self.number, generation },
            id: WorkerId::new(&self.shared.name, self.number),
            pool: Arc::clone(&self.shared.name),
            run: Arc::clone(&self.hiring.run),
            app: Arc::clone(&rules.app),
            template: self.hiring.template.clone(),
            profile: rules.config.profile.clone(),
            transport: rules.config.transport.clone(),
            sessions: self.hiring.sessions.clone(),
            config: rules.config.worker.clone(),
            emitter: self.hiring.emitter.clone(),
            host_tools: self.hiring.host_tools.clone(),
            arena: self.shared.arena.clone(),
            owner: Arc::clone(&self.shared) as Arc<dyn worker::Owner>,
        })
    }

    fn took_its_place(&mut self, generation: u64) {
        self.decide();
        if self.successor != Some(generation) {
            return;
        }
        self.successor = None;
        if let Some(old) = self.holder.replace(generation) {
            self.tell_recycled(old);
            self.dismiss(old);
        }
    }

    fn replace(&mut self, reason: RecycleReason) {
        // One that has not begun, or is to be replaced already, is new enough.
        if self.holder.is_some() && self.successor.is_none() && !self.is_cleared {
            self.reason = Some(reason);
            self.next_start.get_or_insert_with(Instant::now);
        }
    }

    /// Somebody's word, who may have mended what made earlier starts fail: the next one does not wait for its time.
    fn renew(&mut self, reason: RecycleReason) {
        // One that is to follow already may have begun with what held before.
        if reason == RecycleReason::Reload
            && let Some(successor) = self.successor.take()
        {
            self.dismiss(successor);
        }
        self.replace(reason);
        if self.is_decided {
            self.next_start = self.next_start.map(|_later| Instant::now());
        }
    }

    /// Somebody's word too: what failed here before counts no more. One that is to follow already follows sooner.
    fn restart(&mut self) {
        self.backoff = Backoff::default();
        let ended: Vec<u64> = self.lives.keys().copied().filter(|life| Some(*life) != self.successor).collect();
        ended.into_iter().for_each(|generation| self.tell_to_end(generation));
        if self.holder.is_none() {
            self.next_start = self.next_start.map(|_later| Instant::now());
        }
    }

    fn clear(&mut self) {
        self.is_cleared = true;
        self.next_start = None;
        [self.successor.take(), self.holder.take()].into_iter().flatten().for_each(|life| self.dismiss(life));
    }

    /// One that serves finishes what it has; one that has not begun to serve never does.
    fn dismiss(&mut self, generation: u64) {
        let life = LifeId { seat: self.number, generation };
        match self.shared.is_ready(life) {
            true => self.shared.retire(life),
            false => self.tell_to_end(generation),
        }
    }

    fn tell_to_end(&mut self, generation: u64) {
        if let Some(Life { word, .. }) = self.lives.get(&generation) {
            word.send_replace(Some(Word::Leave(self.shared.rules().config.stop.within(Duration::MAX))));
        }
    }

    fn bury(&mut self, task: Id, exit: Exit) {
        let Some(generation) = self.lives.iter().find(|(_, life)| life.task == task).map(|(life, _)| *life) else {
            return;
        };
        let Some(Life { began, word, .. }) = self.lives.remove(&generation) else { return };
        let (lived, was_told) = (began.elapsed(), word.borrow().is_some());
        let life = LifeId { seat: self.number, generation };
        let has_answered = self.shared.has_answered(life);
        self.shared.gone(life);
        let (Exit::Served(error) | Exit::NeverReady(error)) = &exit;
        if matches!(exit, Exit::NeverReady(_)) && !was_told {
            self.shared.never_ready(error, !self.is_decided);
        }
        if error.kind() == ErrorKind::WorkerDied {
            self.shared.crashed(life, error);
        }
        if self.successor == Some(generation) {
            self.successor = None;
            self.not_replaced(error, lived);
        } else if self.holder == Some(generation) {
            self.holder = self.successor.take();
            if self.holder.is_none() && !self.is_cleared {
                self.shared.standing.ended(error);
                match was_told {
                    // Nothing failed.
                    true => self.next_start = Some(Instant::now()),
                    false => self.start_again(error, lived, has_answered),
                }
            }
        }
        self.decide();
    }

    fn start_again(&mut self, why: &Error, lived: Duration, has_answered: bool) {
        let after = self.backoff.after(lived, has_answered, self.shared.rules().config.restarts);
        self.next_start = Some(Instant::now() + after);
        self.shared.counts.restarts.one_more();
        let pool = self.shared.name.to_string();
        let event = WorkerEvent::Restarting { pool, after, reason: why.to_string() };
        self.hiring.emitter.emit(Event::Worker(event));
    }

    /// The holder serves on, and another try follows.
    fn not_replaced(&mut self, why: &Error, lived: Duration) {
        let worker = WorkerId::new(&self.shared.name, self.number);
        let after = self.backoff.after(lived, false, self.shared.rules().config.restarts).max(FIRST_RETRY);
        self.shared.tell(PoolEvent::NotReplaced { worker, after, reason: why.to_string() });
        self.next_start = (!self.is_cleared).then(|| Instant::now() + after);
    }

    fn tell_recycled(&mut self, generation: u64) {
        if let Some(reason) = self.reason.take() {
            let worker = WorkerId::new(&self.shared.name, self.number);
            self.shared.recycled(reason);
            self.shared.tell(PoolEvent::Recycled { worker, generation, reason });
        }
    }

    /// The first start has come to an end.
    fn decide(&mut self) {
        if !std::mem::replace(&mut self.is_decided, true) {
            self.shared.decided();
        }
    }

    /// The pool ends.
    async fn end(&mut self, how: Escalation) {
        for life in self.lives.values() {
            life.word.send_replace(Some(Word::Close(how)));
        }
        // Each is gone for the roster as soon as it is, not when all are.
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let task = ended.map_or_else(|error| error.id(), |(task, _)| task);
            let ended: Vec<u64> =
                self.lives.extract_if(.., |_, life| life.task == task).map(|(generation, _)| generation).collect();
            ended.into_iter().for_each(|generation| self.shared.gone(LifeId { seat: self.number, generation }));
        }
    }
}

/// A replacement that failed is not tried again at once: nothing is wrong with the one that serves.
const FIRST_RETRY: Duration = Duration::from_secs(1);

fn panicked(error: &JoinError) -> Exit {
    Exit::Served(Error::new(ErrorKind::Internal, format!("the life of a worker failed: {error}")))
}

/// Waits for the pool's word. A pool that is gone means: at once.
async fn told(stop: &mut Stop) -> Escalation {
    match stop.wait_for(Option::is_some).await {
        Ok(how) => how.unwrap_or(Escalation::AT_ONCE),
        Err(_) => Escalation::AT_ONCE,
    }
}

async fn until(start: Option<Instant>) {
    match start {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
