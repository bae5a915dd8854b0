//! Many large values while workers are killed: the arena stays as large as it may, no slot is lost, no byte is wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::shared;

const WORKERS: usize = 2;
const CALLERS: usize = 6;
/// Small enough that a leak of a few slots is found: nothing would find room any more.
const LIMIT: u64 = 32 * MIB as u64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_survive_the_deaths_of_workers() {
    storm(1_500, 8, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_hundred_thousand_payloads_survive_the_deaths_of_workers() {
    storm(100_000, 300, 2).await;
}

async fn storm(payloads: u64, deaths: u64, seed: u64) {
    let settings = ArenaSettings { limit: LIMIT, keep: 8 * MIB as u64, ..ArenaSettings::default() };
    let rig = Rig::of(pool().workers(WORKERS).arena(settings)).await;
    // Of these each caller has its own turn, so that a slot which is used too early shows the sum of another.
    let data: Vec<(u32, Vec<u8>)> =
        (0..16).map(|n| patterned(MIB, seed * 100 + n)).map(|it| (crc32(&it), it)).collect();
    let (data, done) = (shared(data), shared(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS as u64 {
        let (pool, data, done) = (rig.pool.clone(), data.clone(), done.clone());
        callers.spawn(async move {
            let (mut answered, mut lost) = (0u64, 0u64);
            while done.fetch_add(1, Ordering::Relaxed) < payloads {
                let (sum, bytes) = &data[((answered * 7 + lost + caller) % 16) as usize];
                match one(&pool, bytes, *sum, (answered + caller) % 4).await {
                    Ok(()) => answered += 1,
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WorkerDied | ErrorKind::Unavailable), "{error}");
                        lost += 1;
                        eventually("somebody can be called again", || pool.status().ready > 0).await;
                    }
                }
            }
            (answered, lost)
        });
    }
    for death in 1..=deaths {
        eventually("its turn comes", || done.load(Ordering::Relaxed) >= payloads * death / (deaths + 1)).await;
        eventually("a worker is there", || !rig.pids().is_empty()).await;
        let pids = rig.pids();
        kill(pids[(death as usize) % pids.len()]);
        let status = arena(&rig.pool);
        assert!(status.used <= LIMIT && status.resident <= LIMIT * (status.segments as u64), "{status:?}");
    }
    let ends = callers.join_all().await;
    let (answered, lost) = ends.into_iter().fold((0, 0), |(a, l), (answered, lost)| (a + answered, l + lost));
    println!("{answered} answered, {lost} lost, {:?}", arena(&rig.pool));
    assert!(answered >= payloads * 9 / 10, "{answered} of {payloads} answered, {lost} lost");
    nothing_is_left(&rig.pool).await;
    eventually("dead workers' memory is gone", || arena(&rig.pool).segments <= WORKERS + 1).await;
    rig.end().await;
}

/// One payload, in one of four ways.
async fn one(pool: &Pool, bytes: &[u8], sum: u32, way: u64) -> Result<(), Error> {
    match way {
        0 => {
            let plain = Binary(Bytes::copy_from_slice(bytes));
            assert_eq!(call::<u32>(pool, "checksum", &plain).await?, sum);
        }
        1 => {
            let mut buffer = pool.buffer(bytes.len()).unwrap();
            buffer.copy_from_slice(bytes);
            assert_eq!(call::<u32>(pool, "checksum", &Binary(buffer.freeze())).await?, sum);
        }
        2 => {
            let back: Binary = call(pool, "back", &Binary(Bytes::copy_from_slice(bytes))).await?;
            assert!(back.0[..] == *bytes, "other bytes came back");
        }
        _ => {
            let fill = bytes[0];
            let made: Handle = pool.call("made", json!({"size": bytes.len(), "fill": fill})).await?;
            let is_shared = !made.is_copied();
            let made = made.to_binary()?;
            assert!(made.0.iter().all(|&byte| byte == fill), "a result changed");
            let place: Binary = call(pool, "back", &made).await?;
            assert!(!is_shared || place.0.as_ptr() == made.0.as_ptr(), "a value of this pool is not copied");
        }
    }
    Ok(())
}
