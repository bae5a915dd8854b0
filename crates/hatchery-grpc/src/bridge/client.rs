//! Asks a worker what a host asks, and a host what a worker asks.

mod connection;
mod options;
mod stream;
mod telemetry;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use hatchery::{Error, ErrorKind, Payload, Result};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, StdError, http::Uri};
use tonic::{Request, Response, Status};

use super::proto::bridge_service_client::BridgeServiceClient;
use super::proto::{self, SessionConfig, ToolRegistration};
use super::{MESSAGE_LIMIT, Peer, arguments, errors, results};

pub(crate) use connection::Refused;
pub use connection::{AnswerBody, Connection};
pub use options::RequestOptions;
pub use stream::ChunkStream;
pub use telemetry::Telemetry;

/// What is asked in requests that have no origin of their own. Workers do not look at it.
const ORIGIN: &str = "http://localhost";

/// A client of `snakepit.bridge.BridgeService`, over any service that takes requests of gRPC: a [`Connection`], a channel of tonic's,
/// layers of tower around either. Cheap to clone if the service is; one connection serves many calls at once.
///
/// Messages may be [`MESSAGE_LIMIT`] long both ways. A longer one is `limit`, before it is sent.
///
/// # Errors
/// Of every method: those of [`errors::of_status`], by who the [`Peer`] is; `deadline` if [`RequestOptions::timeout`] passes;
/// those that the method names.
#[derive(Clone, Debug)]
pub struct Client<T> {
    inner: BridgeServiceClient<T>,
    peer: Peer,
}

/// A tool to run, and what with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolCall {
    /// The tool.
    pub tool: String,
    /// Its arguments, an object.
    pub arguments: Payload,
    /// The session that it runs in. Workers take an empty one; hosts do not.
    pub session: String,
    /// What the tool may look up beside its arguments.
    pub metadata: BTreeMap<String, String>,
    /// Arguments that the worker is to unpickle. See [`arguments::write`].
    pub pickled: Vec<String>,
}

/// What a tool returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The value.
    pub value: Payload,
    /// What stands beside a value that is bytes. See [`results::Received`].
    pub about: Option<serde_json::Value>,
    /// More facts.
    pub metadata: BTreeMap<String, String>,
    /// How long it took, by the peer's word; zero if it does not say.
    pub execution_time: Duration,
}

impl ToolCall {
    /// In no session, with no metadata.
    pub fn new(tool: impl Into<String>, arguments: Payload) -> ToolCall {
        let (session, metadata, pickled) = (String::new(), BTreeMap::new(), Vec::new());
        ToolCall { tool: tool.into(), arguments, session, metadata, pickled }
    }

    /// Sets [`ToolCall::session`].
    #[must_use]
    pub fn session(mut self, id: impl Into<String>) -> ToolCall {
        self.session = id.into();
        self
    }

    /// Adds to [`ToolCall::metadata`].
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> ToolCall {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds to [`ToolCall::pickled`].
    #[must_use]
    pub fn pickled(mut self, argument: impl Into<String>) -> ToolCall {
        self.pickled.push(argument.into());
        self
    }
}

impl<T> Client<T>
where
    T: GrpcService<Body> + Clone,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    /// A client of this peer, which the service reaches.
    pub fn new(service: T, peer: Peer) -> Client<T> {
        Client::with_origin(service, peer, Uri::from_static(ORIGIN))
    }

    /// Like [`Client::new`], for services that look where a request goes: `http://127.0.0.1:50051`.
    pub fn with_origin(service: T, peer: Peer, origin: Uri) -> Client<T> {
        let inner = BridgeServiceClient::with_origin(service, origin).max_decoding_message_size(MESSAGE_LIMIT);
        Client { inner, peer }
    }

    /// Whether the peer is there, and what it says to `message`.
    ///
    /// # Errors
    /// Those of every method.
    pub async fn ping(&self, message: impl Into<String>, options: &RequestOptions) -> Result<proto::PingResponse> {
        let request = proto::PingRequest { message: message.into() };
        let mut client = self.inner.clone();
        self.answered("Ping", options, client.ping(options.request(request)?)).await
    }

    /// Makes a session, or finds it. A worker begins to send heartbeats for it, one loop for each session, until
    /// [`Client::cleanup_session`].
    ///
    /// # Errors
    /// Those of every method; if the peer refuses it, that of [`errors::of_message`].
    pub async fn initialize_session(
        &self,
        id: impl Into<String>,
        metadata: BTreeMap<String, String>,
        config: Option<SessionConfig>,
        options: &RequestOptions,
    ) -> Result<proto::InitializeSessionResponse> {
        let request = proto::InitializeSessionRequest { session_id: id.into(), metadata, config };
        let mut client = self.inner.clone();
        let sent = client.initialize_session(options.request(request)?);
        let answer = self.answered("InitializeSession", options, sent).await?;
        self.unless(!answer.success, &answer.error_message)?;
        Ok(answer)
    }

    /// Ends a session; one that is not there is over. How many things went with it.
    ///
    /// # Errors
    /// Those of every method; `conflict` if the peer keeps it.
    pub async fn cleanup_session(&self, id: impl Into<String>, options: &RequestOptions) -> Result<u32> {
        let request = proto::CleanupSessionRequest { session_id: id.into(), force: false };
        let mut client = self.inner.clone();
        let answer =
            self.answered("CleanupSession", options, client.cleanup_session(options.request(request)?)).await?;
        match answer.success {
            true => Ok(answer.resources_cleaned.try_into().unwrap_or(0)),
            false => Err(Error::new(ErrorKind::Conflict, "end a session: the peer keeps it")),
        }
    }

    /// What is known of a session.
    ///
    /// # Errors
    /// Those of every method; `not_found` if nothing is.
    pub async fn get_session(
        &self,
        id: impl Into<String>,
        options: &RequestOptions,
    ) -> Result<proto::GetSessionResponse> {
        let request = proto::GetSessionRequest { session_id: id.into() };
        let mut client = self.inner.clone();
        self.answered("GetSession", options, client.get_session(options.request(request)?)).await
    }

    /// Whether the peer lives; and whether it knows the session. A worker asks its host before it answers.
    ///
    /// # Errors
    /// Those of every method.
    pub async fn heartbeat(&self, session: impl Into<String>, options: &RequestOptions) -> Result<bool> {
        let request = proto::HeartbeatRequest { session_id: session.into(), client_time: None };
        let mut client = self.inner.clone();
        let answer = self.answered("Heartbeat", options, client.heartbeat(options.request(request)?)).await?;
        Ok(answer.session_valid)
    }

    /// Runs a tool. To drop this does not end it: it runs to its end in its worker, which nothing then tells of.
    ///
    /// # Errors
    /// Those of every method, of [`arguments::write`], of [`results::read`]; of the tool's own, that of [`errors::of_message`].
    pub async fn execute_tool(&self, call: ToolCall, options: &RequestOptions) -> Result<Answer> {
        let request = tool_request(call, options)?;
        let mut client = self.inner.clone();
        let answer = self.answered("ExecuteTool", options, client.execute_tool(options.request(request)?)).await?;
        self.unless(!answer.success, &answer.error_message)?;
        Answer::read(answer.metadata.clone(), answer.execution_time_ms, answer.into())
    }

    /// Runs a tool that answers with many values. A worker answers when there is the first one. The timeout is for all of them.
    ///
    /// # Errors
    /// Those of every method, and of [`arguments::write`]. The tool's own come with the stream.
    pub async fn execute_streaming_tool(&self, call: ToolCall, options: &RequestOptions) -> Result<ChunkStream> {
        let deadline = options.deadline();
        let request = proto::ExecuteToolRequest { stream: true, ..tool_request(call, options)? };
        let mut client = self.inner.clone();
        let sent = client.execute_streaming_tool(options.request(request)?);
        let chunks = self.answered("ExecuteStreamingTool", options, sent).await?;
        Ok(ChunkStream::new(chunks, self.peer, deadline))
    }

    /// Tells a host what a worker's adapter can do: all of it is registered, or nothing. The ids, by name. `worker` is what a worker calls
    /// itself, and nobody reads.
    ///
    /// # Errors
    /// Those of every method; `conflict` if a tool is there already, `validation` if the host refuses them for another reason.
    pub async fn register_tools(
        &self,
        session: impl Into<String>,
        worker: impl Into<String>,
        tools: Vec<ToolRegistration>,
        options: &RequestOptions,
    ) -> Result<BTreeMap<String, String>> {
        let (session_id, worker_id) = (session.into(), worker.into());
        let request = fitting(proto::RegisterToolsRequest { session_id, tools, worker_id })?;
        let mut client = self.inner.clone();
        let answer = self.answered("RegisterTools", options, client.register_tools(options.request(request)?)).await?;
        match answer.success {
            true => Ok(answer.tool_ids),
            false => Err(errors::of_registration(&answer.error_message)),
        }
    }

    /// The host tools that may be called in a session.
    ///
    /// # Errors
    /// Those of every method.
    pub async fn get_exposed_tools(
        &self,
        session: impl Into<String>,
        options: &RequestOptions,
    ) -> Result<Vec<proto::ToolSpec>> {
        let request = proto::GetExposedElixirToolsRequest { session_id: session.into() };
        let mut client = self.inner.clone();
        let sent = client.get_exposed_elixir_tools(options.request(request)?);
        Ok(self.answered("GetExposedElixirTools", options, sent).await?.tools)
    }

    /// Runs a host tool, as a worker does. [`ToolCall::pickled`] has no meaning here.
    ///
    /// # Errors
    /// Those of every method, of [`arguments::write_for_host`], of [`results::read`]; of the tool's own, that of [`errors::of_message`].
    pub async fn execute_host_tool(&self, call: ToolCall, options: &RequestOptions) -> Result<Answer> {
        let parameters = arguments::write_for_host(&call.arguments)?;
        let metadata = options.marked(call.metadata);
        let (session_id, tool_name) = (call.session, call.tool);
        let request = fitting(proto::ExecuteElixirToolRequest { session_id, tool_name, parameters, metadata })?;
        let mut client = self.inner.clone();
        let sent = client.execute_elixir_tool(options.request(request)?);
        let answer = self.answered("ExecuteElixirTool", options, sent).await?;
        self.unless(!answer.success, &answer.error_message)?;
        Answer::read(answer.metadata.clone(), answer.execution_time_ms, answer.into())
    }

    /// Listens to what a worker measures, and tells it to begin. It ends with the worker, or when it is dropped; a timeout, until the worker
    /// answers, is for that alone.
    ///
    /// # Errors
    /// Those of every method; `unavailable`, not to be tried again, of a worker that has no telemetry, such as a threaded one.
    pub async fn stream_telemetry(&self, options: &RequestOptions) -> Result<Telemetry> {
        let (controls, requests) = telemetry::channel();
        let mut request = Request::new(requests);
        options.mark(&mut request);
        let mut client = self.inner.clone();
        let events = self.answered("StreamTelemetry", options, client.stream_telemetry(request)).await?;
        Ok(Telemetry::new(controls, events, self.peer))
    }

    async fn answered<A>(
        &self,
        method: &str,
        options: &RequestOptions,
        answer: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Result<A> {
        let answer = match options.timeout {
            Some(timeout) => tokio::time::timeout(timeout, answer).await.map_err(|_| late(method, timeout))?,
            None => answer.await,
        };
        answer.map(Response::into_inner).map_err(|status| errors::of_status(&status, self.peer))
    }

    fn unless(&self, failed: bool, message: &str) -> Result<()> {
        if failed { Err(errors::of_message(message, self.peer)) } else { Ok(()) }
    }
}

impl Answer {
    fn read(metadata: BTreeMap<String, String>, milliseconds: i64, returned: results::Returned) -> Result<Answer> {
        let results::Received { payload, about } = results::read(returned)?;
        let execution_time = Duration::from_millis(milliseconds.try_into().unwrap_or(0));
        Ok(Answer { value: payload, about, metadata, execution_time })
    }
}

/// What [`Client::execute_tool`] and [`Client::execute_streaming_tool`] send.
fn tool_request(call: ToolCall, options: &RequestOptions) -> Result<proto::ExecuteToolRequest> {
    let written = arguments::write(&call.arguments, &call.pickled)?;
    let mut metadata = options.marked(call.metadata);
    // What the bytes are is nobody's to contradict.
    metadata.extend(written.metadata);
    fitting(proto::ExecuteToolRequest {
        session_id: call.session,
        tool_name: call.tool,
        parameters: written.parameters,
        metadata,
        stream: false,
        binary_parameters: written.binary_parameters,
    })
}

/// What is too long is found here: below, it would look as if the peer had broken off.
fn fitting<M: prost::Message>(message: M) -> Result<M> {
    match message.encoded_len() {
        length if length > MESSAGE_LIMIT => {
            let message = format!("the request has {length} bytes, and a message has {MESSAGE_LIMIT} at most");
            Err(Error::new(ErrorKind::Limit, message))
        }
        _ => Ok(message),
    }
}

fn late(what: &str, timeout: Duration) -> Error {
    Error::new(ErrorKind::Deadline, format!("{what}: no answer within {timeout:?}"))
}
