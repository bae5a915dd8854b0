//! A running daemon, as any client sees it: HTTP and JSON, and nothing of the library's insides.

mod address;
mod events;
mod pool;

pub(crate) use address::DaemonOptions;
pub(crate) use pool::{Chunks, Pool};

use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::uri::Authority;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::{self, Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

/// What to do about a daemon that there is not, for a command that only looks at one.
pub(crate) const START_ONE: &str =
    "start one with `hatchery serve --app app.py` (`hatchery orphans` and `hatchery registry` need none)";

/// How long a daemon may take to say how it is. Calls take as long as they take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon at its address. Clones share its connections; a request that is dropped closes the one that it was on.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    http: Client<HttpConnector, Full<Bytes>>,
    address: Authority,
}

impl Daemon {
    pub(crate) fn at(address: Authority) -> Daemon {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Daemon { http: Client::builder(TokioExecutor::new()).build(connector), address }
    }

    /// The JSON text at this path.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        let asked = async { self.text(self.send(Request::get(self.uri(path)?), Bytes::new()).await?).await };
        let silent = |_| self.failed(format_args!("it does not answer within {PATIENCE:?}"));
        tokio::time::timeout(PATIENCE, asked).await.map_err(silent)?
    }

    /// The answer, if it is one of success.
    async fn send(&self, request: hyper::http::request::Builder, body: Bytes) -> Result<Response<Incoming>> {
        let wrong = |why| Error::new(ErrorKind::Validation, format!("ask the daemon at {}: {why}", self.address));
        let request = request.body(Full::new(body)).map_err(wrong)?;
        let response = self.http.request(request).await.map_err(|why| self.unanswered(&why))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = self.text(response).await?;
        Err(error_in(&text).unwrap_or_else(|| self.failed(format_args!("it answers {status}, not as a daemon does"))))
    }

    async fn text(&self, response: Response<Incoming>) -> Result<String> {
        let bytes = response.into_body().collect().await.map_err(|why| self.cut_off(&why))?.to_bytes();
        String::from_utf8(bytes.into()).map_err(|_| self.failed("it answers something that is not UTF-8"))
    }

    fn uri(&self, path: &str) -> Result<Uri> {
        let parts = Uri::builder().scheme("http").authority(self.address.clone()).path_and_query(path);
        parts.build().map_err(|why| Error::new(ErrorKind::Validation, format!("ask for {path}: {why}")))
    }

    fn unanswered(&self, why: &legacy::Error) -> Error {
        if why.is_connect() {
            let message = format!("no daemon is running at {}: {}", self.address, innermost(why));
            return Error::new(ErrorKind::Unavailable, message);
        }
        self.cut_off(why)
    }

    fn cut_off(&self, why: &(dyn std::error::Error + 'static)) -> Error {
        self.failed(format_args!("it went away before it had answered: {}", innermost(why)))
    }

    fn failed(&self, found: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Unavailable, format!("the daemon at {}: {found}", self.address))
    }
}

/// The error that an answer or an event tells of.
fn error_in(text: &str) -> Option<Error> {
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    Error::from_json(body.get("error")?)
}

/// What happened, without the layers that say who noticed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        assert_eq!(segment("word_count"), "word_count");
        assert_eq!(segment("a/b?é"), "a%2Fb%3F%C3%A9");
    }

    #[test]
    fn an_error_is_read_from_its_body() {
        let error = error_in(r#"{"error":{"kind":"remote","message":"no","retryable":false}}"#).unwrap();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Remote, "no"));
        assert!(error_in("<html>").is_none() && error_in("{}").is_none());
    }
}
