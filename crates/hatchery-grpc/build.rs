//! Makes Rust of the proto files, without protoc: protox reads it, tonic writes it.

use std::error::Error;
use std::path::PathBuf;

use protox::Compiler;

const PROTO: &str = "proto/hatchery/v1/hatchery.proto";
const BRIDGE: &str = "proto/snakepit/bridge.proto";

/// Messages that are documents of the HTTP interface, too: read from the JSON of those, field by field.
const DOCUMENTS: [&str; 47] = [
    "ArenaStatus",
    "Breaker",
    "CrashStats",
    "DeleteMetadataResponse",
    "DeleteProgramResponse",
    "DeleteSessionResponse",
    "DrainResponse",
    "EventField",
    "EventKind",
    "Guarantee",
    "GuaranteeLayer",
    "Heartbeat",
    "HostTool",
    "HostToolSource",
    "ListSessionsResponse",
    "NeedsRestart",
    "OrphanDetail",
    "OrphanReport",
    "Parameter",
    "Pool",
    "PoolBreakers",
    "PoolStats",
    "PoolStatus",
    "PruneSessionsResponse",
    "RecycleResponse",
    "RegistryStatistics",
    "ReloadPoolResponse",
    "ReloadResponse",
    "ResetTaintsResponse",
    "RestartWorkerResponse",
    "ResumeResponse",
    "ScaleResponse",
    "Session",
    "SessionStoreStats",
    "SessionWorker",
    "StatsResponse",
    "StatusResponse",
    "StopResponse",
    "StopWorkerResponse",
    "System",
    "Taint",
    "Tool",
    "UnregisterHostToolResponse",
    "Worker",
    "WorkerHealth",
    "WorkerRuntime",
    "WorkerStatus",
];

/// Fields of these that hold the text of any JSON value, and how they are read and written.
const JSON_TEXTS: [(&str, &str); 2] = [("Parameter.default", "option"), ("Session.metadata", "map")];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    println!("cargo::rerun-if-changed={BRIDGE}");
    compile_daemon()?;
    compile_bridge()
}

fn compile_daemon() -> Result<(), Box<dyn Error>> {
    let mut compiler = Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file("hatchery/v1/hatchery.proto")?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let mut builder = configure();
    for name in DOCUMENTS {
        let path = format!(".hatchery.v1.{name}");
        builder = builder.message_attribute(path, "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default)]");
    }
    for (field, form) in JSON_TEXTS {
        let attribute = format!("#[serde(with = \"crate::json_text::{form}\")]");
        builder = builder.field_attribute(format!(".hatchery.v1.{field}"), attribute);
    }
    builder.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The messages of Google's that it uses are our own, as theirs would copy what they receive.
fn compile_bridge() -> Result<(), Box<dyn Error>> {
    let mut compiler = Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file("snakepit/bridge.proto")?;
    configure()
        .btree_map(".")
        .extern_path(".google.protobuf.Any", "crate::bridge::Any")
        .extern_path(".google.protobuf.Timestamp", "crate::bridge::Timestamp")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn configure() -> tonic_prost_build::Builder {
    tonic_prost_build::configure().build_transport(false).emit_rerun_if_changed(false).bytes(".")
}
