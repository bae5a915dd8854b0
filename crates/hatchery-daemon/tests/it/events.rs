use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;

use crate::client::{get, open, post};
use crate::rig::{Rig, basics, eventually_told};

/// The events of this filter, from now on: what a client reads, a frame at a time.
struct Listening {
    body: Incoming,
    text: String,
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

async fn subscribers(rig: &Rig) -> String {
    let text = get(rig.address, "/metrics").await.text;
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
    assert_eq!(subscribers(&rig).await, "0");
    let listening = [Listening::to(&rig, "?kind=pool.*").await, Listening::to(&rig, "").await];
    assert_eq!(subscribers(&rig).await, "2");
    drop(listening);
    eventually_told("nobody listens", async || subscribers(&rig).await == "0").await;
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
