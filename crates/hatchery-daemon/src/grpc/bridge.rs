//! `snakepit.bridge.BridgeService`, for clients that are no workers. To them it is another form of what they may do anyhow: sessions of
//! the run, and host tools, with the scopes that those have in `hatchery.v1`. What only a worker can ask is refused.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use hatchery::{CallOptions, Error, ErrorKind, HostCaller, HostTools, Result};
use hatchery_grpc::bridge::proto::bridge_service_server::BridgeService;
use hatchery_grpc::bridge::proto::{
    CleanupSessionRequest, CleanupSessionResponse, ExecuteElixirToolRequest, ExecuteElixirToolResponse,
    ExecuteToolRequest, ExecuteToolResponse, GetExposedElixirToolsRequest, GetExposedElixirToolsResponse,
    GetSessionRequest, GetSessionResponse, HeartbeatRequest, HeartbeatResponse, InitializeSessionRequest,
    InitializeSessionResponse, PingRequest, PingResponse, RegisterToolsRequest, RegisterToolsResponse,
    TelemetryControl, TelemetryEvent, ToolChunk,
};
use hatchery_grpc::bridge::{
    CORRELATION_HEADER, CORRELATION_METADATA, Outcome, Passing, Timestamp, arguments, errors, results, tools,
};
use hatchery_grpc::status;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::options::{timeout, traced};
use crate::access::Caller;
use crate::access::Scope::{self, Call, Observe};
use crate::conversations::{self, Wish};
use crate::denial::Denial;
use crate::host_tools;
use crate::house::House;
use crate::options::short;

/// What clients may ask.
pub(super) struct Bridge {
    house: Arc<House>,
}

type Answer<T> = Result<Response<T>, Status>;
type Feed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Bridge {
    pub(super) fn new(house: Arc<House>) -> Bridge {
        Bridge { house }
    }

    /// Runs a tool for whoever asked. Tools are of a session, if only by who may see them: there must be one.
    async fn run(
        &self,
        session: &str,
        tool: &str,
        caller: Result<HostCaller>,
        arguments: arguments::Arguments,
    ) -> Outcome {
        Outcome::of(async {
            let (tools, caller) = (self.tools_of(session)?, caller?);
            let answer = tools.execute(tool, arguments::read(arguments)?.payload, caller).await?;
            results::write(&answer)
        })
        .await
    }

    async fn begin(&self, asked: ExecuteToolRequest, options: Result<CallOptions>) -> Result<Passing> {
        let (session, tool) = (asked.session_id.clone(), asked.tool_name.clone());
        let (tools, caller) = (self.tools_of(&session)?, caller(&session, options?)?);
        Passing::begin(&tools, &tool, asked.into(), caller).await
    }

    fn tools_of(&self, session: &str) -> Result<HostTools> {
        conversations::touch(&self.house, session)?;
        host_tools::tools(&self.house)
    }
}

#[tonic::async_trait]
impl BridgeService for Bridge {
    async fn ping(&self, request: Request<PingRequest>) -> Answer<PingResponse> {
        let message = format!("pong: {}", of(request, &[Observe, Call])?.message);
        Ok(Response::new(PingResponse { message, server_time: Some(now()) }))
    }

    /// Of the run, as those are that are made over HTTP: every worker that is called in it sees it.
    async fn initialize_session(
        &self,
        request: Request<InitializeSessionRequest>,
    ) -> Answer<InitializeSessionResponse> {
        let InitializeSessionRequest { session_id, metadata, .. } = of(request, &[Call])?;
        let metadata = metadata.into_iter().map(|(key, text)| (key, text.into())).collect();
        let wish = Wish { id: Some(session_id), ttl: None, metadata };
        told(conversations::create(&self.house, wish))?;
        Ok(Response::new(InitializeSessionResponse { success: true, ..InitializeSessionResponse::default() }))
    }

    async fn cleanup_session(&self, request: Request<CleanupSessionRequest>) -> Answer<CleanupSessionResponse> {
        let ended = conversations::delete(&self.house, &of(request, &[Call])?.session_id);
        match ended {
            // It is over, whoever has ended it.
            Err(error) if error.kind() != ErrorKind::NotFound => Err(errors::to_status(&error)),
            _ => Ok(Response::new(CleanupSessionResponse { success: true, resources_cleaned: 1 })),
        }
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer<GetSessionResponse> {
        let session_id = of(request, &[Call])?.session_id;
        let session = told(conversations::stored(&self.house, &session_id))?;
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let metadata = session.metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let tools = told(host_tools::list(&self.house, Some(&session_id)))?;
        let tool_count = i32::try_from(tools.len()).unwrap_or(i32::MAX);
        let created_at = Some(Timestamp::from(session.created_at));
        Ok(Response::new(GetSessionResponse { session_id, metadata, created_at, tool_count }))
    }

    /// Keeps the session: other than a worker, a client has one heart for as long as it wants it. That there is none is no error.
    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Answer<HeartbeatResponse> {
        let session_valid = conversations::touch(&self.house, &of(request, &[Call])?.session_id).is_ok();
        Ok(Response::new(HeartbeatResponse { server_time: Some(now()), session_valid }))
    }

    async fn execute_tool(&self, request: Request<ExecuteToolRequest>) -> Answer<ExecuteToolResponse> {
        let options = options(&request, &request.get_ref().metadata);
        let asked = of(request, &[Call])?;
        let (session, tool) = (asked.session_id.clone(), asked.tool_name.clone());
        let caller = options.and_then(|options| caller(&session, options));
        Ok(Response::new(self.run(&session, &tool, caller, asked.into()).await.into()))
    }

    type ExecuteStreamingToolStream = Feed<ToolChunk>;

    async fn execute_streaming_tool(
        &self,
        request: Request<ExecuteToolRequest>,
    ) -> Answer<Self::ExecuteStreamingToolStream> {
        let options = options(&request, &request.get_ref().metadata);
        let begun = self.begin(of(request, &[Call])?, options).await;
        told(begun).map(|chunks| Response::new(Box::pin(chunks) as Feed<ToolChunk>))
    }

    /// What is registered is run by who has registered it, and a client serves nobody.
    async fn register_tools(&self, request: Request<RegisterToolsRequest>) -> Answer<RegisterToolsResponse> {
        of(request, &[Observe, Call])?;
        Err(status::of(&Denial::Forbidden.error(NO_WORKER)))
    }

    async fn get_exposed_elixir_tools(
        &self,
        request: Request<GetExposedElixirToolsRequest>,
    ) -> Answer<GetExposedElixirToolsResponse> {
        let session = of(request, &[Observe, Call])?.session_id;
        let caller = told(caller(&session, CallOptions::new()))?.hosts_tools_only();
        let seen = told(host_tools::tools(&self.house))?.seen_by(&caller);
        Ok(Response::new(GetExposedElixirToolsResponse { tools: tools::exposed(&seen) }))
    }

    async fn execute_elixir_tool(
        &self,
        request: Request<ExecuteElixirToolRequest>,
    ) -> Answer<ExecuteElixirToolResponse> {
        let options = options(&request, &request.get_ref().metadata);
        let ExecuteElixirToolRequest { session_id, tool_name, parameters, metadata } = of(request, &[Call])?;
        let arguments = arguments::Arguments { parameters, binary_parameters: BTreeMap::new(), metadata };
        let caller = options.and_then(|options| caller(&session_id, options)).map(HostCaller::hosts_tools_only);
        Ok(Response::new(self.run(&session_id, &tool_name, caller, arguments).await.into()))
    }

    type StreamTelemetryStream = Feed<TelemetryEvent>;

    async fn stream_telemetry(
        &self,
        request: Request<Streaming<TelemetryControl>>,
    ) -> Answer<Self::StreamTelemetryStream> {
        of(request, &[Observe])?;
        Err(Status::unimplemented("a host tells no telemetry here: Events of hatchery.v1 and /v1/events do"))
    }
}

const NO_WORKER: &str = "RegisterTools: only a worker registers tools, by the listener that it was given; `[[host_tools]]` in hatchery.toml, \
     or `HostTools::register`, adds some for all";

/// What is asked, if the caller may: has any one of these.
fn of<M>(request: Request<M>, scopes: &[Scope]) -> Result<M, Status> {
    let (_, extensions, message) = request.into_parts();
    let caller = Caller::of(&extensions).and_then(|caller| caller.require_one_of(scopes));
    caller.map(|()| message).map_err(|denied| status::of(&denied))
}

fn told<T>(outcome: Result<T>) -> Result<T, Status> {
    outcome.map_err(|error| errors::to_status(&error))
}

/// Who calls: nobody's worker, so also what workers do not see is run.
fn caller(session: &str, options: CallOptions) -> Result<HostCaller> {
    Ok(HostCaller::from(&options.session(short(session).map_err(|found| wrong("session_id", &found))?)))
}

/// Its time, its id, its span: by headers, as all of gRPC has them, and by the metadata of the message, as Snakepit has them.
fn options<M>(request: &Request<M>, message: &BTreeMap<String, String>) -> Result<CallOptions> {
    let headers = request.metadata();
    let said = message.get("timeout_ms").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let options = match timeout(headers)?.into_iter().chain(said).min() {
        Some(timeout) => CallOptions::new().timeout(timeout),
        None => CallOptions::new(),
    };
    let id = correlation_id(headers).or_else(|| message.get(CORRELATION_METADATA).map(String::as_str));
    let options = match id.filter(|id| !id.is_empty()) {
        Some(id) => options.correlation_id(short(id).map_err(|found| wrong("correlation_id", &found))?),
        None => options,
    };
    Ok(traced(options, headers))
}

fn correlation_id(headers: &MetadataMap) -> Option<&str> {
    headers.get(CORRELATION_HEADER)?.to_str().ok()
}

fn wrong(field: &str, found: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("{field}: {found}"))
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
