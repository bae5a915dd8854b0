use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::client::{open, post};
use crate::rig::{Rig, basics, eventually, eventually_file, ours};

const STREAM: &str = "/v1/pools/default/stream/";

async fn begin(rig: &Rig, tool: &str, arguments: Value) -> Response<Incoming> {
    open(rig.address, Request::post(format!("{STREAM}{tool}")).body(arguments.to_string()).unwrap()).await.unwrap()
}

async fn next(response: &mut Response<Incoming>) -> Bytes {
    response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn chunks_come_in_their_order_and_then_the_end() {
    let rig = Rig::of(basics()).await;
    let reply = post(rig.address, &format!("{STREAM}countdown"), r#"{"n": 3}"#).await;
    assert_eq!((reply.status, reply.content_type.as_str()), (200, "text/event-stream"));
    let chunks = [3, 2, 1].map(|n| format!("event: chunk\ndata: {n}\n\n")).concat();
    assert_eq!(reply.text, chunks + "event: end\ndata: {}\n\n");
    rig.end().await;
}

#[tokio::test]
async fn a_stream_without_chunks_ends() {
    let rig = Rig::of(ours()).await;
    let reply = post(rig.address, &format!("{STREAM}nothing"), "").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "event: end\ndata: {}\n\n"));
    rig.end().await;
}

#[tokio::test]
async fn a_failure_is_a_status_before_the_first_chunk_and_an_event_after_it() {
    let rig = Rig::of(basics()).await;
    let stream = async |tool: &str, body: &str| post(rig.address, &format!("{STREAM}{tool}"), body).await;
    stream("countdwn", "{}").await.fails(404, "not_found", "did you mean `countdown`?");
    stream("countdown", r#"{"n": "x"}"#).await.fails(400, "validation", "`n`");
    stream("echo", r#"{"value": 1}"#).await.fails(400, "validation", "use `call`");
    stream("fails_midway", r#"{"n": 0}"#).await.fails(422, "remote", "midway");
    let reply = stream("fails_midway", r#"{"n": 1}"#).await;
    let (chunk, error) = reply.text.split_once("event: error\ndata: ").unwrap();
    assert_eq!((reply.status, chunk), (200, "event: chunk\ndata: 0\n\n"));
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["python_type"]), (&json!("remote"), &json!("RuntimeError")));
    rig.end().await;
}

#[tokio::test]
async fn a_chunk_comes_while_the_generator_is_silent_and_a_client_that_goes_away_closes_it() {
    let rig = Rig::of(ours()).await;
    let (mark, closed) = (rig.path("mark"), rig.path("closed"));
    let mut response = begin(&rig, "silent_after", json!({"n": 1, "mark": mark, "closed": closed})).await;
    assert_eq!(next(&mut response).await, "event: chunk\ndata: 0\n\n");
    eventually_file(&mark).await;
    assert!(!std::path::Path::new(&closed).exists());
    drop(response);
    eventually_file(&closed).await;
    rig.worker_is("idle").await;
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_first_chunk_closes_it_too() {
    let rig = Rig::of(ours()).await;
    let (mark, closed) = (rig.path("mark"), rig.path("closed"));
    let arguments = json!({"n": 0, "mark": mark, "closed": closed});
    crate::rig::begun_and_dropped(begin(&rig, "silent_after", arguments), eventually_file(&mark)).await;
    eventually_file(&closed).await;
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_generator_back() {
    const CHUNKS: usize = 64;
    const SIZE: usize = 1 << 20;
    let rig = Rig::of(ours()).await;
    let path = rig.path("count");
    let response = begin(&rig, "counted", json!({"path": path, "chunks": CHUNKS, "size": SIZE})).await;
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
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.len() > CHUNKS * SIZE && text.ends_with(b"event: end\ndata: {}\n\n"), "{}", text.len());
    rig.end().await;
}
