//! Calls of a daemon's pool.

use hatchery::{Error, ErrorKind, Payload, Result, ToolSpec};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde::Deserialize;

use super::events::Decoder;
use super::{Daemon, error_in, segment};

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
    daemon: Daemon,
    body: Incoming,
    decoder: Decoder,
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
        self.read(&self.daemon.get(&self.path("tools")).await?)
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
        let status: Status = self.read(&self.daemon.get("/v1/status").await?)?;
        // A pool that is not there is told of by the first call.
        Ok(status.pools.iter().find(|pool| pool.pool == self.name).map_or(1, |pool| pool.workers))
    }

    /// The JSON text of the result.
    pub(crate) async fn call(&self, tool: &str, arguments: &Payload) -> Result<String> {
        self.daemon.text(self.post(&format!("call/{}", segment(tool)), arguments).await?).await
    }

    pub(crate) async fn stream(&self, tool: &str, arguments: &Payload) -> Result<Chunks> {
        let response = self.post(&format!("stream/{}", segment(tool)), arguments).await?;
        let (daemon, body) = (self.daemon.clone(), response.into_body());
        Ok(Chunks { daemon, body, decoder: Decoder::default(), is_over: false })
    }

    async fn post(&self, path: &str, arguments: &Payload) -> Result<Response<Incoming>> {
        let mut request = Request::post(self.daemon.uri(&self.path(path))?);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        self.daemon.send(request, arguments.to_json_text()?.into()).await
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/pools/{}/{rest}", segment(&self.name))
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
        loop {
            while let Some(event) = self.decoder.next() {
                match event.name.as_str() {
                    "chunk" => return Ok(Some(event.data)),
                    "end" => return Ok(None),
                    "error" => return Err(error_in(&event.data).unwrap_or_else(|| self.daemon.failed(event.data))),
                    _ => {}
                }
            }
            let Some(frame) = self.body.frame().await else {
                return Err(self.daemon.failed("it ended the stream before its end"));
            };
            if let Some(bytes) = frame.map_err(|why| self.daemon.cut_off(&why))?.data_ref() {
                self.decoder.feed(bytes);
            }
        }
    }
}
