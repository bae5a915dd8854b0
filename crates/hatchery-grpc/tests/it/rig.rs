//! Servers on a port that the system chooses; they end with the test's runtime.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hatchery_grpc::bridge::proto::bridge_service_server::{BridgeService, BridgeServiceServer};
use hatchery_grpc::bridge::proto::{self, ToolChunk};
use hatchery_grpc::bridge::{Any, Client, Connection, Peer, arguments, chunks, errors, results};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2::Builder;
use hyper::service::{Service as HyperService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{Body as HttpBody, http};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

pub(crate) type Bridge = Client<Connection>;

/// What one side does: as a worker does where workers serve, as a host where hosts do.
#[derive(Clone, Default)]
pub(crate) struct Side {
    /// The headers of the last request that was looked at.
    pub(crate) headers: Arc<Mutex<MetadataMap>>,
    /// The last tool request, unread.
    pub(crate) request: Arc<Mutex<proto::ExecuteToolRequest>>,
    /// What happens when the call of `forever` is given up.
    pub(crate) given_up: Arc<Mutex<Option<oneshot::Sender<()>>>>,
}

pub(crate) async fn bridge(side: Side, peer: Peer) -> Bridge {
    connect(worker_port(side).await, peer).await
}

/// Where this side listens.
pub(crate) async fn worker_port(side: Side) -> u16 {
    serve(TowerToHyperService::new(BridgeServiceServer::new(side).max_decoding_message_size(100 << 20))).await
}

/// A server that answers each request alike, below gRPC.
pub(crate) async fn raw(answer: fn(&str) -> http::Response<Frames>) -> Bridge {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let answer = answer(request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    connect(serve(service).await, Peer::Worker).await
}

pub(crate) async fn connect(port: u16, peer: Peer) -> Bridge {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (connection, driver) = Connection::handshake(stream).await.unwrap();
    tokio::spawn(driver);
    Client::new(connection, peer)
}

async fn serve<S, B>(service: S) -> u16
where
    S: HyperService<http::Request<Incoming>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    on_accept(move |stream| {
        let service = service.clone();
        async move {
            let _ended = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

/// A server that does this with each connection.
pub(crate) async fn on_accept<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// A body that is these frames.
#[derive(Default)]
pub(crate) struct Frames(pub(crate) Vec<Frame<Bytes>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(if self.0.is_empty() { None } else { Some(Ok(self.0.remove(0))) })
    }
}

/// An item of a stream: as it was asked for, but that a text is as many bytes as it has letters.
fn item(asked: &serde_json::Value) -> hatchery::Payload {
    let payload = match asked.as_str() {
        Some(text) => hatchery::Payload::encode(&hatchery::Binary(vec![0xff; text.len()].into())),
        None => hatchery::Payload::encode(asked),
    };
    payload.unwrap()
}

/// The result of a worker's tool.
pub(crate) fn returned(kind: &str, json: impl Into<Bytes>) -> proto::ExecuteToolResponse {
    let any = Any { type_url: format!("type.googleapis.com/snakepit.{kind}"), value: json.into() };
    proto::ExecuteToolResponse { success: true, result: Some(any), execution_time_ms: 7, ..Default::default() }
}

type Events = Pin<Box<dyn tonic::codegen::tokio_stream::Stream<Item = Result<proto::TelemetryEvent, Status>> + Send>>;

#[tonic::async_trait]
impl BridgeService for Side {
    type ExecuteStreamingToolStream = ReceiverStream<Result<ToolChunk, Status>>;
    type StreamTelemetryStream = Events;

    async fn ping(&self, request: Request<proto::PingRequest>) -> Result<Response<proto::PingResponse>, Status> {
        *self.headers.lock().unwrap() = request.metadata().clone();
        let message = format!("pong: {}", request.into_inner().message);
        Ok(Response::new(proto::PingResponse { message, server_time: None }))
    }

    async fn initialize_session(
        &self,
        request: Request<proto::InitializeSessionRequest>,
    ) -> Result<Response<proto::InitializeSessionResponse>, Status> {
        let success = !request.into_inner().session_id.is_empty();
        let error_message = if success { "" } else { "no id" }.to_owned();
        Ok(Response::new(proto::InitializeSessionResponse { success, error_message, ..Default::default() }))
    }

    async fn cleanup_session(
        &self,
        _: Request<proto::CleanupSessionRequest>,
    ) -> Result<Response<proto::CleanupSessionResponse>, Status> {
        Ok(Response::new(proto::CleanupSessionResponse { success: true, resources_cleaned: 1 }))
    }

    async fn get_session(
        &self,
        request: Request<proto::GetSessionRequest>,
    ) -> Result<Response<proto::GetSessionResponse>, Status> {
        let session_id = request.into_inner().session_id;
        if session_id != "s" {
            return Err(Status::not_found(format!("no session {session_id}")));
        }
        Ok(Response::new(proto::GetSessionResponse { session_id, tool_count: 3, ..Default::default() }))
    }

    async fn heartbeat(
        &self,
        request: Request<proto::HeartbeatRequest>,
    ) -> Result<Response<proto::HeartbeatResponse>, Status> {
        let session_valid = request.into_inner().session_id == "s";
        Ok(Response::new(proto::HeartbeatResponse { server_time: None, session_valid }))
    }

    async fn execute_tool(
        &self,
        request: Request<proto::ExecuteToolRequest>,
    ) -> Result<Response<proto::ExecuteToolResponse>, Status> {
        let request = request.into_inner();
        *self.request.lock().unwrap() = request.clone();
        let failed = |error_message: &str| proto::ExecuteToolResponse {
            error_message: error_message.into(),
            ..Default::default()
        };
        Ok(Response::new(match request.tool_name.as_str() {
            "echo" => returned("map", arguments::read(request.into()).unwrap().payload.to_json_text().unwrap()),
            "raise" => failed(
                r#"{"type": "ValueError", "message": "x", "traceback": "T\n", "context": {"tool_name": "raise"}}"#,
            ),
            "refuse" => failed("no such thing"),
            "bytes" => proto::ExecuteToolResponse { binary_result: "hi".into(), ..returned("map", "{}") },
            "broken" => returned("string", "<object>"),
            "die" => return Err(Status::unavailable("Socket closed")),
            "forever" => {
                let _on_drop = OnDrop(self.given_up.lock().unwrap().take());
                std::future::pending().await
            }
            other => failed(&format!("no tool {other}")),
        }))
    }

    async fn execute_streaming_tool(
        &self,
        request: Request<proto::ExecuteToolRequest>,
    ) -> Result<Response<Self::ExecuteStreamingToolStream>, Status> {
        let request = request.into_inner();
        let tool = request.tool_name.clone();
        if tool == "absent" {
            return Err(Status::unimplemented("no streams"));
        }
        let payload = arguments::read(request.into()).unwrap().payload;
        let items: Vec<hatchery::Payload> =
            payload.decode::<BTreeMap<String, Vec<serde_json::Value>>>().unwrap()["items"].iter().map(item).collect();
        let (sender, receiver) = mpsc::channel(1);
        let given_up = Arc::clone(&self.given_up);
        tokio::spawn(async move {
            let mut writer = chunks::Writer::new(&tool);
            for item in items {
                let _gone = sender.send(writer.chunk(&item).map_err(|error| errors::to_status(&error))).await;
            }
            let mut last = writer.end(&chunks::Summary::default()).unwrap();
            last.metadata.clear();
            match tool.as_str() {
                "raise" => drop(sender.send(Err(Status::internal(r#"{"type": "KeyError", "message": "'k'"}"#))).await),
                "forever" => {
                    sender.closed().await;
                    drop(OnDrop(given_up.lock().unwrap().take()));
                }
                "unmarked" => {}
                "chatty" => {
                    let _gone = sender.send(Ok(last.clone())).await;
                    let _gone = sender.send(Ok(last)).await;
                }
                _ => drop(sender.send(Ok(last)).await),
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn register_tools(
        &self,
        request: Request<proto::RegisterToolsRequest>,
    ) -> Result<Response<proto::RegisterToolsResponse>, Status> {
        let proto::RegisterToolsRequest { session_id, tools, .. } = request.into_inner();
        let twice = tools.iter().any(|tool| tool.name == "twice");
        let error = hatchery::Error::new(hatchery::ErrorKind::Conflict, "a tool `twice` is there");
        Ok(Response::new(match twice {
            true => {
                proto::RegisterToolsResponse { error_message: errors::to_registration(&error), ..Default::default() }
            }
            false => {
                let ids = tools.into_iter().map(|tool| (tool.name.clone(), format!("{session_id}:{}", tool.name)));
                proto::RegisterToolsResponse { success: true, tool_ids: ids.collect(), ..Default::default() }
            }
        }))
    }

    async fn get_exposed_elixir_tools(
        &self,
        _: Request<proto::GetExposedElixirToolsRequest>,
    ) -> Result<Response<proto::GetExposedElixirToolsResponse>, Status> {
        let tools = vec![hatchery_grpc::bridge::tools::write(&hatchery::ToolSpec::new("lookup"))];
        Ok(Response::new(proto::GetExposedElixirToolsResponse { tools }))
    }

    async fn execute_elixir_tool(
        &self,
        request: Request<proto::ExecuteElixirToolRequest>,
    ) -> Result<Response<proto::ExecuteElixirToolResponse>, Status> {
        let request = request.into_inner();
        if request.tool_name != "echo" {
            let error_message = format!("Tool {} not found", request.tool_name);
            return Ok(Response::new(proto::ExecuteElixirToolResponse { error_message, ..Default::default() }));
        }
        let payload = arguments::read(request.into()).map_err(|error| errors::to_status(&error))?.payload;
        let results::Returned { result, binary_result } = results::write(&payload).unwrap();
        let answer = proto::ExecuteElixirToolResponse { success: true, result, binary_result, ..Default::default() };
        Ok(Response::new(answer))
    }

    /// An event for each order, and the end after an order that says nothing.
    async fn stream_telemetry(
        &self,
        request: Request<Streaming<proto::TelemetryControl>>,
    ) -> Result<Response<Events>, Status> {
        let mut controls = request.into_inner();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok(Some(control)) = controls.message().await {
                let event_parts = vec![format!("{:?}", control.control.unwrap())];
                let _gone = sender.send(Ok(proto::TelemetryEvent { event_parts, ..Default::default() })).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Tells that something is over.
struct OnDrop(Option<oneshot::Sender<()>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _nobody_asks = sender.send(());
        }
    }
}
