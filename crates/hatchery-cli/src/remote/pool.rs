//! Calls of a daemon's pool.

use hatchery::{Error, ErrorKind, Payload, Result, ToolSpec};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde::Deserialize;

use super::path::path;
use super::sse::Feed;
use super::{Daemon, error_in};

/// One pool of a daemon, and what all calls to it have in common.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    daemon: Daemon,
    name: String,
    headers: HeaderMap,
}

/// The chunks of a stream. Dropping it closes the connection, which cancels the stream.
#[derive(Debug)]
pub(crate) struct Chunks {
    feed: Feed,
    is_over: bool,
}

impl Pool {
    pub(crate) fn new(daemon: Daemon, name: &str) -> Pool {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Pool { daemon, name: name.to_owned(), headers }
    }

    /// Adds an option of all calls.
    pub(crate) fn with_option(mut self, name: &'static str, value: &str) -> Result<Pool> {
        let wrong = |why| Error::new(ErrorKind::Validation, format!("{name}: {value:?}: {why}"));
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).map_err(wrong)?);
        Ok(self)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn tools(&self) -> Result<Vec<ToolSpec>> {
        self.read(&self.daemon.get(&["pools", &self.name, "tools"]).await?)
    }

    /// How many workers it has.
    pub(crate) async fn workers(&self) -> Result<usize> {
        #[derive(Deserialize)]
        struct Status {
            pools: Vec<PoolStatus>,
        }
        #[derive(Deserialize)]
        struct PoolStatus {
            pool: String,
            workers: usize,
        }
        let status: Status = self.read(&self.daemon.get(&["status"]).await?)?;
        // A pool that is not there is told of by the first call.
        Ok(status.pools.iter().find(|pool| pool.pool == self.name).map_or(1, |pool| pool.workers))
    }

    /// The JSON text of the result.
    pub(crate) async fn call(&self, tool: &str, arguments: &Payload) -> Result<String> {
        self.daemon.text(self.post("call", tool, arguments).await?).await
    }

    pub(crate) async fn stream(&self, tool: &str, arguments: &Payload) -> Result<Chunks> {
        let response = self.post("stream", tool, arguments).await?;
        Ok(Chunks { feed: Feed::new(self.daemon.clone(), response.into_body(), None), is_over: false })
    }

    async fn post(&self, how: &str, tool: &str, arguments: &Payload) -> Result<Response<Incoming>> {
        let mut request = Request::post(self.daemon.uri(&path(&["pools", &self.name, how, tool]))?);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        self.daemon.send(request, arguments.to_json_text()?.into()).await
    }

    fn read<'a, T: Deserialize<'a>>(&self, text: &'a str) -> Result<T> {
        serde_json::from_str(text).map_err(|why| self.daemon.failed(format_args!("read its answer: {why}")))
    }
}

impl Chunks {
    /// The JSON text of the next chunk; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Result<String>> {
        if self.is_over {
            return None;
        }
        let outcome = self.until_chunk().await.transpose();
        self.is_over = !matches!(outcome, Some(Ok(_)));
        outcome
    }

    async fn until_chunk(&mut self) -> Result<Option<String>> {
        while let Some(event) = self.feed.next().await? {
            match event.name.as_str() {
                "chunk" => return Ok(Some(event.data)),
                "end" => return Ok(None),
                "error" => return Err(error_in(&event.data).unwrap_or_else(|| self.feed.daemon.failed(event.data))),
                _ => {}
            }
        }
        Err(self.feed.daemon.failed("it ended the stream before its end"))
    }
}
