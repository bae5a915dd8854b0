//! Readers of events who stop reading, and answer pings: they are cut, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use hatchery_grpc::v1;
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use http_body_util::BodyExt;
use tonic::transport::Endpoint;

use crate::client::post;
use crate::configured::Configured;
use crate::events::{subscribers, with_window};

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reader makes room for: a few events.
const WINDOW: u32 = 1 << 10;

/// Calls, of which the readers are told, until none of them is left; each call is answered.
async fn calls_until_nobody_listens(address: SocketAddr) {
    let calls = async {
        while subscribers(address).await != "0" {
            let echo = post(address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await;
            assert_eq!((echo.status, echo.text.as_str()), (200, "1"));
        }
    };
    tokio::time::timeout(PATIENCE, calls).await.unwrap();
}

#[tokio::test]
async fn a_reader_of_events_that_stops_reading_is_cut() {
    let daemon = Configured::with(tempfile::tempdir().unwrap(), "limits.stall = \"300ms\"").await;
    let stopped = with_window(daemon.address, "", WINDOW).await;
    assert_eq!(subscribers(daemon.address).await, "1");
    calls_until_nobody_listens(daemon.address).await;
    assert!(stopped.collect().await.is_err(), "it is told that there was more");
    daemon.end().await;
}

#[tokio::test]
async fn a_reader_of_a_feed_of_grpc_that_stops_reading_is_cut() {
    let daemon = Configured::with(tempfile::tempdir().unwrap(), "limits.stall = \"300ms\"").await;
    let endpoint = Endpoint::from_shared(format!("http://{}", daemon.address)).unwrap();
    let channel = endpoint.initial_stream_window_size(WINDOW).connect().await.unwrap();
    let mut stopped = HatcheryClient::new(channel).events(v1::EventsRequest::default()).await.unwrap().into_inner();
    assert_eq!(subscribers(daemon.address).await, "1");
    calls_until_nobody_listens(daemon.address).await;
    let rest = async {
        while stopped.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    };
    assert!(rest.await.is_err(), "it is told that there was more");
    daemon.end().await;
}
