//! What surrounds a call: breakers, retries, the crash barrier, the gate of the health monitor; each as the pool's configuration
//! says, all of them off by default but one: an idempotent call whose worker died is made again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Shared;
use super::seat::Order;
use crate::call::{CallOptions, Deadline};
use crate::error::{Error, ErrorKind, Result};
use crate::fault::{
    BreakerChange, BreakerPolicy, Breakers, CrashBarrier, CrashClass, Device, HealthMonitor, HealthPolicy, HealthStats,
    NextTry, Permit, Permits, Retries, RetryPolicy, Taints, Verdict,
};
use crate::id::{LifeId, WorkerId, random_u64};
use crate::telemetry::{Event, FaultEvent, RecycleReason};

/// What a pool is configured to do about faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultConfig {
    /// `None`: [`usual_retry`], and only for idempotent calls that lost their worker.
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) breaker: Option<BreakerPolicy>,
    pub(crate) barrier: CrashBarrier,
    /// Refuses calls while the pool is unhealthy.
    pub(crate) gate: Option<HealthPolicy>,
}

/// How an idempotent call that lost its worker is made again, if nothing is said: until its deadline.
pub(crate) fn usual_retry() -> RetryPolicy {
    RetryPolicy { attempts: u32::MAX, jitter: true, budget: None, ..RetryPolicy::default() }
}

/// What is tainted, in all pools of a run.
#[derive(Default)]
pub(crate) struct TaintBook {
    taints: Mutex<Taints>,
    /// Rung when something may have changed.
    changed: Notify,
}

impl TaintBook {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Taints> {
        self.taints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ring(&self) {
        self.changed.notify_one();
    }

    /// Waits until something has changed, or a taint is over.
    pub(crate) async fn changed(&self) {
        let next = self.lock().next_expiry();
        let over = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.changed.notified() => {}
            () = over => drop(self.lock().expire(Instant::now())),
        }
    }
}

/// See the head of this file.
pub(super) struct Guard {
    retries: Arc<Retries>,
    /// Whether calls that no worker has seen are made again too.
    retries_unseen: bool,
    breakers: Option<Breakers>,
    barrier: CrashBarrier,
    /// How far back crashes count, if there is a gate.
    gate_window: Option<Duration>,
    monitor: Arc<Mutex<HealthMonitor>>,
}

impl Guard {
    pub(super) fn new(pool: &str, config: FaultConfig) -> Guard {
        Guard {
            retries_unseen: config.retry.is_some(),
            retries: Arc::new(Retries::new(config.retry.unwrap_or_else(usual_retry))),
            breakers: config.breaker.map(|policy| Breakers::new(pool, policy)),
            barrier: config.barrier,
            gate_window: config.gate.as_ref().map(|gate| gate.window),
            monitor: Arc::new(Mutex::new(HealthMonitor::new(config.gate.unwrap_or_default()))),
        }
    }

    /// The same under other settings. What it has learned under settings that are still the same, it still knows.
    pub(super) fn under(&self, pool: &str, before: &FaultConfig, after: &FaultConfig) -> Guard {
        let mut guard = Guard::new(pool, after.clone());
        if before.retry == after.retry {
            guard.retries = Arc::clone(&self.retries);
        }
        if before.breaker == after.breaker {
            guard.breakers = self.breakers.clone();
        }
        if before.gate == after.gate {
            guard.monitor = Arc::clone(&self.monitor);
        }
        guard
    }

    pub(super) fn breakers(&self) -> Option<&Breakers> {
        self.breakers.as_ref()
    }

    pub(super) fn health(&self) -> HealthStats {
        self.monitor().stats(Instant::now())
    }

    pub(super) fn reset_health(&self) {
        self.monitor().reset();
    }

    /// Whether a call may be made at all just now.
    fn admit(&self, pool: &str, tool: &str) -> Result<Option<Permits>> {
        if self.gate_window.is_some() && !self.monitor().is_healthy(Instant::now()) {
            let message = format!("pool {pool} is unhealthy: too many of its workers have crashed of late");
            let details = serde_json::json!({"reason": "unhealthy"});
            return Err(Error::new(ErrorKind::Unavailable, message).with_details(details));
        }
        self.breakers.as_ref().map(|breakers| breakers.admit(tool, Instant::now())).transpose()
    }

    /// The pause after which a call that failed is made again, if it is. `attempt` counts from 1.
    fn next(&self, attempt: u32, error: &Error, is_idempotent: bool, deadline: Option<Deadline>) -> Option<Duration> {
        let until = deadline.map(|deadline| deadline.at());
        let now = Instant::now();
        let crashed = matches!(self.barrier.judge(error), Verdict::Crashed { .. });
        if crashed {
            // What the barrier says is final: a call that crashes every worker is not for the others to try.
            let pause = self.barrier.restart_after(attempt - 1, is_idempotent);
            let is_in_time = |pause: &Duration| until.is_none_or(|until| until.saturating_duration_since(now) > *pause);
            return pause.filter(is_in_time);
        }
        // What no worker has begun may be made again without harm.
        let is_usual = is_idempotent && lost_its_worker(error);
        if !is_usual && !(self.retries_unseen && (is_idempotent || never_ran(error))) {
            return None;
        }
        let chance = random_u64() as f64 / u64::MAX as f64;
        match self.retries.next(attempt, error, now, until, chance) {
            NextTry::After(pause) => Some(pause),
            NextTry::None(_) => None,
        }
    }

    fn monitor(&self) -> MutexGuard<'_, HealthMonitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its worker is gone, and with it whatever it had done of the call.
fn lost_its_worker(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WorkerDied | ErrorKind::Protocol)
}

/// No worker has seen it.
fn never_ran(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Saturated | ErrorKind::Unavailable)
}

/// The tries of one call.
pub(super) struct Tries<'a> {
    shared: &'a Shared,
    tool: &'a str,
    options: &'a CallOptions,
    deadline: Option<Deadline>,
    count: u32,
    /// Of the one that is made now.
    permits: Option<Permits>,
}

/// What comes after a try.
pub(super) enum After<T> {
    Over(Result<T>),
    /// Another one, after this pause.
    Again(Duration),
}

impl Tries<'_> {
    /// Another try is made.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.count += 1;
        self.permits = self.shared.permits(self.tool)?;
        Ok(())
    }

    /// It came to this.
    pub(super) fn end<T>(&mut self, result: Result<T>) -> After<T> {
        if let Some(permits) = self.permits.take() {
            self.shared.settle(self.tool, permits, &result);
        }
        let Err(error) = result else {
            self.shared.recovered(self.tool, self.options, self.count);
            return After::Over(result);
        };
        match self.shared.rules().guard.next(self.count, &error, self.options.idempotent, self.deadline) {
            None => {
                self.shared.exhausted(self.tool, self.options, self.count, &error);
                After::Over(Err(error))
            }
            Some(after) => {
                self.shared.counts.retries.one_more();
                self.shared.fault(FaultEvent::Retry {
                    pool: self.shared.name.to_string(),
                    tool: self.tool.to_owned(),
                    attempt: self.count,
                    after,
                    reason: error.to_string(),
                    correlation_id: self.options.correlation_id.as_deref().map(str::to_owned),
                });
                After::Again(after)
            }
        }
    }
}

/// What surrounds a stream, which is never made again. Dropped before its end, it counts for nothing.
pub(super) struct Watch {
    tool: String,
    permits: Option<Permits>,
}

impl Watch {
    pub(super) fn tool(&self) -> &str {
        &self.tool
    }
}

impl Shared {
    /// A stream is to begin.
    pub(super) fn watch(&self, tool: &str) -> Result<Watch> {
        Ok(Watch { tool: tool.to_owned(), permits: self.permits(tool)? })
    }

    /// Whether a call may be made at all just now.
    fn permits(&self, tool: &str) -> Result<Option<Permits>> {
        let permits = self.rules().guard.admit(&self.name, tool)?;
        if let Some(permits) = &permits {
            self.half_opened(tool, permits);
        }
        Ok(permits)
    }

    fn half_opened(&self, tool: &str, permits: &Permits) {
        let of_tool = permits.tool.as_ref().is_some_and(Permit::half_opened);
        for (half_opened, tool) in [(permits.pool.half_opened(), None), (of_tool, Some(tool))] {
            if half_opened {
                let (pool, tool) = (self.name.to_string(), tool.map(str::to_owned));
                self.fault(FaultEvent::BreakerHalfOpened { pool, tool });
            }
        }
    }

    /// It came to this.
    pub(super) fn watched(&self, watch: Watch, result: &Result<()>) {
        if let Some(permits) = watch.permits {
            self.settle(&watch.tool, permits, result);
        }
    }

    pub(super) fn tries<'a>(
        &'a self,
        tool: &'a str,
        options: &'a CallOptions,
        deadline: Option<Deadline>,
    ) -> Tries<'a> {
        let rules = self.rules();
        if rules.guard.retries.policy().budget.is_some() {
            rules.guard.retries.called(Instant::now());
        }
        Tries { shared: self, tool, options, deadline, count: 0, permits: None }
    }

    fn settle<T>(&self, tool: &str, permits: Permits, result: &Result<T>) {
        let changes = permits.settle(result, Instant::now());
        for (change, tool) in [(changes.pool, None), (changes.tool, Some(tool))] {
            if let Some(change) = change {
                self.breaker_changed(tool, change);
            }
        }
    }

    /// A call has succeeded with this try.
    fn recovered(&self, tool: &str, options: &CallOptions, attempts: u32) {
        if attempts > 1 {
            let (pool, tool) = (self.name.to_string(), tool.to_owned());
            let correlation_id = options.correlation_id.as_deref().map(str::to_owned);
            self.fault(FaultEvent::Recovered { pool, tool, attempts, correlation_id });
        }
    }

    /// A call has failed with this try, and is not made again.
    fn exhausted(&self, tool: &str, options: &CallOptions, attempts: u32, error: &Error) {
        if attempts > 1 {
            let (pool, tool, reason) = (self.name.to_string(), tool.to_owned(), error.to_string());
            let correlation_id = options.correlation_id.as_deref().map(str::to_owned);
            self.fault(FaultEvent::Exhausted { pool, tool, attempts, reason, correlation_id });
        }
    }

    pub(super) fn breaker_changed(&self, tool: Option<&str>, change: BreakerChange) {
        let (pool, tool) = (self.name.to_string(), tool.map(str::to_owned));
        self.fault(match change {
            BreakerChange::Opened { failures } => FaultEvent::BreakerOpened { pool, tool, failures },
            BreakerChange::Closed => FaultEvent::BreakerClosed { pool, tool },
        });
    }

    /// An error of a worker that lives on may say that it should not.
    pub(super) fn judge(&self, life: LifeId, error: &Error) {
        let rules = self.rules();
        let barrier = &rules.guard.barrier;
        if let Verdict::Crashed { class, device } = barrier.judge(error) {
            self.taint(life, class, device, barrier.taint);
            self.order(life.seat, Order::Replace(life.generation, RecycleReason::Tainted));
        }
    }

    fn taint(&self, life: LifeId, class: CrashClass, device: Option<Device>, until: Duration) {
        let (worker, generation, now) = (WorkerId::new(&self.name, life.seat), life.generation, Instant::now());
        if self.taints().taint_worker(worker.as_str(), generation, class, now, until) {
            self.fault(FaultEvent::Tainted { worker, generation, class, until });
        }
        if let Some(device) = device
            && self.taints().taint_device(device, class, now, until)
        {
            self.fault(FaultEvent::DeviceTainted { device, class, until });
        }
        self.taints.ring();
    }

    /// A worker died by itself.
    pub(super) fn crashed(&self, life: LifeId, error: &Error) {
        let Some(crash) = crate::fault::Crash::from_error(error) else { return };
        let (worker, now) = (WorkerId::new(&self.name, life.seat), Instant::now());
        let rules = self.rules();
        let standing = rules.guard.monitor().record_crash(worker.as_str(), crash.class, now);
        self.counts.crashes.one_more(crash.class);
        self.fault(FaultEvent::Crashed {
            worker: worker.clone(),
            generation: life.generation,
            class: crash.class,
            is_pool_healthy: standing.is_pool_healthy,
        });
        let barrier = &rules.guard.barrier;
        if let Verdict::Crashed { class, device } = barrier.judge(error) {
            self.taint(life, class, device, barrier.taint);
        }
        if let Some(window) = rules.guard.gate_window.filter(|_| !standing.is_worker_healthy) {
            self.taint(life, crash.class, None, window);
        }
    }

    /// A worker is ready in the place of one that was tainted.
    pub(super) fn restarted(&self, life: LifeId) {
        let worker = WorkerId::new(&self.name, life.seat);
        if self.taints().take_restarted(worker.as_str(), life.generation, Instant::now()).is_some() {
            self.fault(FaultEvent::Restarted { worker, generation: life.generation });
        }
    }

    fn taints(&self) -> MutexGuard<'_, Taints> {
        self.taints.lock()
    }

    /// Seats that are tainted get no calls while another worker is ready: it may be what they stand on that made them crash.
    pub(crate) fn bar_the_tainted(&self) {
        let now = Instant::now();
        let ready: Vec<(LifeId, bool)> = self.roster().barred().collect();
        // So it is in most pools, at each coming and going of a worker.
        if self.taints().workers(now).next().is_none() && ready.iter().all(|(_, is_barred)| !is_barred) {
            return;
        }
        let is_tainted = |(life, _): &(LifeId, bool)| {
            self.taints().worker(WorkerId::new(&self.name, life.seat).as_str(), now).is_some()
        };
        let (tainted, clean): (Vec<_>, Vec<_>) = ready.into_iter().partition(is_tainted);
        let is_barred = !clean.is_empty();
        let wanted = clean.into_iter().map(|it| (it, false)).chain(tainted.into_iter().map(|it| (it, is_barred)));
        let changes: Vec<(LifeId, bool)> =
            wanted.filter(|((_, is), wanted)| is != wanted).map(|((life, _), wanted)| (life, wanted)).collect();
        if !changes.is_empty() {
            self.change(|roster| changes.into_iter().for_each(|(life, is_barred)| roster.bar(life, is_barred)));
        }
    }

    pub(super) fn fault(&self, event: FaultEvent) {
        self.emitter.emit(Event::Fault(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(config: FaultConfig) -> Guard {
        Guard::new("p", config)
    }

    fn next(guard: &Guard, attempt: u32, kind: ErrorKind, is_idempotent: bool) -> Option<Duration> {
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(60));
        guard.next(attempt, &Error::new(kind, "x"), is_idempotent, deadline)
    }

    #[test]
    fn an_idempotent_call_that_lost_its_worker_is_made_again_until_its_deadline() {
        let guard = guard(FaultConfig::default());
        assert!(next(&guard, 1, ErrorKind::WorkerDied, true).is_some());
        assert!(next(&guard, 1000, ErrorKind::Protocol, true).is_some());
        assert_eq!(next(&guard, 1, ErrorKind::WorkerDied, false), None);
        assert_eq!(next(&guard, 1, ErrorKind::Remote, true), None);
        assert_eq!(next(&guard, 1, ErrorKind::Saturated, true), None);
        let soon = Deadline::after(Instant::now(), Duration::from_millis(20));
        assert_eq!(guard.next(1, &Error::new(ErrorKind::WorkerDied, "x"), true, soon), None);
        assert!(guard.next(1, &Error::new(ErrorKind::WorkerDied, "x"), true, None).is_some());
    }

    #[test]
    fn a_policy_tries_what_no_worker_has_seen_and_what_may_be_done_twice() {
        let config = FaultConfig { retry: Some(RetryPolicy::default()), ..FaultConfig::default() };
        let guard = guard(config);
        assert!(next(&guard, 1, ErrorKind::Saturated, false).is_some());
        assert_eq!(next(&guard, 1, ErrorKind::WorkerDied, false), None);
        assert!(next(&guard, 1, ErrorKind::WorkerDied, true).is_some());
        assert_eq!(next(&guard, 3, ErrorKind::WorkerDied, true), None, "three attempts are all");
    }

    #[test]
    fn an_unhealthy_pool_refuses_calls_if_it_has_a_gate() {
        for (gate, is_admitted) in [(Some(HealthPolicy::default()), false), (None, true)] {
            let guard = guard(FaultConfig { gate, ..FaultConfig::default() });
            for _ in 0..100 {
                let _standing = guard.monitor().record_crash("p-1", crate::fault::CrashClass::Segfault, Instant::now());
            }
            assert_eq!(guard.admit("p", "t").is_ok(), is_admitted);
            guard.reset_health();
            assert!(guard.admit("p", "t").is_ok());
        }
    }
}
