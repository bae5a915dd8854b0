//! The host's side of the bridge, as one worker sees it. All but the running of tools is answered from memory: a worker asks while it
//! holds its event loop, and waits without a limit.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use hatchery::{Error, ErrorKind, HostCaller, HostTool, HostToolSource, HostTools, ToolSpec, WorkerCalls};
use hatchery_grpc::bridge::proto::bridge_service_server::BridgeService;
use hatchery_grpc::bridge::proto::{
    CleanupSessionRequest, CleanupSessionResponse, ExecuteElixirToolRequest, ExecuteElixirToolResponse,
    ExecuteToolRequest, ExecuteToolResponse, GetExposedElixirToolsRequest, GetExposedElixirToolsResponse,
    GetSessionRequest, GetSessionResponse, HeartbeatRequest, HeartbeatResponse, InitializeSessionRequest,
    InitializeSessionResponse, PingRequest, PingResponse, RegisterToolsRequest, RegisterToolsResponse,
    TelemetryControl, TelemetryEvent, ToolChunk,
};
use hatchery_grpc::bridge::{
    ANSWER_LIMIT, CORRELATION_HEADER, Outcome, Passing, Timestamp, arguments, errors, results, tools,
};
use tonic::{Request, Response, Status, Streaming};

use crate::current::Current;
use crate::sessions::WorkerSessions;

/// What one worker may ask.
pub(crate) struct Host {
    pub(crate) pool: Arc<str>,
    pub(crate) sessions: Arc<WorkerSessions>,
    pub(crate) current: Arc<Current>,
    pub(crate) host_tools: HostTools,
    pub(crate) calls: WorkerCalls,
}

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = Pin<Box<dyn tonic::codegen::tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

impl Host {
    async fn run(&self, caller: HostCaller, tool: &str, arguments: arguments::Arguments) -> Outcome {
        Outcome::of(self.result(caller, tool, arguments)).await
    }

    async fn result(
        &self,
        caller: HostCaller,
        tool: &str,
        arguments: arguments::Arguments,
    ) -> hatchery::Result<results::Returned> {
        self.require_session(caller.session_id().unwrap_or_default())?;
        let arguments::Received { payload, .. } = arguments::read(arguments)?;
        let answer = self.host_tools.execute(tool, payload, caller).await?;
        fitting(results::write(&answer)?)
    }

    /// Another worker's tool, as it streams.
    async fn begin(
        &self,
        session: &str,
        tool: &str,
        correlation_id: Option<String>,
        arguments: arguments::Arguments,
    ) -> hatchery::Result<Passing> {
        self.require_session(session)?;
        let caller = self.current.caller(session, correlation_id.as_deref());
        Passing::begin(&self.host_tools, tool, arguments, caller).await
    }

    fn require_session(&self, session: &str) -> hatchery::Result<()> {
        match self.sessions.is_known(session) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::NotFound, format!("no such session: {session}"))),
        }
    }

    /// What a worker registers is run by that worker, as any call that is directed to it.
    fn tool_of_worker(&self, session: &str, spec: ToolSpec, metadata: BTreeMap<String, String>) -> HostTool {
        let (worker, generation) = (self.current.worker().to_string(), self.current.generation());
        let (calls, name, id) = (self.calls.clone(), spec.name.clone(), session.to_owned());
        let (is_streaming, streamed) = (spec.streaming, spec.name.clone());
        let source = HostToolSource::Worker { pool: self.pool.to_string(), worker, generation };
        let tool = HostTool::payload(spec, move |arguments, caller| {
            let options = caller.options().session(id.clone());
            calls.call(&name, arguments, options)
        });
        let (calls, id) = (self.calls.clone(), session.to_owned());
        let tool = match is_streaming {
            true => tool.streams(move |arguments, caller| {
                calls.stream(&streamed, arguments, caller.options().session(id.clone()))
            }),
            false => tool,
        };
        let tool = metadata.into_iter().fold(tool, |tool, (key, value)| tool.metadata(key, value));
        tool.session(session).source(source)
    }
}

#[tonic::async_trait]
impl BridgeService for Host {
    async fn ping(&self, request: Request<PingRequest>) -> Answer<PingResponse> {
        let message = format!("pong: {}", request.into_inner().message);
        Ok(Response::new(PingResponse { message, server_time: Some(now()) }))
    }

    async fn initialize_session(
        &self,
        request: Request<InitializeSessionRequest>,
    ) -> Answer<InitializeSessionResponse> {
        let InitializeSessionRequest { session_id, metadata, .. } = request.into_inner();
        self.sessions.initialize(&session_id, metadata).map_err(|error| errors::to_status(&error))?;
        Ok(Response::new(InitializeSessionResponse { success: true, ..InitializeSessionResponse::default() }))
    }

    async fn cleanup_session(&self, request: Request<CleanupSessionRequest>) -> Answer<CleanupSessionResponse> {
        self.sessions.clean_up(&request.into_inner().session_id);
        Ok(Response::new(CleanupSessionResponse { success: true, resources_cleaned: 1 }))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer<GetSessionResponse> {
        let session_id = request.into_inner().session_id;
        let Some(known) = self.sessions.get(&session_id) else {
            return Err(Status::not_found(format!("no such session: {session_id}")));
        };
        let tool_count = i32::try_from(self.host_tools.list(Some(&session_id)).len()).unwrap_or(i32::MAX);
        let created_at = Some(Timestamp::from(known.created_at));
        Ok(Response::new(GetSessionResponse { session_id, metadata: known.metadata, created_at, tool_count }))
    }

    /// Never an error: three of them, and a worker ends itself. It is no use of the session either, which would never be over.
    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Answer<HeartbeatResponse> {
        let session_valid = self.sessions.is_known(&request.into_inner().session_id);
        Ok(Response::new(HeartbeatResponse { server_time: Some(now()), session_valid }))
    }

    async fn execute_tool(&self, request: Request<ExecuteToolRequest>) -> Answer<ExecuteToolResponse> {
        let correlation_id = correlation_id(&request);
        let request = request.into_inner();
        let (session, tool) = (request.session_id.clone(), request.tool_name.clone());
        let caller = self.current.caller(&session, correlation_id.as_deref());
        Ok(Response::new(self.run(caller, &tool, request.into()).await.into()))
    }

    type ExecuteStreamingToolStream = Stream<ToolChunk>;

    async fn execute_streaming_tool(
        &self,
        request: Request<ExecuteToolRequest>,
    ) -> Answer<Self::ExecuteStreamingToolStream> {
        let correlation_id = correlation_id(&request);
        let request = request.into_inner();
        let (session, tool) = (request.session_id.clone(), request.tool_name.clone());
        let began = self.begin(&session, &tool, correlation_id, request.into()).await;
        began
            .map(|chunks| Response::new(Box::pin(chunks) as Stream<ToolChunk>))
            .map_err(|error| errors::to_status(&error))
    }

    async fn register_tools(&self, request: Request<RegisterToolsRequest>) -> Answer<RegisterToolsResponse> {
        // What the worker calls itself is not read: its listener says who it is.
        let RegisterToolsRequest { session_id, tools, .. } = request.into_inner();
        let names: Vec<String> = tools.iter().map(|tool| tool.name.clone()).collect();
        let registered = self.require_session(&session_id).and_then(|()| {
            let tools = tools.into_iter().map(|tool| {
                let metadata = tool.metadata.clone();
                self.tool_of_worker(&session_id, tools::read(tool), metadata)
            });
            self.host_tools.register_all(tools.collect())
        });
        Ok(Response::new(match registered {
            Ok(()) => {
                let tool_ids = names.into_iter().map(|name| (name.clone(), format!("{session_id}:{name}"))).collect();
                RegisterToolsResponse { success: true, tool_ids, error_message: String::new() }
            }
            Err(error) => RegisterToolsResponse {
                error_message: errors::to_registration(&error),
                ..RegisterToolsResponse::default()
            },
        }))
    }

    async fn get_exposed_elixir_tools(
        &self,
        request: Request<GetExposedElixirToolsRequest>,
    ) -> Answer<GetExposedElixirToolsResponse> {
        let session_id = request.into_inner().session_id;
        // What workers have registered is theirs to run, by `ExecuteTool`; those of pools are the host's, too.
        let seen = self.host_tools.seen_by(&self.current.caller(&session_id, None).hosts_tools_only());
        Ok(Response::new(GetExposedElixirToolsResponse { tools: tools::exposed(&seen) }))
    }

    async fn execute_elixir_tool(
        &self,
        request: Request<ExecuteElixirToolRequest>,
    ) -> Answer<ExecuteElixirToolResponse> {
        let correlation_id = correlation_id(&request);
        let ExecuteElixirToolRequest { session_id, tool_name, parameters, metadata } = request.into_inner();
        let arguments = arguments::Arguments { parameters, binary_parameters: BTreeMap::new(), metadata };
        // A worker registers whatever its adapter has, and would hide the host's tools from itself.
        let caller = self.current.caller(&session_id, correlation_id.as_deref()).hosts_tools_only();
        Ok(Response::new(self.run(caller, &tool_name, arguments).await.into()))
    }

    type StreamTelemetryStream = Stream<TelemetryEvent>;

    async fn stream_telemetry(
        &self,
        _request: Request<Streaming<TelemetryControl>>,
    ) -> Answer<Self::StreamTelemetryStream> {
        Err(Status::unimplemented("a host measures nothing for its workers: it listens to them"))
    }
}

/// What a worker's client takes: gRPC's default, which workers leave as it is.
fn fitting(returned: results::Returned) -> hatchery::Result<results::Returned> {
    let json = returned.result.as_ref().map_or(0, |any| any.value.len());
    let length = json + returned.binary_result.len();
    // Some bytes are for what is around it.
    match length + 1024 <= ANSWER_LIMIT {
        true => Ok(returned),
        false => {
            let message =
                format!("the result has {length} bytes, and a worker takes {ANSWER_LIMIT} with all around it");
            Err(Error::new(ErrorKind::Limit, message))
        }
    }
}

fn correlation_id<T>(request: &Request<T>) -> Option<String> {
    request.metadata().get(CORRELATION_HEADER)?.to_str().ok().filter(|id| !id.is_empty()).map(str::to_owned)
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
