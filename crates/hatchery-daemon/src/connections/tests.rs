//! Clients that stop halfway: each is given up within its limit, and meanwhile others are served.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hatchery::{Auth, ServerConfig};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::Request;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::Phase;
use crate::access::Policy;
use crate::bounded::Bounds;
use crate::doors::Doors;

/// What is tested is that it ends; only a failing test waits so long.
const FOR_EVER: Duration = Duration::from_secs(60);

const SOON: Duration = Duration::from_millis(100);

/// A daemon without pools.
struct Served {
    address: SocketAddr,
    house: Arc<House>,
    task: JoinHandle<()>,
}

impl Served {
    async fn with(change: impl FnOnce(&mut Policy), tls: Option<Arc<Tls>>) -> Served {
        let config = ServerConfig::default();
        let mut policy = Policy::of(&config);
        change(&mut policy);
        let listeners = Listeners::bind("127.0.0.1:0", Vec::new()).await.unwrap();
        let address = listeners.address();
        let doors = Doors::new(config, vec![address], Arc::new(Access::new(policy, None)), tls.clone());
        let house = Arc::new(House::new(address, doors));
        let task = tokio::spawn(serve(listeners, tls, Arc::clone(&house)));
        Served { address, house, task }
    }

    /// Sends this and no more; what comes back, to its end.
    async fn half(&self, said: &[u8]) -> String {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(said).await.unwrap();
        let mut heard = Vec::new();
        let heard_all = tokio::time::timeout(FOR_EVER, client.read_to_end(&mut heard)).await;
        let _what_it_had_not_read_resets_it = heard_all.expect("it is given up");
        String::from_utf8_lossy(&heard).into_owned()
    }

    async fn is_well(&self) {
        let heard = self.half(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    }

    /// A connection of HTTP/2, whose client gives each answer so much room; and its end.
    async fn http2<B>(&self, window: u32) -> (http2::SendRequest<B>, JoinHandle<()>)
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let mut client = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = client.initial_stream_window_size(window).handshake(stream).await.unwrap();
        (sender, tokio::spawn(async { drop(connection.await) }))
    }

    async fn end(self) {
        self.house.enter(Phase::Closed);
        self.task.await.unwrap();
    }
}

fn to(served: &Served, path: &str) -> hyper::http::request::Builder {
    Request::builder().uri(format!("http://{}{path}", served.address))
}

async fn ends(connection: JoinHandle<()>) {
    tokio::time::timeout(FOR_EVER, connection).await.expect("it is given up").unwrap();
}

#[tokio::test]
async fn half_a_body_is_not_waited_for() {
    let served = Served::with(|policy| policy.limits.body.time = SOON, None).await;
    let half = "POST /v1/pools/a/call/b HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{";
    let (heard, ()) = tokio::join!(served.half(half.as_bytes()), served.is_well());
    assert!(heard.starts_with("HTTP/1.1 504 ") && heard.contains("not here after 100ms"), "{heard}");
    served.end().await;
}

#[tokio::test]
async fn half_a_message_of_grpc_is_not_waited_for() {
    let served = Served::with(|policy| policy.limits.body = Bounds { size: None, time: SOON }, None).await;
    let (mut sender, _connection) = served.http2(1 << 16).await;
    let begun = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1])))]);
    let body = StreamBody::new(Box::pin(begun.chain(stream::pending())));
    let request = to(&served, "/hatchery.v1.Hatchery/Call").method("POST").header("content-type", "application/grpc");
    let answer = tokio::time::timeout(FOR_EVER, sender.send_request(request.body(body).unwrap()));
    let answer = answer.await.expect("it is given up").unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4", "{:?}", answer.headers());
    served.is_well().await;
    served.end().await;
}

#[tokio::test]
async fn half_a_hello_of_tls_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = ServerConfig::default();
    (config.tls.cert, config.tls.key) = (Some(cert), Some(key));
    let tls = Arc::new(Tls::new(Tls::read(&config).unwrap().unwrap()));
    let served = Served::with(|policy| policy.limits.head = SOON, Some(tls)).await;
    for half in [&b""[..], &[0x16, 3, 1, 2, 0, 1]] {
        assert_eq!(served.half(half).await, "");
    }
    served.end().await;
}

/// It answers pings, and so would have stayed.
#[tokio::test]
async fn who_was_only_refused_is_not_kept() {
    let strict = |policy: &mut Policy| {
        policy.auth = Auth::Token;
        policy.limits.head = SOON;
    };
    let served = Served::with(strict, None).await;
    let (mut sender, connection) = served.http2(1 << 16).await;
    let refused = sender.send_request(to(&served, "/v1/status").body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), 401);
    ends(connection).await;
    served.is_well().await;
    served.end().await;
}

/// The client makes room for a little of the answer, takes none of it, and answers pings.
#[tokio::test]
async fn a_large_answer_that_nobody_takes_is_not_kept() {
    let served = Served::with(|policy| policy.limits.stall = SOON, None).await;
    let (mut sender, connection) = served.http2(1 << 10).await;
    let answer = sender.send_request(to(&served, "/openapi.json").body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    ends(connection).await;
    served.is_well().await;
    drop::<hyper::Response<Incoming>>(answer);
    served.end().await;
}

#[tokio::test]
async fn who_takes_a_large_answer_slowly_gets_it() {
    let served = Served::with(|policy| policy.limits.stall = FOR_EVER, None).await;
    let (mut sender, _connection) = served.http2(1 << 10).await;
    let answer = sender.send_request(to(&served, "/openapi.json").body(Empty::new()).unwrap()).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(serde_json::from_slice::<serde_json::Value>(&text).unwrap()["openapi"] == "3.1.0");
    served.end().await;
}
