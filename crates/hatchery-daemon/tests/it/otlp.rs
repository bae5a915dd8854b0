//! What a collector of OpenTelemetry gets: one that listens, one that never answers, one that is not there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hatchery::{OtlpConfig, OtlpProtocol};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::client::send;
use crate::rig::{Rig, basics, eventually};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// An export as it came.
#[derive(Clone, Debug)]
struct Export {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Takes exports, in one of the two protocols.
struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Export>>>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn new(protocol: OtlpProtocol) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, protocol, Arc::clone(&taken)));
        Collector { address, taken, _serving: serving }
    }

    fn config(&self, protocol: OtlpProtocol) -> OtlpConfig {
        config(self.address, protocol)
    }

    fn at<T: Message + Default>(&self, path: &str, skipped: usize) -> Vec<T> {
        let taken = self.taken.lock().unwrap();
        let here = taken.iter().filter(|export| export.path == path);
        here.map(|export| T::decode(&export.body[skipped..]).unwrap()).collect()
    }

    fn spans(&self, path: &str, skipped: usize) -> Vec<Span> {
        let requests = self.at::<ExportTraceServiceRequest>(path, skipped);
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn config(address: SocketAddr, protocol: OtlpProtocol) -> OtlpConfig {
    let mut config = OtlpConfig::default();
    config.endpoint = Some(format!("http://{address}"));
    config.protocol = protocol;
    config.interval = Duration::from_millis(50);
    config
}

async fn serve(listener: TcpListener, protocol: OtlpProtocol, taken: Arc<Mutex<Vec<Export>>>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let taken = Arc::clone(&taken);
        let service = service_fn(move |request| take(request, protocol, Arc::clone(&taken)));
        let stream = TokioIo::new(stream);
        open.spawn(async move {
            let _client_went_away = match protocol {
                OtlpProtocol::Http => http1::Builder::new().serve_connection(stream, service).await,
                OtlpProtocol::Grpc => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
            };
        });
    }
}

async fn take(
    request: Request<Incoming>,
    protocol: OtlpProtocol,
    taken: Arc<Mutex<Vec<Export>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    taken.lock().unwrap().push(Export { path: head.uri.path().to_owned(), headers: head.headers, body });
    let mut answer = Response::new(Full::default());
    if protocol == OtlpProtocol::Grpc {
        answer.headers_mut().insert("grpc-status", "0".parse().unwrap());
    }
    Ok(answer)
}

async fn called(rig: &Rig, tool: &str, arguments: &str, trace: Option<&str>) -> (u16, serde_json::Value) {
    let mut request = Request::post(format!("/v1/pools/default/call/{tool}"));
    if let Some(trace) = trace {
        request = request.header("traceparent", trace);
    }
    let reply = send(rig.address, request.body(arguments.to_owned()).unwrap()).await;
    (reply.status, reply.json())
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_call_is_a_span_of_its_callers_trace_and_its_tool_sees_it() {
    let collector = Collector::new(OtlpProtocol::Http).await;
    let rig = Rig::exporting(basics(), &collector.config(OtlpProtocol::Http)).await;
    let (status, seen) = called(&rig, "who", "{}", Some(CALLER)).await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(called(&rig, "fail", r#"{"message": "hunter2"}"#, None).await.0, 422);
    rig.end().await;

    let spans = collector.spans("/v1/traces", 0);
    let of = |tool: &str| {
        let is_of = |span: &&Span| attribute(&span.attributes, "hatchery.tool").as_deref() == Some(tool);
        spans.iter().find(is_of).unwrap_or_else(|| panic!("no span of {tool}: {spans:#?}"))
    };
    let (well, failed) = (of("who"), of("fail"));
    assert_eq!((hex(&well.trace_id), hex(&well.parent_span_id)), (CALLER[3..35].into(), CALLER[36..52].into()));
    let own = format!("00-{}-{}-01", hex(&well.trace_id), hex(&well.span_id));
    assert_eq!(seen["traceparent"], own.as_str());
    assert_eq!((well.name.as_str(), well.kind, well.status.is_none()), ("hatchery.call", 2, true));
    assert_eq!(attribute(&well.attributes, "hatchery.worker.id").as_deref(), Some("default-1"));
    assert_eq!(attribute(&well.attributes, "hatchery.tries").as_deref(), Some("1"));

    // What fails has a trace of its own, and says what kind of error it was, but nothing of what was said.
    assert!(failed.parent_span_id.is_empty() && failed.trace_id != well.trace_id);
    assert_eq!(failed.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "remote")));
    assert_eq!(attribute(&failed.attributes, "error.type").as_deref(), Some("remote"));
    assert!(!format!("{spans:?}").contains("hunter2"));

    let children: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == well.span_id).collect();
    let names: Vec<&str> = children.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["queue", "run"]);
    for child in children {
        assert_eq!(child.trace_id, well.trace_id);
        assert!(
            child.start_time_unix_nano <= child.end_time_unix_nano
                && child.end_time_unix_nano <= well.end_time_unix_nano
        );
    }
}

#[tokio::test]
async fn a_caller_that_is_not_sampled_is_not_exported_and_passes_through() {
    let collector = Collector::new(OtlpProtocol::Http).await;
    let rig = Rig::exporting(basics(), &collector.config(OtlpProtocol::Http)).await;
    let quiet = format!("{}00", &CALLER[..53]);
    assert_eq!(called(&rig, "who", "{}", Some(&quiet)).await.1["traceparent"], quiet.as_str());
    rig.end().await;
    assert_eq!(collector.spans("/v1/traces", 0).len(), 0);
}

#[tokio::test]
async fn metrics_are_those_of_prometheus() {
    let collector = Collector::new(OtlpProtocol::Http).await;
    let folder = tempfile::tempdir().unwrap();
    let headers = folder.path().join("headers");
    std::fs::write(&headers, "# for the collector\nauthorization: Bearer hunter2\n").unwrap();
    let mut config = collector.config(OtlpProtocol::Http);
    config.headers_file = Some(headers);
    config.service_name = "shop".to_owned();
    let rig = Rig::exporting(basics(), &config).await;
    called(&rig, "who", "{}", None).await;
    rig.end().await;

    let request = collector.at::<ExportMetricsServiceRequest>("/v1/metrics", 0).pop().unwrap();
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("shop"));
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let of = |name: &str| metrics.iter().find(|metric| metric.name == name).and_then(|metric| metric.data.clone());
    let Some(Data::Sum(calls)) = of("hatchery_calls_total") else { panic!("{metrics:#?}") };
    assert!(calls.is_monotonic);
    let is_ours = |attributes: &[KeyValue]| attribute(attributes, "tool").as_deref() == Some("who");
    assert!(calls.data_points.iter().any(|point| is_ours(&point.attributes)), "{calls:#?}");
    let Some(Data::Histogram(runs)) = of("hatchery_call_run_seconds") else { panic!("{metrics:#?}") };
    let runs = runs.data_points.iter().find(|point| is_ours(&point.attributes)).unwrap();
    assert_eq!((runs.count, runs.bucket_counts.len()), (1, runs.explicit_bounds.len() + 1));
    let taken = collector.taken.lock().unwrap();
    assert!(taken.iter().all(|export| export.headers["authorization"] == "Bearer hunter2"));
}

#[tokio::test]
async fn over_grpc_it_is_the_same() {
    let collector = Collector::new(OtlpProtocol::Grpc).await;
    let rig = Rig::exporting(basics(), &collector.config(OtlpProtocol::Grpc)).await;
    called(&rig, "who", "{}", Some(CALLER)).await;
    let traces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    eventually("the spans are there", || collector.spans(traces, 5).len() == 3).await;
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    eventually("metrics are there", || !collector.at::<ExportMetricsServiceRequest>(metrics, 5).is_empty()).await;
    rig.end().await;
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_calls_nor_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(listener.local_addr().unwrap(), OtlpProtocol::Http);
    let rig = Rig::exporting(basics(), &config).await;
    for _ in 0..50 {
        assert_eq!(called(&rig, "who", "{}", None).await.0, 200);
    }
    // Once it has asked the collector, it waits for an answer.
    let _silent = listener.accept().await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_collector_that_comes_late_gets_what_has_waited() {
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let rig = Rig::exporting(basics(), &config(address, OtlpProtocol::Http)).await;
    called(&rig, "who", "{}", Some(CALLER)).await;
    let taken = Arc::default();
    let mut serving = JoinSet::new();
    serving.spawn(serve(TcpListener::bind(address).await.unwrap(), OtlpProtocol::Http, Arc::clone(&taken)));
    let collector = Collector { address, taken, _serving: serving };
    eventually("the spans are there", || collector.spans("/v1/traces", 0).len() == 3).await;
    rig.end().await;
}

#[test]
fn what_is_no_endpoint_is_said_at_the_start() {
    for endpoint in ["https://collector:4318", "collector:4318", "", "http://"] {
        let mut config = OtlpConfig::default();
        config.endpoint = Some(endpoint.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bound = runtime.block_on(hatchery_daemon::Daemon::bind("127.0.0.1:0")).unwrap();
        let error = bound.exporting(&config).err().unwrap();
        assert!(error.message().starts_with("telemetry.otlp.endpoint: expected one like"), "{error}");
    }
}
