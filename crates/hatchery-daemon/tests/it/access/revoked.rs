//! An answer that is under way when its client is no longer let in.

use std::time::Duration;

use hatchery_grpc::v1;
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::client::open;
use crate::configured::Configured;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn events(daemon: &Configured, token: &str) -> Incoming {
    let request = Request::get("/v1/events?kind=pool.*");
    let request = if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
    let response = open(daemon.address, request.body(String::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ": listening\n\n");
    body
}

/// What comes of them yet.
async fn rest(body: Incoming) -> String {
    let rest = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    String::from_utf8(rest.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn events_end_when_their_token_is_revoked_and_those_of_others_do_not() {
    let daemon = Configured::with(tempfile::tempdir().unwrap(), "auth = \"token\"").await;
    let (one, other) = (daemon.token("one"), daemon.token("other"));
    let (mine, mut yours) = (events(&daemon, &one).await, events(&daemon, &other).await);
    daemon.tokens().revoke("one").unwrap();
    let told = rest(mine).await;
    assert!(told.starts_with("event: error\ndata: ") && told.contains("unauthenticated"), "{told}");
    let scale = Request::post("/v1/pools/default/scale").header("authorization", format!("Bearer {other}"));
    crate::client::send(daemon.address, scale.body("{\"workers\": 2}".to_owned()).unwrap()).await;
    let heard = yours.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(heard.starts_with(b"id: 1\nevent: pool."), "{heard:?}");
    daemon.end().await;
}

#[tokio::test]
async fn a_feed_of_grpc_ends_with_the_status_of_who_is_not_known() {
    let daemon = Configured::with(tempfile::tempdir().unwrap(), "auth = \"token\"").await;
    let token = daemon.token("one");
    let channel = Endpoint::from_shared(format!("http://{}", daemon.address)).unwrap().connect().await.unwrap();
    let mut request = tonic::Request::new(v1::EventsRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut feed = HatcheryClient::new(channel).events(request).await.unwrap().into_inner();
    daemon.tokens().revoke("one").unwrap();
    let ended = async {
        loop {
            if let Err(status) = feed.message().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    daemon.end().await;
}

#[tokio::test]
async fn events_end_when_a_reload_asks_for_a_credential_that_nobody_has_shown() {
    let daemon = Configured::with(tempfile::tempdir().unwrap(), "").await;
    let feed = events(&daemon, "").await;
    let report = daemon.obeys("auth = \"token\"").await;
    assert!(report.applied.contains(&"server.auth".to_owned()), "{report:?}");
    assert!(rest(feed).await.contains("unauthenticated"));
    daemon.end().await;
}
