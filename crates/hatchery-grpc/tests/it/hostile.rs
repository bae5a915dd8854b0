//! Peers that break the rules, or go away.

use bytes::Bytes;
use hatchery::{Error, ErrorKind, Payload};
use hatchery_grpc::bridge::proto::ToolChunk;
use hatchery_grpc::bridge::{Connection, HEADER_LIMIT, Peer, RequestOptions, ToolCall};
use hyper::body::Frame;
use prost::Message;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codegen::http::{HeaderMap, Response};

use crate::rig::{Bridge, Frames, on_accept, raw};

fn answer(frames: Vec<Frame<Bytes>>) -> Response<Frames> {
    Response::builder().header("content-type", "application/grpc").body(Frames(frames)).unwrap()
}

fn message(bytes: &[u8]) -> Frame<Bytes> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    Frame::data([&[0], &length[..], bytes].concat().into())
}

fn trailers(status: &str, message: String) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    trailers.insert("grpc-message", message.parse().unwrap());
    Frame::trailers(trailers)
}

fn call() -> ToolCall {
    ToolCall::new("t", Payload::encode(&json!({})).unwrap())
}

async fn fails(worker: &Bridge) -> Error {
    worker.execute_tool(call(), &RequestOptions::new()).await.unwrap_err()
}

#[tokio::test]
async fn answers_that_are_none_are_a_breach() {
    let answers: [fn(&str) -> Response<Frames>; 6] = [
        |_| answer(vec![message(&[0xff; 9]), trailers("0", String::new())]),
        |_| answer(vec![Frame::data(Bytes::from_static(b"\x07\0\0\0\x01x")), trailers("0", String::new())]),
        |_| answer(vec![Frame::data(Bytes::from_static(b"\x01\0\0\0\x01x")), trailers("0", String::new())]),
        |_| answer(vec![trailers("0", String::new())]),
        |_| answer(vec![trailers("13", "plain".to_owned())]),
        |_| answer(vec![Frame::data(Bytes::from_static(b"\0\0\0\0\x09x"))]),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let worker = raw(answer).await;
        let error = fails(&worker).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Protocol, false), "{index}: {error}");
        // The connection is as well as it was.
        assert_eq!(fails(&worker).await.kind(), ErrorKind::Protocol, "{index}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_by_its_length_alone() {
    let worker = raw(|_| answer(vec![Frame::data(Bytes::from_static(b"\0\x06\x40\0\x01"))])).await;
    let error = fails(&worker).await;
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

/// An error of a stream in its status, as long as Python makes it, and the mark of a server that does not know gRPC.
#[tokio::test]
async fn trailers_may_be_long_and_what_came_before_those_that_are_too_long_stands() {
    fn long(length: usize) -> Response<Frames> {
        let chunk = ToolChunk { chunk_id: "t-1".into(), data: "1".into(), ..ToolChunk::default() };
        let error = json!({"type": "ValueError", "message": "x".repeat(length), "traceback": "ü"}).to_string();
        let encoded: String = error
            .bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect();
        answer(vec![message(&chunk.encode_to_vec()), trailers("13", encoded)])
    }
    let worker = raw(|_| long(500 << 10)).await;
    let mut stream = worker.execute_streaming_tool(call(), &RequestOptions::new()).await.unwrap();
    assert_eq!(stream.next_item().await.unwrap().unwrap().to_json().unwrap(), 1);
    let error = stream.next_item().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message().len(), error.traceback()), (ErrorKind::Remote, 500 << 10, Some("ü")));

    let worker = raw(|_| long(HEADER_LIMIT as usize)).await;
    for _ in ["the connection is not", "at fault"] {
        let mut stream = worker.execute_streaming_tool(call(), &RequestOptions::new()).await.unwrap();
        assert_eq!(stream.next_item().await.unwrap().unwrap().to_json().unwrap(), 1);
        let error = stream.next_item().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }
}

#[tokio::test]
async fn a_server_of_another_kind_is_no_worker() {
    let worker = raw(|_| Response::builder().status(404).body(Frames::default()).unwrap()).await;
    assert_eq!(fails(&worker).await.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn who_closes_is_gone() {
    async fn close(stream: TcpStream) {
        drop(stream);
    }
    async fn garbage(mut stream: TcpStream) {
        let _gone = stream.write_all(&[0xa5; 4096]).await;
    }
    async fn http1(mut stream: TcpStream) {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
    /// Settings, and then an end in the middle of the call.
    async fn die_in_the_call(mut stream: TcpStream) {
        let _gone = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
        let mut seen = [0; 64];
        let _some = stream.read_exact(&mut seen).await;
    }
    let ports =
        [on_accept(close).await, on_accept(garbage).await, on_accept(http1).await, on_accept(die_in_the_call).await];
    for (port, peer, kind) in ports
        .into_iter()
        .flat_map(|port| [(port, Peer::Worker, ErrorKind::WorkerDied), (port, Peer::Host, ErrorKind::Unavailable)])
    {
        // Some close before there is a connection to speak of.
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let Ok((connection, driver)) = Connection::handshake(stream).await else { continue };
        let driver = tokio::spawn(driver);
        let client = hatchery_grpc::bridge::Client::new(connection.clone(), peer);
        let error = client.execute_tool(call(), &RequestOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let again = client.ping("", &RequestOptions::new()).await.unwrap_err();
        assert_eq!((again.kind(), connection.is_closed()), (kind, true), "{again}");
        let _how_it_ended = driver.await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_off_is_not_taken_for_a_whole_one() {
    let worker = raw(|_| {
        let chunk = ToolChunk { data: "1".into(), ..ToolChunk::default() };
        answer(vec![message(&chunk.encode_to_vec())])
    })
    .await;
    let mut stream = worker.execute_streaming_tool(call(), &RequestOptions::new()).await.unwrap();
    assert!(stream.next_item().await.unwrap().is_ok());
    assert_eq!(stream.next_item().await.unwrap().unwrap_err().kind(), ErrorKind::Protocol);
    assert!(stream.next_item().await.is_none());
}
