use hatchery_grpc::v1::StreamCallResponse;
use serde_json::{Value, json};
use tonic::{Code, Streaming};

use super::{client, fails, stream, value};
use crate::rig::{Rig, basics, begun_and_dropped, eventually, eventually_file, ours};

async fn all(mut chunks: Streaming<StreamCallResponse>) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        all.push(value(chunk.chunk).to_json().unwrap());
    }
    all
}

#[tokio::test]
async fn chunks_come_in_their_order_and_then_the_end() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let chunks = client.stream_call(stream("countdown", json!({"n": 3}))).await.unwrap().into_inner();
    assert_eq!(all(chunks).await, [3, 2, 1]);
    rig.end().await;
}

#[tokio::test]
async fn a_stream_without_chunks_ends() {
    let rig = Rig::of(ours()).await;
    let chunks = client(&rig).await.stream_call(stream("nothing", json!({}))).await.unwrap().into_inner();
    assert_eq!(all(chunks).await, [] as [Value; 0]);
    rig.end().await;
}

#[tokio::test]
async fn a_failure_comes_when_it_happens() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let before = client.stream_call(stream("fails_midway", json!({"n": 0}))).await.unwrap_err();
    fails(&before, Code::Aborted, "remote", "midway");
    let unary = client.stream_call(stream("echo", json!({"value": 1}))).await.unwrap_err();
    fails(&unary, Code::InvalidArgument, "validation", "use `call`");
    let mut chunks = client.stream_call(stream("fails_midway", json!({"n": 1}))).await.unwrap().into_inner();
    assert!(chunks.message().await.unwrap().is_some());
    let error = fails(&chunks.message().await.unwrap_err(), Code::Aborted, "remote", "midway");
    assert_eq!(error.python_type(), Some("RuntimeError"));
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_closes_the_generator_silent_or_not_begun() {
    let rig = Rig::of(ours()).await;
    let mut client = client(&rig).await;
    for n in [0, 1] {
        let (mark, closed) = (rig.path(&format!("mark{n}")), rig.path(&format!("closed{n}")));
        let request = stream("silent_after", json!({"n": n, "mark": mark, "closed": closed}));
        if n == 0 {
            begun_and_dropped(client.stream_call(request), eventually_file(&mark)).await;
        } else {
            let mut chunks = client.stream_call(request).await.unwrap().into_inner();
            assert_eq!(value(chunks.message().await.unwrap().unwrap().chunk).to_json().unwrap(), 0);
            eventually_file(&mark).await;
            assert!(!std::path::Path::new(&closed).exists());
            drop(chunks);
        }
        eventually_file(&closed).await;
    }
    rig.worker_is("idle").await;
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_generator_back() {
    const CHUNKS: usize = 64;
    const SIZE: usize = 1 << 20;
    let rig = Rig::of(ours()).await;
    let path = rig.path("count");
    let request = stream("counted", json!({"path": path, "chunks": CHUNKS, "size": SIZE}));
    let chunks = client(&rig).await.stream_call(request).await.unwrap().into_inner();
    let count = || std::fs::read_to_string(&path).ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let (mut last, mut looks_alike) = (0, 0);
    // Without bounds it would be through in less than the looks that this takes.
    eventually("the generator stands still", || {
        looks_alike = if count() == last && last > 0 { looks_alike + 1 } else { 0 };
        last = count();
        looks_alike > 100
    })
    .await;
    assert!(last < CHUNKS / 2, "{last} chunks of {CHUNKS} are under way, and nobody reads");
    assert_eq!(all(chunks).await.len(), CHUNKS);
    rig.end().await;
}
