//! Who must not be given calls for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{CrashClass, Device, later};

/// Workers and devices that are tainted, each until its instant. One entry per worker name and device: bounded by what there is.
#[derive(Debug, Default)]
pub struct Taints {
    workers: BTreeMap<String, WorkerTaint>,
    devices: BTreeMap<Device, DeviceTaint>,
}

/// A life of a worker that is tainted. One that takes its place is another life, with a higher generation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerTaint {
    /// The worker's name.
    pub worker: String,
    /// Which of its lives.
    pub generation: u64,
    /// What happened.
    pub class: CrashClass,
    /// When it happened first.
    pub since: Instant,
    /// When it is over.
    pub until: Instant,
    is_successor_told: bool,
}

/// A device that is tainted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceTaint {
    /// Which. A device without a number is a name of its own: `cuda` says nothing about `cuda:0`.
    pub device: Device,
    /// What happened.
    pub class: CrashClass,
    /// When it happened first.
    pub since: Instant,
    /// When it is over.
    pub until: Instant,
}

impl Taints {
    /// None.
    pub fn new() -> Taints {
        Taints::default()
    }

    /// Taints a life until `now + duration`, or for longer if it already is. `true` if it was not tainted before. News of an
    /// earlier life than the tainted one come too late, and change nothing.
    pub fn taint_worker(
        &mut self,
        worker: &str,
        generation: u64,
        class: CrashClass,
        now: Instant,
        duration: Duration,
    ) -> bool {
        let until = later(now, duration);
        match self.workers.get_mut(worker) {
            Some(taint) if taint.generation > generation => false,
            Some(taint) if taint.generation == generation && taint.until > now => {
                taint.until = taint.until.max(until);
                false
            }
            _ => {
                let worker = worker.to_owned();
                let taint = WorkerTaint {
                    worker: worker.clone(),
                    generation,
                    class,
                    since: now,
                    until,
                    is_successor_told: false,
                };
                self.workers.insert(worker, taint);
                true
            }
        }
    }

    /// Taints a device until `now + duration`, or for longer if it already is. `true` if it was not tainted before.
    pub fn taint_device(&mut self, device: Device, class: CrashClass, now: Instant, duration: Duration) -> bool {
        let until = later(now, duration);
        match self.devices.get_mut(&device) {
            Some(taint) if taint.until > now => {
                taint.until = taint.until.max(until);
                false
            }
            _ => {
                self.devices.insert(device, DeviceTaint { device, class, since: now, until });
                true
            }
        }
    }

    /// Whether this life of the worker is.
    pub fn is_worker_tainted(&self, worker: &str, generation: u64, now: Instant) -> bool {
        self.worker(worker, now).is_some_and(|taint| taint.generation == generation)
    }

    /// Whether the device is.
    pub fn is_device_tainted(&self, device: Device, now: Instant) -> bool {
        self.devices.get(&device).is_some_and(|taint| taint.until > now)
    }

    /// The taint of the latest tainted life of the worker.
    pub fn worker(&self, worker: &str, now: Instant) -> Option<&WorkerTaint> {
        self.workers.get(worker).filter(|taint| taint.until > now)
    }

    /// To be asked when a life is ready. The taint of the earlier life whose place it takes: told once, to the first that asks.
    pub fn take_restarted(&mut self, worker: &str, generation: u64, now: Instant) -> Option<WorkerTaint> {
        let taint = self.workers.get_mut(worker).filter(|taint| taint.until > now && taint.generation < generation)?;
        (!std::mem::replace(&mut taint.is_successor_told, true)).then(|| taint.clone())
    }

    /// The tainted workers, by name.
    pub fn workers(&self, now: Instant) -> impl Iterator<Item = &WorkerTaint> {
        self.workers.values().filter(move |taint| taint.until > now)
    }

    /// The tainted devices.
    pub fn devices(&self, now: Instant) -> impl Iterator<Item = &DeviceTaint> {
        self.devices.values().filter(move |taint| taint.until > now)
    }

    /// Forgives a worker, all its lives. `true` if it was tainted.
    pub fn clear_worker(&mut self, worker: &str, now: Instant) -> bool {
        self.workers.remove(worker).is_some_and(|taint| taint.until > now)
    }

    /// Forgives a device. `true` if it was tainted.
    pub fn clear_device(&mut self, device: Device, now: Instant) -> bool {
        self.devices.remove(&device).is_some_and(|taint| taint.until > now)
    }

    /// Forgives all.
    pub fn clear(&mut self) {
        *self = Taints::default();
    }

    /// Forgets those that are over, and says how many. Nobody needs to call it for the answers to be right.
    pub fn expire(&mut self, now: Instant) -> usize {
        let before = self.workers.len() + self.devices.len();
        self.workers.retain(|_, taint| taint.until > now);
        self.devices.retain(|_, taint| taint.until > now);
        before - self.workers.len() - self.devices.len()
    }

    /// When the next one is over, for who wants to look again then. `None`: there is none.
    pub fn next_expiry(&self) -> Option<Instant> {
        let workers = self.workers.values().map(|taint| taint.until);
        workers.chain(self.devices.values().map(|taint| taint.until)).min()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Orders, each after the seconds before it: `taint 1 60` (a life, so many seconds), `gpu 0 60`, `ready 2`, `expire`,
    /// `clear`. After each: what it said, and which lives of 1 to 3 and cards of 0 and 1 are tainted.
    fn check(script: &str, expected: &str) {
        let (start, mut seconds, mut taints) = (Instant::now(), 0, Taints::new());
        let mut told = String::new();
        for order in script.split("; ") {
            let now = start + Duration::from_secs(seconds);
            let words: Vec<&str> = order.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            let class = CrashClass::Segfault;
            let said = match words[0] {
                "taint" => taints.taint_worker("w", number(1), class, now, Duration::from_secs(number(2))).to_string(),
                "gpu" => {
                    let device = Device::Cuda(Some(u32::try_from(number(1)).unwrap()));
                    taints.taint_device(device, class, now, Duration::from_secs(number(2))).to_string()
                }
                "ready" => format!("{:?}", taints.take_restarted("w", number(1), now).map(|taint| taint.generation)),
                "expire" => taints.expire(now).to_string(),
                "clear" => taints.clear_worker("w", now).to_string(),
                wait => {
                    seconds += wait.strip_prefix('+').unwrap().parse::<u64>().unwrap();
                    continue;
                }
            };
            let lives: Vec<u64> = (1..=3).filter(|life| taints.is_worker_tainted("w", *life, now)).collect();
            let cards = (0..=1).filter(|card| taints.is_device_tainted(Device::Cuda(Some(*card)), now));
            let cards: Vec<u32> = cards.collect();
            assert_eq!((taints.workers(now).count(), taints.devices(now).count()), (lives.len(), cards.len()));
            writeln!(told, "{order}: {said}, lives {lives:?}, cards {cards:?}").unwrap();
        }
        assert_eq!(told.trim(), expected.trim());
    }

    #[test]
    fn a_taint_is_of_one_life_and_ends() {
        check(
            "taint 1 60; +59; ready 2; +1; ready 3; expire",
            "taint 1 60: true, lives [1], cards []\n\
             ready 2: Some(1), lives [1], cards []\n\
             ready 3: None, lives [], cards []\n\
             expire: 1, lives [], cards []",
        );
    }

    #[test]
    fn that_a_worker_is_back_is_told_once() {
        check(
            "taint 1 60; ready 1; ready 2; ready 3; taint 2 60; ready 3; ready 3",
            "taint 1 60: true, lives [1], cards []\n\
             ready 1: None, lives [1], cards []\n\
             ready 2: Some(1), lives [1], cards []\n\
             ready 3: None, lives [1], cards []\n\
             taint 2 60: true, lives [2], cards []\n\
             ready 3: Some(2), lives [2], cards []\n\
             ready 3: None, lives [2], cards []",
        );
    }

    #[test]
    fn a_second_taint_prolongs_and_never_shortens() {
        check(
            "taint 1 60; taint 1 10; +30; taint 1 60; +59; gpu 1 9; gpu 1 3; expire",
            "taint 1 60: true, lives [1], cards []\n\
             taint 1 10: false, lives [1], cards []\n\
             taint 1 60: false, lives [1], cards []\n\
             gpu 1 9: true, lives [1], cards [1]\n\
             gpu 1 3: false, lives [1], cards [1]\n\
             expire: 0, lives [1], cards [1]",
        );
    }

    #[test]
    fn late_news_of_an_earlier_life_change_nothing() {
        check(
            "taint 2 60; taint 1 60; clear; clear",
            "taint 2 60: true, lives [2], cards []\n\
             taint 1 60: false, lives [2], cards []\n\
             clear: true, lives [], cards []\n\
             clear: false, lives [], cards []",
        );
    }

    #[test]
    fn a_taint_longer_than_time_is_one_without_end() {
        let (now, mut taints) = (Instant::now(), Taints::new());
        assert!(taints.taint_device(Device::Mps, CrashClass::Gpu, now, Duration::MAX));
        assert!(taints.is_device_tainted(Device::Mps, now + Duration::from_secs(1 << 31)));
        assert!(taints.next_expiry().is_some());
        taints.clear();
        assert_eq!(taints.next_expiry(), None);
    }
}
