//! A running daemon, as any client sees it: HTTP and JSON, and nothing of the library's insides.

mod address;
mod advice;
mod connector;
mod credentials;
mod finding;
mod near;
mod path;
mod pool;
mod sse;
mod versions;

pub(crate) use address::Address;
pub(crate) use advice::advice;
pub(crate) use finding::DaemonOptions;
pub(crate) use pool::{Chunks, Pool};
pub(crate) use sse::Feed;
pub(crate) use versions::Versions;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};
use hatchery_daemon::Record;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, SERVER};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use connector::Connector;
use credentials::Token;
use path::{path, query};

/// What to do about a daemon that there is not, for a command that only looks at one.
pub(crate) const START_ONE: &str =
    "start one with `hatchery serve --app app.py` (`hatchery orphans` and `hatchery registry` need none)";

/// How long a daemon may take to say how it is, or to take an order. Calls take as long as they take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that tells of events says four times as often that it is there.
const SILENCE: Duration = Duration::from_secs(60);

/// How often is looked whether a daemon that ends is gone.
const GLANCE: Duration = Duration::from_millis(50);

/// A daemon at its address. Clones share its connections; a request that is dropped closes the one that it was on.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    http: Arc<Client<Connector, Full<Bytes>>>,
    address: Address,
    /// The one that it has, if it was found by that.
    data_dir: Option<PathBuf>,
    token: Option<Token>,
    versions: Versions,
}

impl Daemon {
    fn at(
        address: Address,
        data_dir: Option<PathBuf>,
        connector: Connector,
        token: Option<Token>,
        versions: Versions,
    ) -> Daemon {
        let http = Arc::new(Client::builder(TokioExecutor::new()).build(connector));
        Daemon { http, address, data_dir, token, versions }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The JSON text at this path.
    pub(crate) fn get<'a>(&'a self, segments: &[&str]) -> impl Future<Output = Result<String>> + use<'a> {
        self.page(segments, &[])
    }

    /// The same with parameters.
    pub(crate) fn page<'a>(
        &'a self,
        segments: &[&str],
        said: &[(&str, &str)],
    ) -> impl Future<Output = Result<String>> + use<'a> {
        self.soon(self.answer(Method::GET, path(segments) + &query(said), None))
    }

    /// Tells it to do something, and what it did.
    pub(crate) fn order<'a>(
        &'a self,
        segments: &[&str],
        body: Value,
    ) -> impl Future<Output = Result<String>> + use<'a> {
        self.soon(self.order_patiently(segments, body))
    }

    /// The same for what may take its time.
    pub(crate) fn order_patiently<'a>(
        &'a self,
        segments: &[&str],
        body: Value,
    ) -> impl Future<Output = Result<String>> + use<'a> {
        self.answer(Method::POST, path(segments), Some(body))
    }

    /// Has it run something for as long as it takes, with these headers, and what came of it.
    pub(crate) async fn run(
        &self,
        segments: &[&str],
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<String> {
        let request = Request::post(self.uri(&path(segments))?).header(CONTENT_TYPE, "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        self.text(self.send(request, body.into()).await?).await
    }

    pub(crate) fn delete<'a>(&'a self, segments: &[&str]) -> impl Future<Output = Result<String>> + use<'a> {
        self.delete_of(segments, &[])
    }

    /// The same with parameters.
    pub(crate) fn delete_of<'a>(
        &'a self,
        segments: &[&str],
        said: &[(&str, &str)],
    ) -> impl Future<Output = Result<String>> + use<'a> {
        self.soon(self.answer(Method::DELETE, path(segments) + &query(said), None))
    }

    /// Events as they happen, from now on.
    pub(crate) async fn events(&self, said: &[(&str, &str)]) -> Result<Feed> {
        let request = Request::get(self.uri(&(path(&["events"]) + &query(said)))?);
        let response = self.soon(self.send(request, Bytes::new())).await?;
        Ok(Feed::new(self.clone(), response.into_body(), Some(SILENCE)))
    }

    /// Waits until nobody answers there any more, nor has the data directory by which it was found.
    pub(crate) async fn gone(&self) {
        while self.is_there().await {
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn is_there(&self) -> bool {
        let has_claimed = self.data_dir.as_ref().is_some_and(|dir| matches!(Record::find(dir), Ok(Some(_))));
        has_claimed || self.answers().await
    }

    /// Whether somebody answers, whatever it is.
    async fn answers(&self) -> bool {
        let request = self.uri("/healthz").ok().and_then(|uri| Request::get(uri).body(Full::default()).ok());
        match request {
            Some(request) => self.http.request(request).await.is_ok(),
            None => false,
        }
    }

    async fn soon<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let silent = |_| self.failed(format_args!("it does not answer within {PATIENCE:?}"));
        tokio::time::timeout(PATIENCE, asked).await.map_err(silent)?
    }

    async fn answer(&self, method: Method, path: String, body: Option<Value>) -> Result<String> {
        let request = Request::builder().method(method).uri(self.uri(&path)?);
        let (request, bytes) = match body {
            Some(body) => (request.header(CONTENT_TYPE, "application/json"), body.to_string().into()),
            None => (request, Bytes::new()),
        };
        self.text(self.send(request, bytes).await?).await
    }

    /// The answer, if it is one of success.
    async fn send(&self, request: Builder, body: Bytes) -> Result<Response<Incoming>> {
        let wrong = |why| Error::new(ErrorKind::Validation, format!("ask the daemon at {}: {why}", self.address));
        let request = match &self.token {
            Some(Token(token)) => request.header(AUTHORIZATION, token),
            None => request,
        };
        let request = request.body(Full::new(body)).map_err(wrong)?;
        let response = self.http.request(request).await.map_err(|why| self.unanswered(&why))?;
        self.note_version(&response);
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = self.text(response).await?;
        Err(error_in(&text).unwrap_or_else(|| self.failed(format_args!("it answers {status}, not as a daemon does"))))
    }

    fn note_version(&self, response: &Response<Incoming>) {
        let server = response.headers().get(SERVER).and_then(|server| server.to_str().ok());
        if let Some(version) = server.and_then(|server| server.strip_prefix("hatchery/")) {
            self.versions.of_daemon(version);
        }
    }

    async fn text(&self, response: Response<Incoming>) -> Result<String> {
        let bytes = response.into_body().collect().await.map_err(|why| self.cut_off(&why))?.to_bytes();
        String::from_utf8(bytes.into()).map_err(|_| self.failed("it answers something that is not UTF-8"))
    }

    fn uri(&self, path: &str) -> Result<Uri> {
        let parts = Uri::builder().scheme("http").authority(self.address.authority()).path_and_query(path);
        parts.build().map_err(|why| Error::new(ErrorKind::Validation, format!("ask for {path}: {why}")))
    }

    fn unanswered(&self, why: &legacy::Error) -> Error {
        if !why.is_connect() {
            return self.cut_off(why);
        }
        let (address, found) = (&self.address, innermost(why));
        let message = match reason(why) {
            Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                format!("no daemon is running at {address}: {found}")
            }
            Some(io::ErrorKind::PermissionDenied) => {
                format!(
                    "the socket {address} is another user's: {found}; use their daemon's address and a token (--addr, --token-file)"
                )
            }
            _ => format!("cannot connect to the daemon at {address}: {found}"),
        };
        Error::new(ErrorKind::Unavailable, message)
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
    let body: Value = serde_json::from_str(text).ok()?;
    Error::from_json(body.get("error")?)
}

/// What happened, without the layers that say who noticed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    layers(error).last().map(ToString::to_string).unwrap_or_default()
}

/// What the operating system made of it, if it was that.
fn reason(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    layers(error).find_map(|layer| layer.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn layers<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_from_its_body() {
        let error = error_in(r#"{"error":{"kind":"remote","message":"no","retryable":false}}"#).unwrap();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Remote, "no"));
        assert!(error_in("<html>").is_none() && error_in("{}").is_none());
    }
}
