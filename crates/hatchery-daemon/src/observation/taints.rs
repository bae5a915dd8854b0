//! Who gets no calls for a while.

use std::time::Instant;

use hatchery::Result;
use hatchery::fault::{CrashClass, DeviceTaint, Taints, WorkerTaint};
use serde::Serialize;

use crate::house::House;

/// A worker or a device that is tainted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Taint {
    /// The worker's id, or the device's name, like `cuda:0`: what an order calls it by.
    pub(crate) id: String,
    /// `worker` or `device`.
    pub(crate) of: &'static str,
    /// Which life of the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<u64>,
    /// What happened.
    pub(crate) class: CrashClass,
    /// How long ago it happened first.
    pub(crate) age_seconds: f64,
    /// How long it goes on.
    pub(crate) remaining_seconds: f64,
}

/// Workers first, each by name.
pub(crate) fn taints(house: &House) -> Result<Vec<Taint>> {
    let now = Instant::now();
    Ok(house.filled()?.taints(|taints| all(taints, now)))
}

/// The taint of the latest tainted life of this worker.
pub(super) fn of_worker(taints: &Taints, worker: &str, now: Instant) -> Option<Taint> {
    taints.worker(worker, now).map(|taint| Taint::of_worker(taint, now))
}

fn all(taints: &Taints, now: Instant) -> Vec<Taint> {
    let workers = taints.workers(now).map(|taint| Taint::of_worker(taint, now));
    workers.chain(taints.devices(now).map(|taint| Taint::of_device(taint, now))).collect()
}

impl Taint {
    fn of_worker(taint: &WorkerTaint, now: Instant) -> Taint {
        Taint {
            id: taint.worker.clone(),
            of: "worker",
            generation: Some(taint.generation),
            class: taint.class,
            age_seconds: now.saturating_duration_since(taint.since).as_secs_f64(),
            remaining_seconds: taint.until.saturating_duration_since(now).as_secs_f64(),
        }
    }

    fn of_device(taint: &DeviceTaint, now: Instant) -> Taint {
        Taint {
            id: taint.device.to_string(),
            of: "device",
            generation: None,
            class: taint.class,
            age_seconds: now.saturating_duration_since(taint.since).as_secs_f64(),
            remaining_seconds: taint.until.saturating_duration_since(now).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hatchery::fault::Device;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_taint_says_whose_it_is_and_how_long_it_goes_on() {
        let (now, mut taints) = (Instant::now(), Taints::new());
        taints.taint_device(Device::Cuda(Some(0)), CrashClass::Gpu, now, Duration::from_secs(9));
        taints.taint_worker("default-1", 3, CrashClass::Segfault, now, Duration::from_secs(60));
        let seen = serde_json::to_value(all(&taints, now + Duration::from_secs(1))).unwrap();
        let worker = json!({
            "id": "default-1", "of": "worker", "generation": 3, "class": "segfault", "age_seconds": 1.0, "remaining_seconds": 59.0
        });
        let device =
            json!({ "id": "cuda:0", "of": "device", "class": "gpu", "age_seconds": 1.0, "remaining_seconds": 8.0 });
        assert_eq!(seen, json!([worker, device]));
    }
}
