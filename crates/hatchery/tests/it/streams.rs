//! Streaming calls.

use hatchery::ErrorKind;
use serde_json::{Value, json};

use crate::{Rig, eventually_file};

#[tokio::test]
async fn chunks_come_in_order_and_then_the_end() {
    let rig = Rig::basics(1).await;
    let mut ticks = rig.pool.stream::<u64>("countdown", json!({"n": 3})).await.unwrap();
    let mut got = Vec::new();
    while let Some(tick) = ticks.next().await {
        got.push(tick.unwrap());
    }
    assert_eq!(got, [3, 2, 1]);
    assert!(ticks.next().await.is_none(), "a stream that is over stays over");
    rig.end().await;
}

#[tokio::test]
async fn an_exception_comes_after_the_chunks_that_were_yielded() {
    let rig = Rig::basics(1).await;
    let mut chunks = rig.pool.stream::<u64>("fails_midway", json!({"n": 2})).await.unwrap();
    assert_eq!(chunks.next().await.unwrap().unwrap(), 0);
    assert_eq!(chunks.next().await.unwrap().unwrap(), 1);
    let error = chunks.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Remote, "midway"));
    assert!(error.correlation_id().is_some());
    assert!(chunks.next().await.is_none());
    rig.end().await;
}

#[tokio::test]
async fn more_than_the_window_flows_to_a_reader_that_reads() {
    let rig = Rig::basics(1).await;
    let mut chunks = rig.pool.stream::<String>("big_chunks", json!({"count": 100, "size": 100_000})).await.unwrap();
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await {
        bytes += chunk.unwrap().len();
    }
    assert_eq!(bytes, 10_000_000);
    rig.end().await;
}

#[tokio::test]
async fn a_dropped_stream_closes_the_generator_and_frees_the_worker() {
    let rig = Rig::basics(1).await;
    let (closed, pid) = (rig.path("closed"), rig.pids()[0]);
    let mut chunks = rig.pool.stream::<u64>("endless", json!({"closed": closed})).await.unwrap();
    assert_eq!(chunks.next().await.unwrap().unwrap(), 0);
    drop(chunks);
    eventually_file(&closed).await;
    let who: Value = rig.pool.call("who", json!({})).await.unwrap();
    assert_eq!(who["pid"], pid, "the worker is still the same");
    rig.end().await;
}
