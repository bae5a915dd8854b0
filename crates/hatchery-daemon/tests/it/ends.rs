use std::time::Duration;

use hatchery::{ErrorKind, Hatchery, PythonApp};
use hatchery_daemon::Phase;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{get, post};
use crate::rig::{Rig, basics};

#[tokio::test]
async fn a_drain_lets_the_running_call_finish_and_takes_no_other() {
    let rig = Rig::of(basics()).await;
    let (gate, address) = (rig.path("gate"), rig.address);
    let wait = json!({"path": gate}).to_string();
    let running = tokio::spawn(async move { post(address, "/v1/pools/default/call/wait_for_file", wait).await });
    rig.worker_is("busy").await;
    let mut ending = rig.stop();
    ending.reaches(Phase::Draining).await;
    assert_eq!(get(ending.address, "/v1/status").await.json()["phase"], "draining");
    get(ending.address, "/readyz").await.fails(503, "unavailable", "the daemon is draining");
    let echo = post(ending.address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await;
    echo.fails(503, "unavailable", "pool default is shut down");
    assert!(!running.is_finished());
    std::fs::write(&gate, "").unwrap();
    assert_eq!(running.await.unwrap().text, "true");
    ending.ended().await.unwrap();
}

#[tokio::test]
async fn a_call_that_goes_on_after_the_grace_is_ended() {
    let rig = Rig::with_grace(basics(), Duration::from_millis(50)).await;
    let (never, address) = (rig.path("never"), rig.address);
    let wait = json!({"path": never}).to_string();
    let running = tokio::spawn(async move { post(address, "/v1/pools/default/call/wait_for_file", wait).await });
    rig.worker_is("busy").await;
    rig.stop().ended().await.unwrap();
    running.await.unwrap().fails(499, "cancelled", "worker default-1 was shut down");
}

#[tokio::test]
async fn connections_that_are_idle_or_half_said_do_not_hold_up_the_end() {
    let rig = Rig::of(basics()).await;
    let _silent = TcpStream::connect(rig.address).await.unwrap();
    let mut half_a_head = TcpStream::connect(rig.address).await.unwrap();
    half_a_head.write_all(b"GET /healthz HTT").await.unwrap();
    let mut half_a_body = TcpStream::connect(rig.address).await.unwrap();
    let head = "POST /v1/pools/default/call/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{";
    half_a_body.write_all(head.as_bytes()).await.unwrap();
    let mut kept_alive = TcpStream::connect(rig.address).await.unwrap();
    kept_alive.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept_alive.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    rig.end().await;
    let _the_rest_of_the_answer = kept_alive.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn after_the_end_nobody_listens() {
    let rig = Rig::of(basics()).await;
    let address = rig.address;
    rig.end().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_app_that_does_not_load_ends_the_daemon_with_its_error() {
    let app = PythonApp::file("/no/such/app.py");
    let mut rig = Rig::filling(Hatchery::builder().pool("default", app).start()).await;
    rig.reaches(Phase::Closed).await;
    let error = rig.stop().ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("/no/such/app.py"), "{error}");
}
