//! Keeps one seat filled: a worker's life, a pause, the next one, until the pool ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Shared;
use crate::error::{Error, Result};
use crate::host::HostTools;
use crate::id::WorkerId;
use crate::run::Run;
use crate::telemetry::{Emitter, Event, WorkerEvent};
use crate::worker::{self, Exit, Seat, Stop};

/// Tells the one who starts the pool how the first start of each seat went, once per seat.
#[derive(Clone)]
pub(crate) struct Starts(mpsc::UnboundedSender<Result<()>>);

impl Starts {
    pub(crate) fn new() -> (Starts, mpsc::UnboundedReceiver<Result<()>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Starts(sender), receiver)
    }

    // Nobody listens once the pool has started.
    pub(super) fn ready(&self) {
        let _started = self.0.send(Ok(()));
    }

    fn failed(&self, error: Error) {
        let _started = self.0.send(Err(error));
    }
}

/// Empties the seat when its keeper is no more, also when it is dropped half-way, as when a runtime ends.
struct Vacating {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Vacating {
    fn drop(&mut self) {
        self.shared.vacate(self.number);
    }
}

/// What every seat of a pool is filled with.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) run: Arc<Run>,
    pub(crate) emitter: Emitter,
    pub(crate) host_tools: Arc<HostTools>,
    pub(crate) stop: Stop,
}

impl Keeper {
    pub(crate) async fn keep(mut self, number: usize) {
        let _empty_in_the_end = Vacating { shared: Arc::clone(&self.shared), number };
        for generation in 1.. {
            let began = Instant::now();
            let exit = worker::run(self.seat(number, generation), self.stop.clone()).await;
            let pause = self.shared.gone(number, began.elapsed());
            if self.is_told() {
                return;
            }
            let (Exit::Served(error) | Exit::NeverReady(error)) = &exit;
            self.shared.remember_end(error);
            if generation == 1 && matches!(exit, Exit::NeverReady(_)) {
                // It ends the start, and with it the pool: nobody follows.
                return self.shared.starts.failed(error.clone());
            }
            self.say_restarting(pause, error);
            if self.told_within(pause).await {
                return;
            }
        }
    }

    fn seat(&self, number: usize, generation: u64) -> Arc<Seat> {
        Arc::new(Seat {
            number,
            id: WorkerId::new(&self.shared.name, number),
            generation,
            pool: Arc::clone(&self.shared.name),
            run: Arc::clone(&self.run),
            app: Arc::clone(&self.shared.app),
            config: self.shared.config.worker.clone(),
            emitter: self.emitter.clone(),
            host_tools: Arc::clone(&self.host_tools),
            owner: Arc::clone(&self.shared) as Arc<dyn worker::Owner>,
        })
    }

    /// Whether the pool ends, or is gone.
    fn is_told(&self) -> bool {
        self.stop.borrow().is_some() || self.stop.has_changed().is_err()
    }

    async fn told_within(&mut self, pause: Duration) -> bool {
        tokio::select! {
            _told_or_gone = self.stop.wait_for(Option::is_some) => true,
            () = tokio::time::sleep(pause) => false,
        }
    }

    fn say_restarting(&self, after: Duration, why: &Error) {
        let pool = self.shared.name.to_string();
        self.emitter.emit(Event::Worker(WorkerEvent::Restarting { pool, after, reason: why.to_string() }));
    }
}
