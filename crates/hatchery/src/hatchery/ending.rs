//! How everything ends: in order, or at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Hatchery;
use crate::error::Result;
use crate::process::Escalation;
use crate::run::Survivor;
use crate::telemetry::{Event, RunEvent};

/// What [`Hatchery::cleanup`] came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cleanup {
    /// Processes that were there and are gone.
    pub ended: usize,
    /// Those that were killed and are still there. Their guardian stays with them until the kernel lets go.
    pub survivors: Vec<Survivor>,
    /// How long it took.
    pub took: Duration,
}

impl Cleanup {
    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        self.survivors.is_empty()
    }
}

/// How long a service may work on between two `await`s when everything ends.
const SERVICE_PATIENCE: Duration = Duration::from_secs(1);

impl Hatchery {
    /// Ends every pool: no new calls, those that wait fail with `unavailable`, those that run have the first of their pool's
    /// [`StopGraces`](crate::StopGraces) to finish; then SIGTERM, and after the second SIGKILL. Returns when every process is
    /// gone and reaped. Doing it twice is fine.
    ///
    /// # Errors
    /// `internal`, naming them, if processes are still there 10 s after SIGKILL.
    pub async fn shutdown(&self) -> Result<()> {
        self.shutdown_within(Duration::MAX).await
    }

    /// [`Hatchery::shutdown`], but no pool's grace is longer than `longest`.
    ///
    /// # Errors
    /// Those of [`Hatchery::shutdown`].
    pub async fn shutdown_within(&self, longest: Duration) -> Result<()> {
        let began = Instant::now();
        self.tell(RunEvent::ShutdownStarted);
        let ended = self.end_within(longest).await;
        self.tell(RunEvent::ShutdownFinished { is_complete: ended.is_ok(), took: began.elapsed() });
        ended
    }

    async fn end_within(&self, longest: Duration) -> Result<()> {
        for crew in &self.crews {
            crew.end(crew.shared.rules().config.stop.within(longest));
        }
        tokio::join!(self.crews_gone(), self.agents.end(longest));
        self.services.stop(SERVICE_PATIENCE).await;
        let sessions = self.sessions.clone();
        let _panicked = tokio::task::spawn_blocking(move || sessions.close()).await;
        // Always last: whatever the others have left.
        self.run.end().await
    }

    /// SIGKILL to everything, now, for a program that wants to leave: every process of every pool, and what they left behind.
    /// Waits at most `within` for the kernel, and names what is still there then instead of failing. May be called at any time
    /// and again: during a shutdown, which it cuts short, and after one.
    ///
    /// Dropping the future takes back nothing: the order is out.
    ///
    /// ```no_run
    /// # async fn example(hatchery: hatchery::Hatchery) {
    /// use std::time::Duration;
    ///
    /// let cleanup = hatchery.cleanup(Duration::from_secs(2)).await;
    /// for survivor in &cleanup.survivors {
    ///     eprintln!("still there: {survivor}"); // still there: default-1 (pid 4711, state D (disk sleep))
    /// }
    /// # }
    /// ```
    pub async fn cleanup(&self, within: Duration) -> Cleanup {
        let began = Instant::now();
        let before = self.processes();
        self.tell(RunEvent::CleanupStarted { processes: before.len() });
        for crew in &self.crews {
            crew.end(Escalation::AT_ONCE);
            crew.shared.kill();
        }
        self.agents.abort();
        self.run.close();
        let gone = async { (self.run.gone_within(within).await, self.crews_gone().await) };
        // Whatever was not heard of in time is asked of the kernel.
        let _late = tokio::time::timeout(within, gone).await;
        let survivors = self.survivors().await;
        let is_left = |pid: Option<u32>| survivors.iter().any(|survivor| u32::try_from(survivor.pid).ok() == pid);
        let ended = before.iter().filter(|entry| entry.pid.is_some() && !is_left(entry.pid)).count();
        let took = began.elapsed();
        self.tell(RunEvent::CleanupFinished { ended, survivors: survivors.len(), took });
        Cleanup { ended, survivors, took }
    }

    pub(super) fn tell(&self, event: RunEvent) {
        self.emitter.emit(Event::Run(event));
    }

    /// Looks through `/proc`, elsewhere if there is an elsewhere.
    async fn survivors(&self) -> Vec<Survivor> {
        let run = Arc::clone(&self.run);
        let looked = tokio::task::spawn_blocking(move || run.survivors()).await;
        looked.unwrap_or_else(|_no_thread| self.run.survivors())
    }

    async fn crews_gone(&self) {
        for crew in &self.crews {
            crew.gone().await;
        }
    }
}
