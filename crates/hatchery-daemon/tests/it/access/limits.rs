use std::io::ErrorKind;
use std::time::Duration;

use hatchery::Scope;
use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::open::Open;
use super::public::grpc;
use crate::client::open as opened;
use crate::rig::eventually_told;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn who_asks_too_often_waits_and_others_do_not() {
    let limits = "limits = { requests_per_second = 0.001, burst = 2 }";
    let (open, [one, other]) = Open::to_all([Scope::Observe, Scope::Operate], limits).await;
    for _ in 0..2 {
        assert_eq!(open.get("/v1/status", &one).await.status, 200);
    }
    open.get("/v1/status", &one).await.fails(429, "limit", "token observe asks too often");
    let request = Request::get("/v1/status").header("authorization", format!("Bearer {one}"));
    let refused = opened(open.address, request.body(String::new()).unwrap()).await.unwrap();
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((990..=1000).contains(&seconds), "{seconds}");
    assert_eq!(open.get("/v1/status", &other).await.status, 200);
    assert_eq!(open.get("/healthz", "").await.status, 200);
    // Whoever asks how it is has a rate of its own, and no more than that.
    let health = [open.get("/readyz", "").await.status, open.get("/readyz", "").await.status];
    assert_eq!(health, [503, 429]);
    assert_eq!(grpc(&open, "/grpc.health.v1.Health/Check", "").await.0, "8");
    assert_eq!(grpc(&open, "/grpc.health.v1.Health/Watch", "").await.0, "8");
    // Those who show nothing are one client, too.
    let strangers: Vec<u16> = [open.get("/", "").await, open.get("/", "").await, open.get("/", "").await]
        .iter()
        .map(|reply| reply.status)
        .collect();
    assert_eq!(strangers, [401, 401, 429]);
    open.end().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let open = Open::here("limits.head = \"100ms\"").await;
    for said in ["", "GET /healthz HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut silent = TcpStream::connect(open.address).await.unwrap();
        silent.write_all(said.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "{said:?}");
    }
    open.end().await;
}

/// It asks and asks, and reads nothing, until it is cut. Meanwhile others are served.
#[tokio::test]
async fn who_takes_nothing_of_its_answers_is_cut_and_nobody_else() {
    let open = Open::here("limits = { stall = \"300ms\" }").await;
    let mut greedy = TcpStream::connect(open.address).await.unwrap();
    let address = open.address;
    let cut = tokio::spawn(async move {
        let request = format!("GET /openapi.json HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(100);
        loop {
            if let Err(why) = greedy.write_all(request.as_bytes()).await {
                return why.kind();
            }
        }
    });
    eventually_told("it is cut", async || {
        assert_eq!(open.get("/healthz", "").await.status, 200);
        cut.is_finished()
    })
    .await;
    let why = tokio::time::timeout(PATIENCE, cut).await.unwrap().unwrap();
    assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&why), "{why:?}");
    assert_eq!(open.get("/v1/status", "").await.status, 200);
    open.end().await;
}

#[tokio::test]
async fn a_body_is_as_large_as_it_may_be() {
    let open = Open::here("limits.body = \"1KiB\"").await;
    let call = "/v1/pools/a/call/b";
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(1024));
    crate::client::post(open.address, call, large).await.fails(413, "limit", "more than 1KiB");
    crate::client::post(open.address, call, "{}").await.fails(503, "unavailable", "takes no calls");
    open.end().await;
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_no_more() {
    let open = Open::here("limits.connections_per_client = 2").await;
    let held = [TcpStream::connect(open.address).await.unwrap(), TcpStream::connect(open.address).await.unwrap()];
    let mut third = TcpStream::connect(open.address).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, third.read(&mut [0])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    drop(held);
    let served = async {
        loop {
            let request = Request::get("/healthz").body(String::new()).unwrap();
            if opened(open.address, request).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
    open.end().await;
}
