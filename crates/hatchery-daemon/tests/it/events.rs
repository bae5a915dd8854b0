use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::client::{get, open, post};
use crate::rig::{Rig, basics, eventually_told, ours};

/// The events of this filter, from now on: what a client reads, a frame at a time.
struct Listening {
    body: Incoming,
    text: String,
}

/// Events over HTTP/2, whose client makes room for so many bytes of them.
pub(crate) async fn with_window(address: SocketAddr, query: &str, bytes: u32) -> Incoming {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut client = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = client.initial_stream_window_size(bytes).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{address}/v1/events{query}")).body(Empty::<Bytes>::new()).unwrap();
    sender.send_request(request).await.unwrap().into_body()
}

impl Listening {
    async fn to(rig: &Rig, query: &str) -> Listening {
        let request = Request::get(format!("/v1/events{query}")).header("accept-encoding", "gzip");
        let response = open(rig.address, request.body(String::new()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"), "an event is to leave at once");
        let mut listening = Listening { body: response.into_body(), text: String::new() };
        assert_eq!(listening.block().await, ": listening");
        listening
    }

    /// Up to the next empty line.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            let frame = self.body.frame().await.unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }

    /// The number, the name and the data of the next event.
    async fn event(&mut self) -> (u64, String, Value) {
        let block = self.block().await;
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        (field("id: ").parse().unwrap(), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
    }
}

pub(crate) async fn subscribers(address: SocketAddr) -> String {
    let text = get(address, "/metrics").await.text;
    text.lines().find_map(|line| line.strip_prefix("hatchery_event_subscribers ")).unwrap().to_owned()
}

#[tokio::test]
async fn events_come_by_name_and_in_order() {
    let rig = Rig::of(basics()).await;
    let mut listening = Listening::to(&rig, "?kind=pool.scaled,worker.ready").await;
    post(rig.address, "/v1/pools/default/scale", r#"{"workers": 2}"#).await;
    let (first, name, data) = listening.event().await;
    assert_eq!((first, name.as_str(), &data["name"]), (1, "pool.scaled", &Value::from("pool.scaled")));
    assert!(data["at"].as_f64().unwrap() > 1.7e9, "{data}");
    let (second, name, data) = listening.event().await;
    assert_eq!((second, name.as_str(), &data["worker"]), (2, "worker.ready", &Value::from("default-2")));
    rig.end().await;
}

#[tokio::test]
async fn a_filter_lets_through_what_it_names() {
    let rig = Rig::of(basics()).await;
    let mut of_one_call = Listening::to(&rig, "?kind=call.*&correlation_id=order-2").await;
    let mut of_another_pool = Listening::to(&rig, "?pool=other").await;
    for id in ["order-1", "order-2"] {
        let request = Request::post("/v1/pools/default/call/who").header("X-Hatchery-Correlation-Id", id);
        crate::client::send(rig.address, request.body(String::new()).unwrap()).await;
    }
    let (_, name, data) = of_one_call.event().await;
    assert!(name.starts_with("call.") && data["correlation_id"] == "order-2", "{name} {data}");
    let silence = tokio::time::timeout(std::time::Duration::from_millis(50), of_another_pool.event());
    assert!(silence.await.is_err(), "nothing of that pool has happened");
    for (query, said) in [("kind=worker.redy", "did you mean `worker.ready`?"), ("since=0", "unknown field `since`")] {
        get(rig.address, &format!("/v1/events?{query}")).await.fails(400, "validation", said);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_listens_no_more() {
    let rig = Rig::of(basics()).await;
    assert_eq!(subscribers(rig.address).await, "0");
    let listening = [Listening::to(&rig, "?kind=pool.*").await, Listening::to(&rig, "").await];
    assert_eq!(subscribers(rig.address).await, "2");
    drop(listening);
    eventually_told("nobody listens", async || subscribers(rig.address).await == "0").await;
    rig.end().await;
}

#[tokio::test]
async fn those_who_listen_do_not_hold_up_the_end() {
    let rig = Rig::of(basics()).await;
    let mut listening = Listening::to(&rig, "").await;
    rig.end().await;
    while let Some(Ok(_)) = listening.body.frame().await {}
}

#[tokio::test]
async fn the_catalogue_has_every_name() {
    let rig = Rig::of(basics()).await;
    let kinds = get(rig.address, "/v1/events/catalogue").await.json();
    let ready = kinds.as_array().unwrap().iter().find(|kind| kind["name"] == "worker.ready").unwrap();
    assert_eq!(ready["standing"], "emitted");
    rig.end().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_how_many_it_has_lost() {
    let rig = Rig::of(ours()).await;
    let body = with_window(rig.address, "?kind=tool.event", 1 << 10).await;
    let mut listening = Listening { body, text: String::new() };
    assert_eq!(listening.block().await, ": listening");
    // More than the backlog holds.
    post(rig.address, "/v1/pools/default/call/emits", r#"{"events": 6000, "size": 200}"#).await;
    let (mut lost, mut heard, mut told, mut last) = (0, 0, 0, Value::Null);
    while last != 5999 {
        let (id, name, data) = listening.event().await;
        told += 1;
        assert_eq!(id, told);
        match name.as_str() {
            "lagged" => lost += data["lost"].as_u64().or(data["measurements"]["lost"].as_u64()).unwrap(),
            _ => (heard, last) = (heard + 1, data["measurements"]["number"].clone()),
        }
    }
    assert!(lost > 0);
    assert_eq!(lost + heard, 6000, "whoever adds up what it has heard and lost misses nothing");
    rig.end().await;
}
