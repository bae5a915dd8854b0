//! HTTP as any client speaks it: one connection per request.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer of whatever kind, to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

/// An answer that has come to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// Is an error of this status, kind and message.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, kind: &str, said: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json()["error"].clone();
        assert_eq!(error["kind"], kind, "{self:?}");
        assert!(error["message"].as_str().unwrap().contains(said), "not said: {said}\n{self:?}");
        error
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    send(address, Request::get(path).body(String::new()).unwrap()).await
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: impl Into<String>) -> Reply {
    send(address, Request::post(path).body(body.into()).unwrap()).await
}

pub(crate) async fn put(address: SocketAddr, path: &str, body: impl Into<String>) -> Reply {
    send(address, Request::put(path).body(body.into()).unwrap()).await
}

pub(crate) async fn delete(address: SocketAddr, path: &str) -> Reply {
    send(address, Request::delete(path).body(String::new()).unwrap()).await
}

/// Whatever is sent, and whatever comes back.
pub(crate) async fn ask(address: SocketAddr, request: Request<impl Into<Bytes>>) -> Answer {
    let response = open(address, request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer { status: head.status.as_u16(), headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

pub(crate) async fn send(address: SocketAddr, request: Request<String>) -> Reply {
    let response = open(address, request).await.unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type");
    let content_type = content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    Reply { status, content_type, text: String::from_utf8(text.to_vec()).unwrap() }
}

/// The head of the answer. Dropping its body closes the connection, and so does dropping this.
pub(crate) async fn open(address: SocketAddr, request: Request<impl Into<Bytes>>) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut head, body) = request.into_parts();
    head.headers.entry("host").or_insert_with(|| address.to_string().parse().unwrap());
    sender.send_request(Request::from_parts(head, Full::new(body.into()))).await
}
