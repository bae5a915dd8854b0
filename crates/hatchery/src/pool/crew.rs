//! The seats of one pool as a whole: how many there are, their tasks, and their end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::seat::{Hiring, Order, Seat};
use super::seats::{NotGivenUp, Seats};
use super::{Config, Shared};
use crate::app::App;
use crate::panic;
use crate::process::Escalation;
use crate::run::Run;
use crate::telemetry::{PoolEvent, RecycleReason};
use crate::worker::Template;

/// Dropped, everything in it ends at once.
pub(crate) struct Crew {
    pub(crate) shared: Arc<Shared>,
    hiring: Hiring,
    /// Where its tasks run, whoever asks for one.
    runtime: Handle,
    stop: watch::Sender<Option<Escalation>>,
    tasks: Mutex<JoinSet<()>>,
    /// How many of them there are, for seats and for what is done to them.
    busy: Arc<watch::Sender<usize>>,
    /// And how many for the template.
    templates: Arc<watch::Sender<usize>>,
}

/// A seat whose keeping failed is not kept again at once.
const AFTER_A_PANIC: Duration = Duration::from_secs(1);

/// Counts a task for as long as it lives, however it ends.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(count: &Arc<watch::Sender<usize>>) -> Counted {
        count.send_modify(|count| *count += 1);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Crew {
    pub(crate) fn new(shared: Arc<Shared>, hiring: Hiring) -> Crew {
        let template =
            Template::of(&shared.name, &hiring.run, &hiring.emitter, &shared.rules().config.worker).map(Arc::new);
        let crew = Crew {
            shared,
            hiring: Hiring { template, ..hiring },
            runtime: Handle::current(),
            stop: watch::Sender::new(None),
            tasks: Mutex::default(),
            busy: Arc::new(watch::Sender::new(0)),
            templates: Arc::new(watch::Sender::new(0)),
        };
        crew.keep_template();
        crew
    }

    /// Until every seat is empty, for good: what is forked from it must have an owner first.
    fn keep_template(&self) {
        let Some(template) = self.hiring.template.clone() else { return };
        let (mut stop, mut busy) = (self.stop.subscribe(), self.busy.subscribe());
        let counted = Counted::new(&self.templates);
        let task = async move {
            let _counted = counted;
            let over = async {
                let _pool_is_gone = stop.wait_for(Option::is_some).await.is_err();
                let _never_fails = busy.wait_for(|count| *count == 0).await.is_ok();
            };
            template.keep(over).await;
        };
        self.lock_tasks().spawn_on(task, &self.runtime);
    }

    pub(crate) fn run(&self) -> Arc<Run> {
        Arc::clone(&self.hiring.run)
    }

    /// From now on there are so many seats. New ones are filled in batches; those that are too many are cleared. Says how many
    /// there were.
    pub(crate) fn resize(&self, wanted: usize) -> usize {
        self.arrange(|seats| seats.resize(wanted))
    }

    /// The same, and tells so.
    pub(crate) fn scale(&self, wanted: usize) {
        let from = self.resize(wanted);
        self.tell_scaled(from, wanted);
    }

    /// One seat fewer; whoever sits there is ended by the pool's graces.
    pub(super) fn retire(&self, seat: usize) -> Result<(), NotGivenUp> {
        let left = self.arrange(|seats| seats.give_up(seat))?;
        self.tell_scaled(left + 1, left);
        Ok(())
    }

    fn tell_scaled(&self, from: usize, to: usize) {
        self.shared.tell(PoolEvent::Scaled { pool: self.shared.name.to_string(), from, to });
    }

    /// Whoever sits there is ended by the pool's graces, and another follows.
    pub(super) fn restart(&self, seat: usize) {
        self.shared.order(seat, Order::Restart);
    }

    /// Changes which seats there are to be, and has it so.
    fn arrange<R>(&self, change: impl FnOnce(&mut Seats) -> R) -> R {
        let (result, new) = {
            let mut seats = self.shared.lock_seats();
            let result = change(&mut seats);
            // A pool that ends fills nothing.
            let new = if self.stop.borrow().is_some() { Vec::new() } else { seats.settle() };
            (result, new)
        };
        self.shared.standing.expect(new.len());
        let batches = self.shared.rules().config.batches;
        for (order, (number, orders)) in new.into_iter().enumerate() {
            let batch = u32::try_from(order / batches.size.max(1)).unwrap_or(u32::MAX);
            self.fill(number, orders, batches.delay.saturating_mul(batch));
        }
        result
    }

    /// From now on this holds, as far as running workers allow; where they do not, each `is_to_be_renewed`.
    pub(crate) fn obey(&self, app: Arc<dyn App>, config: Config, is_to_be_renewed: bool) {
        let rules = self.shared.obey(app, config);
        self.hiring.template.iter().for_each(|template| template.obey(&rules.config.worker));
        if is_to_be_renewed {
            self.renew(None, RecycleReason::Reload);
        }
    }

    fn fill(&self, number: usize, orders: mpsc::UnboundedReceiver<Order>, after: Duration) {
        let (shared, hiring, stop) = (Arc::clone(&self.shared), self.hiring.clone(), self.stop.subscribe());
        let counted = Counted::new(&self.busy);
        let task = async move {
            let _counted = counted;
            let (mut orders, mut after) = (orders, after);
            loop {
                let mut seat = Seat::new(Arc::clone(&shared), hiring.clone(), number, orders, stop.clone(), after);
                let mut keeping = JoinSet::new();
                keeping.spawn(async move { seat.keep().await });
                let Some(Err(error)) = keeping.join_next().await else { return };
                if !error.is_panic() {
                    return;
                }
                // Its workers went with it. Somebody else keeps the seat, if it is wanted still.
                let payload = error.into_panic();
                shared.seat_failed(number, panic::message_of(&*payload), AFTER_A_PANIC);
                let Some(link) = shared.lock_seats().link_again(number) else { return };
                (orders, after) = (link, AFTER_A_PANIC);
            }
        };
        self.lock_tasks().spawn_on(task, &self.runtime);
    }

    /// Every worker is replaced, in batches, each by one that is ready before it goes.
    pub(crate) fn renew(&self, seat: Option<usize>, reason: RecycleReason) {
        let batches = self.shared.rules().config.batches;
        if reason == RecycleReason::Reload {
            self.hiring.template.iter().for_each(|template| template.renew());
        }
        let numbers: Vec<usize> = match seat {
            Some(seat) => vec![seat],
            None => self.shared.lock_seats().wanted.iter().copied().collect(),
        };
        let shared = Arc::clone(&self.shared);
        let counted = Counted::new(&self.busy);
        let mut stop = self.stop.subscribe();
        let task = async move {
            let _counted = counted;
            for batch in numbers.chunks(batches.size.max(1)) {
                batch.iter().for_each(|number| shared.order(*number, Order::Renew(reason)));
                let pause =
                    tokio::time::sleep(if batch.len() < numbers.len() { batches.delay } else { Duration::ZERO });
                tokio::select! {
                    _ended = stop.wait_for(Option::is_some) => return,
                    () = pause => {}
                }
            }
        };
        self.lock_tasks().spawn_on(task, &self.runtime);
    }

    /// Takes no more calls, and tells the workers to end. Who told them first is obeyed.
    pub(crate) fn end(&self, how: Escalation) {
        self.shared.close();
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(how);
            is_first
        });
    }

    /// It was told to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Waits until every seat is empty.
    pub(crate) async fn gone(&self) {
        let mut busy = self.busy.subscribe();
        let _never_fails = busy.wait_for(|count| *count == 0).await.is_ok();
        let _nor_does_this = self.templates.subscribe().wait_for(|count| *count == 0).await.is_ok();
    }

    /// Drops every task where it stands, and with it the lives in it.
    pub(crate) fn abort(&self) {
        self.lock_tasks().abort_all();
    }

    fn lock_tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks
    }

    /// Takes no more calls, and waits until those that it has are served.
    pub(crate) async fn drained(&self) {
        self.shared.change(super::roster::Roster::drain);
        self.shared.tell(PoolEvent::Draining { pool: self.shared.name.to_string() });
        self.shared.drained().await;
    }
}
