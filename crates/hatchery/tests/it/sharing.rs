//! Large values in memory that host and workers share: nothing is copied that need not be, nothing leaks, nobody sees a value
//! change.

mod storms;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use hatchery::{
    ArenaSettings, ArenaStatus, Binary, Error, ErrorKind, Event, Handle, Hatchery, Pool, PoolBuilder, SharedEvent,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::machines::Machine;
use crate::{Rig, app, eventually, misbehaving};

const MIB: usize = 1 << 20;

fn pool() -> PoolBuilder {
    Hatchery::builder().pool("default", app("sharing.py"))
}

async fn rig() -> Rig {
    Rig::of(pool()).await
}

fn arena(pool: &Pool) -> ArenaStatus {
    pool.status().arena.unwrap()
}

/// A value that is no run of equal bytes.
fn patterned(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(length).collect()
}

/// As `zlib.crc32` of Python.
fn crc32(data: &[u8]) -> u32 {
    static TABLE: LazyLock<[u32; 256]> = LazyLock::new(|| {
        let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
        std::array::from_fn(|byte| (0..8).fold(byte as u32, step))
    });
    let table = &*TABLE;
    !data.iter().fold(!0u32, |crc, &byte| (crc >> 8) ^ table[((crc ^ u32::from(byte)) & 0xff) as usize])
}

/// A buffer of the pool, filled.
fn buffered(pool: &Pool, data: &[u8]) -> Binary {
    let mut buffer = pool.buffer(data.len()).unwrap();
    assert!(buffer.is_shared());
    buffer.copy_from_slice(data);
    Binary(buffer.freeze())
}

/// Calls a tool with one large argument.
async fn call<T: DeserializeOwned>(pool: &Pool, tool: &str, data: &Binary) -> Result<T, Error> {
    pool.call(tool, BTreeMap::from([("data", data)])).await
}

/// What a worker made in shared memory. Its very first value may be ready before it has heard of the memory to put it in.
async fn made(pool: &Pool, fill: u8) -> Handle {
    loop {
        let made: Handle = pool.call("made", json!({"size": MIB, "fill": fill})).await.unwrap();
        if !made.is_copied() {
            return made;
        }
    }
}

async fn nothing_is_left(pool: &Pool) {
    eventually("every slot is free", || arena(pool).slots == 0 && arena(pool).used == 0).await;
}

#[tokio::test]
async fn a_buffer_comes_back_as_the_same_memory() {
    let rig = rig().await;
    let sent = buffered(&rig.pool, &patterned(3 * MIB, 1));
    let came: Binary = call(&rig.pool, "back", &sent).await.unwrap();
    assert_eq!((came.0.as_ptr(), came.0.len()), (sent.0.as_ptr(), sent.0.len()));
    let part: Binary = rig.pool.call("part", part_of(&sent, 64, 64 + MIB)).await.unwrap();
    assert_eq!(part.0.as_ptr(), sent.0[64..].as_ptr());
    let odd: Binary = rig.pool.call("part", part_of(&sent, 1, 9)).await.unwrap();
    assert_eq!(odd.0, sent.0[1..9]);
    let status = arena(&rig.pool);
    assert_eq!((status.slots, status.exported, status.imported, status.fell_back), (1, 3, 2, 0));
    drop((sent, came));
    assert_eq!(arena(&rig.pool).slots, 1, "the part holds all of it");
    drop(part);
    nothing_is_left(&rig.pool).await;
    rig.end().await;
}

fn part_of(data: &Binary, start: usize, end: usize) -> PartArgs<'_> {
    PartArgs { data, start, end }
}

#[derive(serde::Serialize)]
struct PartArgs<'a> {
    data: &'a Binary,
    start: usize,
    end: usize,
}

#[tokio::test]
async fn a_tool_sees_the_shared_mapping_and_cannot_write_there() {
    let rig = rig().await;
    let sent = buffered(&rig.pool, &[1; 4096]);
    let plain = Binary(Bytes::from(patterned(MIB, 2)));
    for data in [&sent, &plain] {
        let seen: Value = call(&rig.pool, "seen", data).await.unwrap();
        let mapping = seen["mapping"].as_str().unwrap();
        assert!(mapping.contains("memfd:hatchery-segment") && mapping.ends_with("r--s"), "{mapping}");
        assert_eq!((&seen["readonly"], &seen["aligned"]), (&json!(true), &json!(true)));
    }
    let small: Value = call(&rig.pool, "seen", &Binary("small".into())).await.unwrap();
    assert!(!small["mapping"].as_str().unwrap().contains("memfd"), "{small}");
    rig.end().await;
}

#[tokio::test]
async fn what_a_tool_keeps_is_not_overwritten() {
    let rig = rig().await;
    let data: Vec<Vec<u8>> = (0..8).map(|n| patterned(MIB, n + 10)).collect();
    for (n, data) in data.iter().enumerate() {
        let kept: usize = call(&rig.pool, "keep", &buffered(&rig.pool, data)).await.unwrap();
        assert_eq!(kept, n + 1);
        let _another: Binary = call(&rig.pool, "back", &buffered(&rig.pool, &[0; MIB])).await.unwrap();
    }
    let sums: Vec<u32> = rig.pool.call("kept", json!({})).await.unwrap();
    assert_eq!(sums, data.iter().map(|data| crc32(data)).collect::<Vec<_>>());
    eventually("only what is kept is held", || arena(&rig.pool).slots == 8).await;
    rig.pool.call::<()>("forget", json!({})).await.unwrap();
    nothing_is_left(&rig.pool).await;
    rig.end().await;
}

#[tokio::test]
async fn a_result_outlives_its_worker() {
    let mut rig = rig().await;
    let pid = rig.pids()[0];
    let made = made(&rig.pool, 9).await.to_binary().unwrap();
    assert!(rig.pool.call::<Binary>("made", json!({"size": MIB, "fill": 1})).await.is_ok());
    rig.ready().await;
    kill(pid);
    rig.ready().await;
    assert!(made.0.iter().all(|&byte| byte == 9), "as it was");
    let sum: u32 = call(&rig.pool, "checksum", &made).await.unwrap();
    assert_eq!(sum, crc32(&made.0), "and the next worker can read it");
    rig.end().await;
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a worker of this test's, which has not been reaped")]
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_a_dead_worker_held_is_free() {
    let mut rig = rig().await;
    rig.ready().await;
    for n in 0..3 {
        call::<usize>(&rig.pool, "keep", &buffered(&rig.pool, &patterned(MIB, n))).await.unwrap();
    }
    assert_eq!(arena(&rig.pool).slots, 3);
    kill(rig.pids()[0]);
    nothing_is_left(&rig.pool).await;
    rig.ready().await;
    eventually("its memory is gone with it", || arena(&rig.pool).segments == 2).await;
    rig.end().await;
}

#[tokio::test]
async fn a_result_goes_to_another_worker_without_a_copy_and_to_another_pool_with_one() {
    let builder = pool().workers(2).max_queue(0);
    let rig = Rig::of(builder.pool("other", app("sharing.py"))).await;
    let (pool, other) = (rig.pool.clone(), rig.hatchery.pool("other").unwrap());
    let made = made(&pool, 5).await;
    assert_eq!((made.kind(), made.bytes(), made.is_copied()), ("bytes", MIB as u64, false));
    assert!(made.owner().is_some_and(|owner| owner.as_str().starts_with("default-")));
    let place = made.to_binary().unwrap().0.as_ptr();
    // Both workers at once, so that the one that did not make it has a turn.
    let value = made.to_binary().unwrap();
    let (one, two) = tokio::join!(call::<Binary>(&pool, "back", &value), call::<Binary>(&pool, "back", &value));
    for back in [one, two] {
        assert_eq!(back.unwrap().0.as_ptr(), place);
    }
    assert_eq!(arena(&pool).slots, 0, "nothing was copied");
    let elsewhere: Binary = call(&other, "back", &made.to_binary().unwrap()).await.unwrap();
    assert!(elsewhere.0.as_ptr() != place && elsewhere.0[..] == made.to_binary().unwrap().0[..]);
    assert_eq!((arena(&other).slots, arena(&other).exported), (1, 1));
    made.close();
    drop((elsewhere, value));
    nothing_is_left(&other).await;
    rig.end().await;
}

#[tokio::test]
async fn chunks_go_through_shared_memory_and_a_slow_reader_holds_them_back() {
    let rig = rig().await;
    drop(made(&rig.pool, 0).await);
    let before = arena(&rig.pool).imported;
    let mut chunks = rig.pool.stream::<Binary>("stream_made", json!({"size": MIB, "count": 64})).await.unwrap();
    let first = chunks.next().await.unwrap().unwrap();
    assert!(
        arena(&rig.pool).imported - before <= 3,
        "a window of 1 MiB and a chunk, and a grant: {:?}",
        arena(&rig.pool)
    );
    let mut count = 1;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.0.len() == MIB && chunk.0.iter().all(|&byte| byte == count));
        count += 1;
    }
    assert_eq!((count, first.0[0], arena(&rig.pool).imported - before), (64, 0, 64));
    rig.end().await;
}

#[tokio::test]
async fn host_tools_take_and_give_shared_memory() {
    #[derive(serde::Deserialize)]
    struct Args {
        data: Binary,
    }
    let builder = pool()
        .host_tool("double", |args: Args| async move { Ok(Binary([&args.data.0[..], &args.data.0].concat().into())) });
    let rig = Rig::of(builder).await;
    drop(made(&rig.pool, 0).await);
    let before = arena(&rig.pool);
    let sum: u32 = rig.pool.call("through_the_host", json!({"size": MIB})).await.unwrap();
    assert_eq!(sum, crc32(&vec![b'x'; 2 * MIB]));
    let after = arena(&rig.pool);
    assert_eq!((after.imported - before.imported, after.exported - before.exported), (1, 1));
    nothing_is_left(&rig.pool).await;
    rig.end().await;
}

#[tokio::test]
async fn without_room_a_value_goes_through_the_pipe_and_it_is_told() {
    let arena_of = ArenaSettings { limit: 2 * MIB as u64, ..ArenaSettings::default() };
    let mut rig = Rig::of(pool().arena(arena_of)).await;
    let full = rig.pool.buffer(2 * MIB).unwrap();
    assert!(full.is_shared() && !rig.pool.buffer(1).unwrap().is_shared());
    let data = Binary(patterned(MIB, 3).into());
    assert_eq!(call::<u32>(&rig.pool, "checksum", &data).await.unwrap(), crc32(&data.0));
    let reasons = [rig.fell_back().await, rig.fell_back().await];
    assert!(reasons.iter().all(|reason| reason.starts_with("no room in the shared memory: ")), "{reasons:?}");
    drop(full);
    assert_eq!(call::<u32>(&rig.pool, "checksum", &data).await.unwrap(), crc32(&data.0));
    assert_eq!((arena(&rig.pool).fell_back, arena(&rig.pool).exported), (2, 1));
    let large: Binary = rig.pool.call("made", json!({"size": 3 * MIB})).await.unwrap();
    assert_eq!(large.0.len(), 3 * MIB, "nor is a worker's room without end");
    rig.end().await;
}

impl Rig {
    async fn fell_back(&mut self) -> String {
        self.event(|event| match event {
            Event::Shared(SharedEvent::FellBack { reason, .. }) => Some(reason),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn a_pool_may_share_nothing() {
    let rig = Rig::of(pool().arena(None)).await;
    let data = Binary(patterned(MIB, 4).into());
    assert_eq!(call::<Binary>(&rig.pool, "back", &data).await.unwrap(), data);
    assert!(rig.pool.status().arena.is_none() && !rig.pool.buffer(MIB).unwrap().is_shared());
    let handle: Handle = rig.pool.call("made", json!({"size": MIB})).await.unwrap();
    assert!(handle.is_copied());
    rig.end().await;
}

/// A worker that speaks of memory that is none of its business is cut off, and nothing else is harmed.
async fn abuse(how: &str) -> String {
    let rig = Rig::of(Hatchery::builder().pool("default", misbehaving("abuses_memory").env("ABUSE", how))).await;
    let kept = buffered(&rig.pool, b"unharmed");
    let error = rig.pool.call::<Value>("echo", json!({})).await.unwrap_err();
    assert_eq!((error.kind(), &kept.0[..]), (ErrorKind::Protocol, &b"unharmed"[..]), "{how}: {error}");
    rig.end().await;
    error.to_string()
}

#[tokio::test]
async fn a_worker_that_lies_about_memory_is_cut_off() {
    let lies = [
        ("release", "it released 4096 of segment "),
        ("beyond", "length 65 reaches past the "),
        ("wraps", "length 128 reaches past the "),
        ("unknown", "it does not hold offset 0, length 1 of segment "),
        ("odd", "starts at 1, which is not a multiple of 64"),
    ];
    for (how, words) in lies {
        let error = abuse(how).await;
        assert!(error.contains(words), "{how}: {error}");
    }
}

#[tokio::test]
async fn what_a_worker_never_wrote_are_zeros() {
    let honest = misbehaving("abuses_memory").env("ABUSE", "answers");
    let rig = Rig::of(Hatchery::builder().pool("default", honest)).await;
    let zeros: Binary = rig.pool.call("echo", json!({})).await.unwrap();
    assert_eq!(zeros.0[..], [0; 64]);
    rig.end().await;
}

#[test]
fn where_files_may_not_be_large_values_go_through_the_pipe() {
    let _skipped = Machine::that(r#"ulimit -f 2048; "$@""#).passes("sharing::without_large_files");
}

#[tokio::test]
#[ignore = "run by another test, on a machine of its own"]
async fn without_large_files() {
    let mut rig = rig().await;
    let data = Binary(patterned(MIB, 5).into());
    assert_eq!(call::<Binary>(&rig.pool, "back", &data).await.unwrap(), data);
    assert!(!rig.pool.buffer(MIB).unwrap().is_shared());
    let reason = rig.fell_back().await;
    assert!(reason.contains("RLIMIT_FSIZE"), "{reason}");
    rig.end().await;
}

#[test]
fn sixty_four_mebibytes_there_and_back_are_in_memory_once() {
    let _skipped = Machine::that(r#""$@""#).passes("sharing::one_copy");
}

/// Memory of this process and the worker, each page divided by how many have it.
fn proportional_memory(worker: i32) -> u64 {
    let of = |process: &str| {
        let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
        let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    of("self") + of(&worker.to_string())
}

#[tokio::test]
#[ignore = "run by another test, in a process of its own"]
async fn one_copy() {
    let rig = rig().await;
    let (pool, worker) = (&rig.pool, rig.pids()[0]);
    let small: Binary = call(pool, "back", &buffered(pool, &[1; 4096])).await.unwrap();
    call::<u32>(pool, "checksum", &small).await.unwrap();
    let before = proportional_memory(worker);
    let size = 64 * MIB;
    let mut buffer = pool.buffer(size).unwrap();
    buffer.fill(3);
    let sent = Binary(buffer.freeze());
    let sum: u32 = call(pool, "checksum", &sent).await.unwrap();
    let back: Binary = call(pool, "back", &sent).await.unwrap();
    assert_eq!((back.0.as_ptr(), back.0.len()), (sent.0.as_ptr(), size));
    let grown = proportional_memory(worker) - before;
    assert!(grown * 10 < size as u64 * 12, "{grown} bytes more for {size}");
    rig.end().await;
    assert_eq!(sum, crc32(&vec![3; size]));
    println!("{grown} bytes for {size}");
}
