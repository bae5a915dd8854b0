//! What is said of the policies around a call: retries, breaker, health gate, crash barrier.

use std::time::Duration;

use super::super::layer::{Layer, duration_of};
use super::super::value::Value;
use super::super::words::Word;
use super::text;
use crate::fault::{
    Backoff, BreakerPolicy, CrashBarrier, CrashClass, CrashRetry, HealthPolicy, RetryBudget, RetryPolicy,
};
use crate::pool::usual_retry;

/// `retry` of a pool: idempotent calls that lost their worker; if anything is said, also calls that no worker has seen.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// How often a call is made, the first time included: 1 to 1000; `Some(None)`: until its deadline, which is the default.
    pub attempts: Option<Option<u32>>,
    /// The pauses between attempts, the last one repeating. Default: 100, 200, 400, 800, 1600 ms.
    pub backoff: Option<Vec<Duration>>,
    /// The longest pause. Default: 30 s.
    pub max_backoff: Option<Duration>,
    /// How far a pause may differ, as a share of it: 0 to 1. Default: 0.25.
    pub jitter: Option<f64>,
    /// Retries for each call, over all calls of the pool: 0 to 1. Default: any number.
    pub budget: Option<f64>,
}

/// `breaker` of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// So many failures open it. Default: 5.
    pub failures: Option<u32>,
    /// How long after the last failure a call is let through to try. Default: 30 s.
    pub reset: Option<Duration>,
    /// How many calls may try at once. Default: 1.
    pub half_open: Option<u32>,
}

/// `health_gate` of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthGateConfig {
    /// How far back crashes count. Default: 60 s.
    pub window: Option<Duration>,
    /// With so many in the window no call is let through. Default: 10.
    pub max_crashes: Option<u32>,
    /// With so many in the window a worker gets no calls. Default: 3.
    pub max_worker_crashes: Option<u32>,
}

/// `crash_barrier` of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrashBarrierConfig {
    /// How long a seat that crashed gets no calls while another worker is ready. Default: 60 s.
    pub taint: Option<Duration>,
    /// Which crashes taint. Default: segfault, oom, gpu.
    pub mark_on: Option<Vec<CrashClass>>,
    /// Which exit codes taint besides. Default: none.
    pub exit_codes: Option<Vec<i32>>,
    /// Which types of Python exceptions taint as failures of a device do. Default: none.
    pub error_types: Option<Vec<String>>,
    /// Whether a fatal error of CUDA taints the device too. Default: yes.
    pub taint_device: Option<bool>,
    /// Which calls are made again. Default: idempotent ones.
    pub retry: Option<CrashRetry>,
    /// How often, for one call. Default: 1.
    pub max_restarts: Option<u32>,
    /// The pauses before it, the last one repeating. Default: 50, 100, 200 ms.
    pub backoff: Option<Vec<Duration>>,
}

impl RetryConfig {
    pub(super) fn of(said: &Layer) -> RetryConfig {
        RetryConfig {
            attempts: said.count("retry.attempts"),
            backoff: said.list("retry.backoff", duration_of),
            max_backoff: said.duration("retry.max_backoff"),
            jitter: said.number("retry.jitter"),
            budget: said.number("retry.budget"),
        }
    }
}

impl BreakerConfig {
    pub(super) fn of(said: &Layer) -> Option<BreakerConfig> {
        said.flag("breaker.enabled").filter(|enabled| *enabled).map(|_| BreakerConfig {
            failures: said.whole("breaker.failures"),
            reset: said.duration("breaker.reset"),
            half_open: said.whole("breaker.half_open"),
        })
    }
}

impl HealthGateConfig {
    pub(super) fn of(said: &Layer) -> Option<HealthGateConfig> {
        said.flag("health_gate.enabled").filter(|enabled| *enabled).map(|_| HealthGateConfig {
            window: said.duration("health_gate.window"),
            max_crashes: said.whole("health_gate.max_crashes"),
            max_worker_crashes: said.whole("health_gate.max_worker_crashes"),
        })
    }
}

impl CrashBarrierConfig {
    pub(super) fn of(said: &Layer) -> Option<CrashBarrierConfig> {
        said.flag("crash_barrier.enabled").filter(|enabled| *enabled).map(|_| CrashBarrierConfig {
            taint: said.duration("crash_barrier.taint"),
            mark_on: said.list("crash_barrier.mark_on", |value| CrashClass::read(&text(value)?)),
            exit_codes: said.list("crash_barrier.exit_codes", exit_code),
            error_types: said.list("crash_barrier.error_types", text),
            taint_device: said.flag("crash_barrier.taint_device"),
            retry: said.word("crash_barrier.retry"),
            max_restarts: said.whole("crash_barrier.max_restarts"),
            backoff: said.list("crash_barrier.backoff", duration_of),
        })
    }
}

impl RetryConfig {
    /// As the pool obeys it. `None`: nothing is said.
    pub(crate) fn policy(&self) -> Option<RetryPolicy> {
        if *self == RetryConfig::default() {
            return None;
        }
        let usual = usual_retry();
        let jitter = self.jitter.unwrap_or(usual.jitter_factor);
        Some(RetryPolicy {
            attempts: self.attempts.map_or(usual.attempts, |attempts| attempts.unwrap_or(u32::MAX)),
            backoff: self.backoff.clone().map_or(usual.backoff, Backoff::List),
            max_backoff: self.max_backoff.unwrap_or(usual.max_backoff),
            jitter: jitter > 0.0,
            jitter_factor: jitter,
            budget: self.budget.map(|share| RetryBudget { share, ..RetryBudget::default() }).or(usual.budget),
            retriable: usual.retriable,
        })
    }
}

impl BreakerConfig {
    /// As the pool obeys it.
    pub(crate) fn policy(&self) -> BreakerPolicy {
        let usual = BreakerPolicy::default();
        BreakerPolicy {
            failures: self.failures.unwrap_or(usual.failures),
            reset: self.reset.unwrap_or(usual.reset),
            half_open: self.half_open.unwrap_or(usual.half_open),
            counts: usual.counts,
        }
    }
}

impl HealthGateConfig {
    /// As the pool obeys it.
    pub(crate) fn policy(&self) -> HealthPolicy {
        let (usual, count) = (HealthPolicy::default(), |limit: u32| limit as usize);
        HealthPolicy {
            window: self.window.unwrap_or(usual.window),
            max_crashes: self.max_crashes.map_or(usual.max_crashes, count),
            max_worker_crashes: self.max_worker_crashes.map_or(usual.max_worker_crashes, count),
        }
    }
}

impl CrashBarrierConfig {
    /// As the pool obeys it.
    pub(crate) fn barrier(&self) -> CrashBarrier {
        let usual = CrashBarrier::default();
        CrashBarrier {
            enabled: true,
            taint: self.taint.unwrap_or(usual.taint),
            mark_on: self.mark_on.clone().unwrap_or(usual.mark_on),
            taint_on_exit_codes: self.exit_codes.clone().unwrap_or(usual.taint_on_exit_codes),
            taint_on_error_types: self.error_types.clone().unwrap_or(usual.taint_on_error_types),
            taint_device_on_cuda_fatal: self.taint_device.unwrap_or(usual.taint_device_on_cuda_fatal),
            retry: self.retry.unwrap_or(usual.retry),
            max_restarts: self.max_restarts.unwrap_or(usual.max_restarts),
            backoff: self.backoff.clone().unwrap_or(usual.backoff),
        }
    }
}

fn exit_code(value: &Value) -> Option<i32> {
    match value {
        Value::Whole(code) => i32::try_from(*code).ok(),
        _ => None,
    }
}
