//! Over HTTP/1.1, on a connection that is kept, each in a session of its own.

use std::time::Instant;

use bytes::Bytes;
use hatchery::{Error, ErrorKind};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Load, Outcome};

type Sender = SendRequest<Full<Bytes>>;

pub(super) async fn call(load: &Load, number: usize) {
    let stream = TcpStream::connect(load.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let session = format!("load-{number}");
    let arguments = format!("{{\"ms\": {}}}", load.milliseconds);
    while load.goes_on() {
        let request = Request::post("/v1/pools/default/call/nap").header("x-hatchery-session", &session);
        let began = Instant::now();
        let (status, body) = answer(&mut sender, request, arguments.clone()).await;
        load.note(outcome(status, &body), began.elapsed()).await;
    }
    let (status, body) = answer(&mut sender, Request::delete(format!("/v1/sessions/{session}")), String::new()).await;
    assert!([200, 404].contains(&status), "{status} {body:?}");
    drop(sender);
    connection.await.unwrap().unwrap();
}

async fn answer(sender: &mut Sender, request: hyper::http::request::Builder, body: String) -> (u16, Bytes) {
    let request = request.header("host", "localhost").body(Full::from(body)).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
}

fn outcome(status: u16, body: &[u8]) -> Outcome {
    if status == 200 {
        return Outcome::Served;
    }
    let told: Value = serde_json::from_slice(body).unwrap();
    let (kind, message) = (told["error"]["kind"].as_str().unwrap(), told["error"]["message"].as_str().unwrap());
    let expected = [(429, "saturated", ErrorKind::Saturated), (504, "deadline", ErrorKind::Deadline)];
    let kind = expected.iter().find(|row| (row.0, row.1) == (status, kind)).map(|row| row.2);
    match kind {
        Some(kind) => Outcome::Failed(Error::new(kind, message)),
        None => Outcome::Failed(Error::new(ErrorKind::Internal, format!("{status}: {told}"))),
    }
}
