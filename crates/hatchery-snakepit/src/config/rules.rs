//! Which key of Snakepit is which key of ours, where one is one.

use super::page::Section;
use super::reads::Reads;

/// One key that becomes one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) reads: Reads,
}

const fn rule(from: &'static str, to: &'static str, reads: Reads) -> Rule {
    Rule { from, to, reads }
}

/// Keys of the application itself. Where two become one, the later of them here goes before.
pub(super) const TOP: &[(Section, &[Rule])] = &[
    (
        Section::Top,
        &[
            rule("timeout_profile", "timeout_profile", Reads::Word(PROFILES)),
            rule("python_executable", "python", Reads::Text),
        ],
    ),
    (Section::Instance, &[rule("data_dir", "data_dir", Reads::Text)]),
    (
        Section::Sessions,
        &[
            rule("session_default_ttl", "ttl", Reads::Seconds),
            rule("session_max_sessions", "max", Reads::WholeOrInfinity(1, 1_000_000_000)),
            rule("session_cleanup_interval", "cleanup", Reads::Period),
            rule("session_warning_threshold", "warning", Reads::Share),
        ],
    ),
    (
        Section::PoolDefaults,
        &[
            rule("default_capacity_strategy", "capacity", Reads::Word(CAPACITIES)),
            rule("capacity_strategy", "capacity", Reads::Word(CAPACITIES)),
            rule("affinity", "affinity", Reads::Word(AFFINITIES)),
            rule("pool_max_queue_size", "max_queue", Reads::Whole(0, 1_000_000)),
            rule("default_timeout", "timeouts.call", Reads::Limit),
            rule("pool_request_timeout", "timeouts.call", Reads::Limit),
            rule("stream_timeout", "timeouts.stream", Reads::Limit),
            rule("pool_streaming_timeout", "timeouts.stream", Reads::Limit),
            rule("queue_timeout", "timeouts.queue", Reads::Wait),
            rule("pool_queue_timeout", "timeouts.queue", Reads::Wait),
            rule("grpc_batch_inference_timeout", "tool_timeouts.batch_inference", Reads::Limit),
            rule("grpc_large_dataset_timeout", "tool_timeouts.process_large_dataset", Reads::Limit),
            rule("lifecycle_check_interval", "recycle.check", Reads::Period),
            rule("heartbeat_ping_interval_ms", "heartbeat.interval", Reads::Period),
            rule("heartbeat_timeout_ms", "heartbeat.timeout", Reads::Period),
            rule("heartbeat_max_missed", "heartbeat.max_missed", Reads::Whole(1, 1000)),
            rule("heartbeat_initial_delay_ms", "heartbeat.initial_delay", Reads::Grace),
            rule("config_default_batch_size", "start.batch", Reads::Whole(1, 1024)),
            rule("pool_startup_batch_size", "start.batch", Reads::Whole(1, 1024)),
            rule("config_default_batch_delay", "start.delay", Reads::Grace),
            rule("pool_startup_batch_delay_ms", "start.delay", Reads::Grace),
        ],
    ),
];

/// Keys of `session_store`.
pub(super) const SESSION_STORE: &[Rule] = &[
    rule("max_sessions", "max", Reads::WholeOrInfinity(1, 1_000_000_000)),
    rule("strict_mode", "strict", Reads::Flag),
];

/// Keys of a pool.
pub(super) const POOL: &[Rule] = &[
    rule("capacity_strategy", "capacity", Reads::Word(CAPACITIES)),
    rule("affinity", "affinity", Reads::Word(AFFINITIES)),
    rule("worker_ttl", "recycle.ttl", Reads::Lifetime),
    rule("worker_max_requests", "recycle.max_requests", Reads::WholeOrInfinity(1, 1_000_000_000_000)),
    rule("memory_threshold_mb", "recycle.max_rss", Reads::Mebibytes),
    rule("startup_batch_size", "start.batch", Reads::Whole(1, 1024)),
    rule("startup_batch_delay_ms", "start.delay", Reads::Grace),
];

/// Keys of `heartbeat`.
pub(super) const HEARTBEAT: &[Rule] = &[
    rule("enabled", "heartbeat.enabled", Reads::Flag),
    rule("interval_ms", "heartbeat.interval", Reads::Period),
    rule("ping_interval_ms", "heartbeat.interval", Reads::Period),
    rule("timeout_ms", "heartbeat.timeout", Reads::Period),
    rule("max_missed_heartbeats", "heartbeat.max_missed", Reads::Whole(1, 1000)),
    rule("initial_delay_ms", "heartbeat.initial_delay", Reads::Grace),
    rule("dependent", "heartbeat.dependent", Reads::Flag),
];

/// Keys of `crash_barrier`, and those of the application that say the same.
pub(super) const CRASH_BARRIER: &[Rule] = &[
    rule("crash_barrier_taint_duration_ms", "crash_barrier.taint", Reads::Period),
    rule("crash_barrier_max_restarts", "crash_barrier.max_restarts", Reads::Whole(0, 1000)),
    rule("crash_barrier_backoff_ms", "crash_barrier.backoff", Reads::Graces),
    rule("taint_duration_ms", "crash_barrier.taint", Reads::Period),
    rule("retry_idempotent", "crash_barrier.retry", Reads::Word(&[("true", "idempotent"), ("false", "never")])),
    rule("retry", "crash_barrier.retry", Reads::Word(RETRIES)),
    rule("max_retries", "crash_barrier.max_restarts", Reads::Whole(0, 1000)),
    rule("max_restarts", "crash_barrier.max_restarts", Reads::Whole(0, 1000)),
    rule("backoff_ms", "crash_barrier.backoff", Reads::Graces),
    rule("mark_on", "crash_barrier.mark_on", Reads::WordList(MARKS)),
    rule("taint_on_exit_codes", "crash_barrier.exit_codes", Reads::WholeList(1, 255)),
    rule("taint_on_error_types", "crash_barrier.error_types", Reads::TextList),
    rule("taint_device_on_cuda_fatal", "crash_barrier.taint_device", Reads::Flag),
];

/// Keys of `python_thread_limits`.
pub(super) const THREAD_LIMITS: &[Rule] = &[
    rule("openblas", "thread_limits.openblas", Reads::Whole(1, 1024)),
    rule("omp", "thread_limits.omp", Reads::Whole(1, 1024)),
    rule("mkl", "thread_limits.mkl", Reads::Whole(1, 1024)),
    rule("numexpr", "thread_limits.numexpr", Reads::Whole(1, 1024)),
];

/// Keys of `opentelemetry.exporters.otlp`.
pub(super) const OTLP: &[Rule] = &[
    rule("endpoint", "endpoint", Reads::Text),
    rule("protocol", "protocol", Reads::Word(&[("http_protobuf", "http"), ("grpc", "grpc")])),
];

/// Keys of `opentelemetry.resource`.
pub(super) const RESOURCE: &[Rule] = &[rule("service_name", "service_name", Reads::Text)];

/// Keys of `grpc_listener`.
pub(super) const LISTENER: &[Rule] = &[
    rule(
        "mode",
        "mode",
        Reads::Word(&[("internal", "internal"), ("external", "external"), ("external_pool", "external_pool")]),
    ),
    rule("host", "host", Reads::Text),
    rule("bind_host", "bind_host", Reads::Text),
    rule("port", "port", Reads::Whole(1, 65_535)),
    rule("base_port", "base_port", Reads::Whole(1, 65_535)),
    rule("pool_size", "pool_size", Reads::Whole(1, 65_535)),
];

const PROFILES: &[(&str, &str)] = &[
    ("balanced", "balanced"),
    ("production", "production"),
    ("production_strict", "production_strict"),
    ("development", "development"),
    ("ml_inference", "ml_inference"),
    ("batch", "batch"),
];

const CAPACITIES: &[(&str, &str)] = &[("pool", "pool"), ("profile", "profile"), ("hybrid", "hybrid")];

const AFFINITIES: &[(&str, &str)] =
    &[("hint", "hint"), ("strict_queue", "strict_queue"), ("strict_fail_fast", "strict_fail_fast")];

const RETRIES: &[(&str, &str)] =
    &[("idempotent", "idempotent"), ("always", "always"), ("true", "always"), ("never", "never"), ("false", "never")];

const MARKS: &[(&str, &str)] = &[("segfault", "segfault"), ("abort", "abort"), ("oom", "oom"), ("gpu", "gpu")];
