//! What is told to others.

use crate::config::keys::{Fallback, Key, key, seconds, table};
use crate::config::kind::Kind;
use crate::config::telemetry::OtlpProtocol;
use crate::config::value::Value;
use crate::config::words::words;

pub(in crate::config) const TELEMETRY: &[Key] = &[table(
    "otlp",
    OTLP,
    "Traces and metrics for a collector of OpenTelemetry. Nothing is sent unless `endpoint` is set.",
)];

const OTLP: &[Key] = &[
    key(
        "endpoint",
        Kind::Text,
        Fallback::Nothing("nothing is exported"),
        "Where the collector listens, like `http://127.0.0.1:4318`. A collector elsewhere is reached through one beside the daemon: \
         what is sent is not encrypted.",
    ),
    key(
        "protocol",
        Kind::Words(words::<OtlpProtocol>),
        Fallback::Is(|| Value::Text("http".to_owned())),
        "`http` is protobuf over HTTP, usually on port 4318; `grpc` usually on port 4317.",
    ),
    key(
        "headers_file",
        Kind::Path,
        Fallback::Nothing("none"),
        "A file with headers that go with each export, one `name: value` per line; secrets belong there.",
    ),
    key(
        "service_name",
        Kind::Text,
        Fallback::Is(|| Value::Text("hatchery".to_owned())),
        "What the exporting service is called.",
    ),
    key(
        "sample_ratio",
        Kind::Share,
        Fallback::Is(|| Value::Number(1.0)),
        "The share of calls that begin a trace. Those that are part of one follow their caller.",
    ),
    key("metrics", Kind::Flag, Fallback::Is(|| Value::Flag(true)), "Whether metrics are exported too."),
    key("interval", Kind::Period, Fallback::Is(|| seconds(10)), "How often is exported what there is."),
];
