//! Workers are killed while all of them have work: the pool stays what it is, and only what was in their hands is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use hatchery::{CallOptions, Error, ErrorKind, Pool};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::json;

use super::{ended, engine, eventually_ready};
use crate::{Rig, eventually, spawn};

const WORKERS: usize = 8;
const TASKS: usize = 16;
const ROUNDS: usize = 30;

/// How long a tool goes on after it has left its mark, so that kills meet calls.
const LINGER: f64 = 0.004;

/// Numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    /// HATCHERY_TEST_SEED, else a new one.
    fn new() -> Dice {
        let said = std::env::var("HATCHERY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        let seed = said.unwrap_or_else(now);
        println!("HATCHERY_TEST_SEED={seed}");
        Dice(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// What the calls of one kind came to.
#[derive(Default)]
struct Tally {
    made: AtomicUsize,
    /// The marks of those that failed, with what they said.
    failed: std::sync::Mutex<Vec<(String, Error)>>,
}

/// Calls without a pause until told to stop.
fn load(rig: &Rig, task: usize, over: &Arc<AtomicBool>, tally: &Arc<Tally>) -> tokio::task::JoinHandle<()> {
    let is_idempotent = task.is_multiple_of(2);
    let (pool, over, tally) = (rig.pool.clone(), Arc::clone(over), Arc::clone(tally));
    let mark = rig.path(&format!("mark-{task}"));
    spawn(async move {
        let options = CallOptions::new().timeout(crate::PATIENCE).idempotent(is_idempotent);
        let tool = if is_idempotent { "counted" } else { "once" };
        for n in 0.. {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let path = format!("{mark}-{n}");
            let result = pool.call_with::<u64>(tool, json!({"path": path, "linger": LINGER}), &options).await;
            tally.made.fetch_add(1, Ordering::SeqCst);
            match result {
                Ok(_) => assert!(std::path::Path::new(&path).exists(), "it was answered and never ran"),
                Err(error) => tally.failed.lock().unwrap().push((path, error)),
            }
        }
    })
}

/// Two workers, whoever they are; those of them that were still there.
fn strike(pool: &Pool, dice: &mut Dice) -> Vec<i32> {
    let mut alive: Vec<i32> = pool.workers().iter().filter_map(|worker| worker.pid).collect();
    let chosen: Vec<i32> = (0..2.min(alive.len())).map(|_| alive.swap_remove(dice.below(alive.len()))).collect();
    chosen.into_iter().filter(|pid| kill_if_there(*pid)).collect()
}

/// It may have ended since the pool was asked.
pub(super) fn kill_if_there(pid: i32) -> bool {
    let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty());
    pidfd.is_ok_and(|pidfd| pidfd_send_signal(&pidfd, Signal::KILL).is_ok())
}

/// A call that failed was in the hands of a worker that was killed, or on its way to it.
fn was_in_flight((mark, error): &(String, Error), killed: &HashSet<i32>) {
    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{mark}: {error:?}");
    assert_eq!(error.details().unwrap()["signal"], 9, "{error:?}");
    if let Ok(who) = std::fs::read_to_string(mark)
        && !who.is_empty()
    {
        assert!(killed.contains(&who.parse().unwrap()), "{mark} ran in {who}, which nobody killed: {error:?}");
    }
}

/// Thirty rounds of two kills, while everything calls; who was killed.
async fn storm(rig: &Rig, tallies: &[Arc<Tally>; 2]) -> HashSet<i32> {
    let made = || tallies.iter().map(|tally| tally.made.load(Ordering::SeqCst)).sum::<usize>();
    let mut dice = Dice::new();
    let mut killed = HashSet::new();
    for _ in 0..ROUNDS {
        // A machine that is slow to start workers gets no smaller storm.
        eventually("two workers are there", || rig.pool.status().ready >= 2).await;
        killed.extend(strike(&rig.pool, &mut dice));
        let before = made();
        eventually("the calls go on", || made() >= before + 2 * TASKS).await;
    }
    killed
}

/// Who was killed has one successor, and who was not has none.
async fn eventually_whole(pool: &Pool, killed: usize) {
    eventually_ready(pool, WORKERS).await;
    eventually("every killed worker has its successor", || {
        let lives: u64 = pool.workers().iter().map(|worker| worker.generation).sum();
        pool.workers().len() == WORKERS && lives == (WORKERS + killed) as u64
    })
    .await;
    let status = pool.status();
    assert_eq!((status.workers, status.queued, status.running), (WORKERS, 0, 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_costs_what_was_in_flight_and_nothing_else() {
    let rig = Rig::of(engine().workers(WORKERS)).await;
    let (over, tallies) = (Arc::<AtomicBool>::default(), [Arc::<Tally>::default(), Arc::default()]);
    let tasks: Vec<_> = (0..TASKS).map(|task| load(&rig, task, &over, &tallies[task % 2])).collect();
    let killed = storm(&rig, &tallies).await;
    over.store(true, Ordering::SeqCst);
    for task in tasks {
        ended(task).await;
    }
    eventually_whole(&rig.pool, killed.len()).await;
    let [idempotent, others] = tallies.map(|tally| Arc::into_inner(tally).unwrap());
    let (made_twice, made_once) = (idempotent.made.into_inner(), others.made.into_inner());
    let (spared, lost) = (idempotent.failed.into_inner().unwrap(), others.failed.into_inner().unwrap());
    assert!(spared.is_empty(), "idempotent calls failed: {spared:?}");
    lost.iter().for_each(|lost| was_in_flight(lost, &killed));
    assert!(lost.len() <= killed.len(), "{} calls lost of {} workers", lost.len(), killed.len());
    let (lost, killed) = (lost.len(), killed.len());
    println!("{killed} killed; {lost} of {made_once} calls lost; none of {made_twice} idempotent ones");
    rig.end().await;
}
