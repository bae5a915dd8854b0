//! One export: a request with a message of protobuf, over HTTP as it is, over gRPC with five bytes before it. A connection for each,
//! as there is one in seconds.

use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use hatchery::{Error, ErrorKind, OtlpProtocol, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

/// Why an export was not taken.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Whether it may be taken later.
    pub(super) is_passing: bool,
}

impl Failure {
    pub(super) fn passing(why: String) -> Failure {
        Failure { why, is_passing: true }
    }

    fn said(why: String, is_passing: bool) -> Failure {
        Failure { why, is_passing }
    }
}

/// Knows where a collector is, and how it is spoken to.
pub(super) struct Sender {
    endpoint: Uri,
    authority: String,
    protocol: OtlpProtocol,
    headers: HeaderMap,
}

/// More than this of an answer is not read.
const LONGEST_ANSWER: usize = 64 << 10;

impl Sender {
    pub(super) fn new(endpoint: &str, protocol: OtlpProtocol, headers: Option<&Path>) -> Result<Sender> {
        let expected = || {
            let form = "telemetry.otlp.endpoint: expected one like http://127.0.0.1:4318";
            Error::new(ErrorKind::Validation, format!("{form}, found {endpoint:?}"))
        };
        let uri: Uri = endpoint.parse().map_err(|_| expected())?;
        let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(expected()) };
        let usual = if protocol == OtlpProtocol::Grpc { 4317 } else { 4318 };
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(usual));
        let headers = headers.map(read_headers).transpose()?.unwrap_or_default();
        Ok(Sender { endpoint: uri, authority, protocol, headers })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.authority
    }

    /// Cancel safe.
    pub(super) async fn send(&self, signal: Signal, message: &impl prost::Message) -> Result<(), Failure> {
        let connect = |why: std::io::Error| Failure::passing(format!("connect: {why}"));
        let stream = TokioIo::new(TcpStream::connect(&self.authority).await.map_err(connect)?);
        let failed = |why: hyper::Error| Failure::passing(why.to_string());
        // The connection ends with this.
        let mut driving = JoinSet::new();
        let answer = match self.protocol {
            OtlpProtocol::Http => {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(failed)?;
                driving.spawn(connection);
                sender.send_request(self.http(signal, message)?).await.map_err(failed)?
            }
            OtlpProtocol::Grpc => {
                let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
                let (mut sender, connection) = handshake.await.map_err(failed)?;
                driving.spawn(connection);
                sender.send_request(self.grpc(signal, message)?).await.map_err(failed)?
            }
        };
        judge(answer, self.protocol).await
    }

    fn http(&self, signal: Signal, message: &impl prost::Message) -> Result<Request<Full<Bytes>>, Failure> {
        let path = match signal {
            Signal::Traces => "v1/traces",
            Signal::Metrics => "v1/metrics",
        };
        let uri = format!("{}/{path}", self.endpoint.path().trim_end_matches('/'));
        self.request(uri, "application/x-protobuf", message.encode_to_vec().into())
    }

    fn grpc(&self, signal: Signal, message: &impl prost::Message) -> Result<Request<Full<Bytes>>, Failure> {
        let service = match signal {
            Signal::Traces => "trace.v1.TraceService",
            Signal::Metrics => "metrics.v1.MetricsService",
        };
        let uri = format!("http://{}/opentelemetry.proto.collector.{service}/Export", self.authority);
        let message = message.encode_to_vec();
        let mut body = BytesMut::with_capacity(5 + message.len());
        // Not compressed, and so long.
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.extend_from_slice(&message);
        self.request(uri, "application/grpc", body.freeze())
    }

    fn request(&self, uri: String, kind: &'static str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let built = Request::post(uri).header(CONTENT_TYPE, kind).body(Full::new(body));
        let mut request = built.map_err(|why| Failure::said(format!("make the request: {why}"), false))?;
        request.headers_mut().extend(self.headers.clone());
        match self.protocol {
            OtlpProtocol::Grpc => drop(request.headers_mut().insert(TE, HeaderValue::from_static("trailers"))),
            OtlpProtocol::Http => {
                let host = HeaderValue::from_str(&self.authority);
                let host = host.map_err(|why| Failure::said(format!("make the request: {why}"), false))?;
                request.headers_mut().insert(HOST, host);
            }
        }
        Ok(request)
    }
}

/// What the collector says.
async fn judge(answer: Response<Incoming>, protocol: OtlpProtocol) -> Result<(), Failure> {
    let (head, body) = answer.into_parts();
    let read = Limited::new(body, LONGEST_ANSWER).collect().await;
    let trailers = read.map_err(|why| Failure::passing(format!("read the answer: {why}")))?.trailers().cloned();
    if head.status != StatusCode::OK {
        let is_passing = matches!(head.status.as_u16(), 429 | 502 | 503 | 504);
        return Err(Failure::said(format!("it answered {}", head.status), is_passing));
    }
    if protocol == OtlpProtocol::Http {
        return Ok(());
    }
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    match status.or_else(|| head.headers.get("grpc-status")).and_then(|status| status.to_str().ok()) {
        Some("0") => Ok(()),
        // As the protocol says: cancelled, deadline, aborted, out of range, unavailable, data loss.
        Some(status) => {
            let is_passing = matches!(status, "1" | "4" | "10" | "11" | "14" | "15");
            Err(Failure::said(format!("it answered with the gRPC status {status}"), is_passing))
        }
        None => Err(Failure::said("it answered without a gRPC status".to_owned(), false)),
    }
}

/// `name: value`, one per line; lines that begin with `#` are skipped. What stands there is never told.
fn read_headers(path: &Path) -> Result<HeaderMap> {
    let wrong = |what: String| Error::new(ErrorKind::Validation, format!("telemetry.otlp.headers_file: {what}"));
    let text = std::fs::read_to_string(path).map_err(|why| wrong(format!("read {}: {why}", path.display())))?;
    let mut headers = HeaderMap::new();
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    for (n, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let read = line.split_once(':').and_then(|(name, value)| {
            let mut value: HeaderValue = value.trim().parse().ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        let (name, value) = read.ok_or_else(|| wrong(format!("{}:{n}: expected `name: value`", path.display())))?;
        headers.append(name, value);
    }
    Ok(headers)
}
