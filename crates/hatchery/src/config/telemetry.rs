//! `[telemetry]`: what is told to others.

use std::path::PathBuf;
use std::time::Duration;

use super::layer::Layer;
use super::top::path;
use super::words::Word;

/// `[telemetry.otlp]`: traces and metrics for a collector of OpenTelemetry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OtlpConfig {
    /// Where the collector listens. `None`: nothing is exported.
    pub endpoint: Option<String>,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// A file with headers, one `name: value` per line.
    pub headers_file: Option<PathBuf>,
    /// What the exporting service is called.
    pub service_name: String,
    /// The share of calls that begin a trace, from 0 to 1.
    pub sample_ratio: f64,
    /// Whether metrics are exported too.
    pub metrics: bool,
    /// How often.
    pub interval: Duration,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP/1.1.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

impl Word for OtlpProtocol {
    const WORDS: &'static [(&'static str, OtlpProtocol)] =
        &[("http", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];
}

impl Default for OtlpConfig {
    fn default() -> OtlpConfig {
        OtlpConfig {
            endpoint: None,
            protocol: OtlpProtocol::Http,
            headers_file: None,
            service_name: "hatchery".to_owned(),
            sample_ratio: 1.0,
            metrics: true,
            interval: Duration::from_secs(10),
        }
    }
}

pub(super) fn otlp(said: &Layer) -> OtlpConfig {
    let usual = OtlpConfig::default();
    OtlpConfig {
        endpoint: said.text("telemetry.otlp.endpoint").map(str::to_owned),
        protocol: said.word("telemetry.otlp.protocol").unwrap_or_default(),
        headers_file: path(said, "telemetry.otlp.headers_file"),
        service_name: said.text("telemetry.otlp.service_name").map_or(usual.service_name, str::to_owned),
        sample_ratio: said.number("telemetry.otlp.sample_ratio").unwrap_or(usual.sample_ratio),
        metrics: said.flag("telemetry.otlp.metrics").unwrap_or(usual.metrics),
        interval: said.duration("telemetry.otlp.interval").unwrap_or(usual.interval),
    }
}
