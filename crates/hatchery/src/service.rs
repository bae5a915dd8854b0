//! Supervised services: background tasks over state that they do not own. What a life of one leaves half done is the state's to
//! stand, which lives elsewhere; so a panic costs the work of a moment and nothing else.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use crate::panic::message_of;
use crate::telemetry::{Emitter, Event, ServiceEvent};
pub(crate) use restarts::Intensity;
use restarts::Restarts;

mod restarts;

/// Named tasks that live until they are stopped, in the order in which they were started. Dropped, it ends them all at their
/// next `await`.
#[derive(Debug)]
pub(crate) struct Services {
    intensity: Intensity,
    emitter: Emitter,
    started: Mutex<Vec<Service>>,
}

/// What becomes of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// What it does now.
    pub state: ServiceState,
    /// How often it was started again.
    pub restarts: u64,
    /// What its last panic said.
    pub last_panic: Option<String>,
}

/// What a service does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServiceState {
    /// It works.
    Running,
    /// It failed too often in a short time, and waits before it is started again.
    Pausing,
    /// It was told to end.
    Stopped,
}

#[derive(Debug)]
struct Service {
    status: Arc<Mutex<ServiceStatus>>,
    /// Dropped or used, it ends the current life.
    stop: oneshot::Sender<()>,
    supervisor: JoinSet<()>,
}

impl Services {
    pub(crate) fn new(intensity: Intensity, emitter: Emitter) -> Services {
        Services { intensity, emitter, started: Mutex::default() }
    }

    /// Starts a service, and starts it anew whenever it panics or returns: a service has no end of its own. `life` makes a
    /// future for each life; it and the future may panic. Must be called within a Tokio runtime.
    ///
    /// At the end a service is dropped at an `await`. What must be done then belongs to whoever owns the state.
    pub(crate) fn spawn<L>(&self, name: &str, life: impl Fn() -> L + Send + Sync + 'static)
    where
        L: Future<Output = ()> + Send + 'static,
    {
        let running = ServiceStatus { name: name.into(), state: ServiceState::Running, restarts: 0, last_panic: None };
        let status = Arc::new(Mutex::new(running));
        let books = Books { name: name.into(), status: Arc::clone(&status), emitter: self.emitter.clone() };
        let (stop, stopped) = oneshot::channel();
        let mut supervisor = JoinSet::new();
        supervisor.spawn(supervise(Arc::new(life), Restarts::new(self.intensity), books, stopped));
        self.started().push(Service { status, stop, supervisor });
    }

    /// Of every service, in the order of their start; none after [`stop`](Services::stop).
    pub(crate) fn status(&self) -> Vec<ServiceStatus> {
        self.started().iter().map(|service| locked(&service.status).clone()).collect()
    }

    /// Ends the services one after another, the last one first, and waits for each at most `bound`. Returns the names of
    /// those that did not come to an `await` in that time; they end when they do.
    pub(crate) async fn stop(&self, bound: Duration) -> Vec<String> {
        let started = std::mem::take(&mut *self.started());
        let mut deaf = Vec::new();
        for mut service in started.into_iter().rev() {
            drop(service.stop);
            if timeout(bound, service.supervisor.join_next()).await.is_err() {
                deaf.push(locked(&service.status).name.clone());
            }
        }
        deaf
    }

    fn started(&self) -> MutexGuard<'_, Vec<Service>> {
        locked(&self.started)
    }
}

/// One service, told and written down.
struct Books {
    name: String,
    status: Arc<Mutex<ServiceStatus>>,
    emitter: Emitter,
}

impl Books {
    /// `after` is how long it waits now.
    fn failed(&self, failure: Failure, after: Duration) {
        let restarts = {
            let mut status = locked(&self.status);
            status.state = if after.is_zero() { ServiceState::Running } else { ServiceState::Pausing };
            if let Failure::Panicked(message) = &failure {
                status.last_panic = Some(message.clone());
            }
            status.restarts
        };
        self.tell(ServiceEvent::Failed { service: self.name.clone(), reason: failure.to_string(), restarts, after });
    }

    fn restarted(&self) {
        let restarts = {
            let mut status = locked(&self.status);
            status.state = ServiceState::Running;
            status.restarts += 1;
            status.restarts
        };
        self.tell(ServiceEvent::Restarted { service: self.name.clone(), restarts });
    }

    fn tell(&self, event: ServiceEvent) {
        self.emitter.emit(Event::Service(event));
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        locked(&self.status).state = ServiceState::Stopped;
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("panicked: {0}")]
    Panicked(String),
    #[error("returned, which it never should")]
    Returned,
}

async fn supervise<L>(
    life: Arc<impl Fn() -> L + Send + Sync + 'static>,
    mut restarts: Restarts,
    books: Books,
    mut stopped: oneshot::Receiver<()>,
) where
    L: Future<Output = ()> + Send + 'static,
{
    loop {
        let born = Instant::now();
        let mut current = begin(Arc::clone(&life));
        let failure = tokio::select! {
            // The order to stop comes first: a life that ends for the same reason has not failed.
            biased;
            // Those that were started earlier may be stopped only when this one is no more.
            _ = &mut stopped => return current.shutdown().await,
            ended = current.join_next() => Failure::of(ended),
        };
        let after = restarts.failed(born, Instant::now());
        books.failed(failure, after);
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            () = tokio::time::sleep(after) => books.restarted(),
        }
    }
}

/// One life, in a task of its own, so that its panic is its own. Dropped, it ends at its next `await`.
fn begin<L>(life: Arc<impl Fn() -> L + Send + Sync + 'static>) -> JoinSet<()>
where
    L: Future<Output = ()> + Send + 'static,
{
    let mut current = JoinSet::new();
    current.spawn(async move { life().await });
    current
}

impl Failure {
    fn of(ended: Option<Result<(), JoinError>>) -> Failure {
        match ended {
            Some(Err(error)) => Failure::Panicked(panic_of(error)),
            Some(Ok(())) | None => Failure::Returned,
        }
    }
}

fn panic_of(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => message_of(panic.as_ref()).to_owned(),
        Err(error) => error.to_string(),
    }
}

/// No panic leaves what is locked here half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
