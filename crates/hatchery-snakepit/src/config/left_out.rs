//! Keys of Snakepit that become nothing, and what to do instead.

use super::conversion::Key;
use super::note::Note;

/// Keys that are left out for one reason.
pub(super) struct LeftOut {
    keys: &'static [&'static str],
    /// With this value nothing is lost, and nothing is told.
    unless: Option<bool>,
    why: &'static str,
    instead: &'static str,
}

const fn left_out(keys: &'static [&'static str], why: &'static str, instead: &'static str) -> LeftOut {
    LeftOut { keys, unless: None, why, instead }
}

const fn only(key: &'static [&'static str], value: bool, why: &'static str, instead: &'static str) -> LeftOut {
    LeftOut { keys: key, unless: Some(value), why, instead }
}

/// What is to be told of a key that no rule knows.
pub(super) fn note(key: &Key<'_>, left_out: &[LeftOut]) -> Option<Note> {
    let Some(known) = left_out.iter().find(|one| one.keys.contains(&key.name.as_str())) else {
        let why = "nothing in Snakepit 0.13.0 reads such a key here";
        return Some(Note::new(&key.path, key.term.at, why, ""));
    };
    let says_what_holds = known.unless.is_some() && key.term.flag() == known.unless;
    (!says_what_holds).then(|| Note::new(&key.path, key.term.at, known.why, known.instead))
}

/// Of the application.
pub(super) const TOP: &[LeftOut] = &[
    only(
        &["pooling_enabled"],
        true,
        "there is no such switch: a pool that is written is started",
        "remove the pools that are not wanted",
    ),
    only(&["cleanup_on_stop"], true, "workers never outlive the daemon", ""),
    only(&["process_group_kill"], true, "a worker is ended with its whole process tree", ""),
    only(&["library_mode"], true, "what is logged is said on the command line", "`hatchery --log LEVEL serve`"),
    only(
        &["auto_install_python_deps"],
        false,
        "nothing is installed by itself",
        "`uv pip install -r requirements.txt` in the environment that `python` names",
    ),
    only(
        &["require_python_313?"],
        false,
        "no version is demanded",
        "name the interpreter by `python`; `hatchery doctor` looks at it",
    ),
    left_out(
        &["log_level", "telemetry_log_level"],
        "what is logged is said on the command line",
        "`hatchery --log LEVEL serve`, LEVEL being none, error, warning, info or debug",
    ),
    left_out(
        &["log_categories"],
        "what is logged is said on the command line",
        "`hatchery --log info,pool=debug serve`",
    ),
    left_out(
        &["log_python_output"],
        "what workers write is kept, and logged as the category `output`",
        "`hatchery --log info,output=none serve` to be without it",
    ),
    left_out(
        &["grpc_log_level", "grpc_request_logging"],
        "calls are events",
        "`hatchery events call.started call.finished`",
    ),
    left_out(&["telemetry_metrics"], "the daemon has metrics on its own address", "`GET /metrics` at `server.listen`"),
    left_out(
        &["zero_copy"],
        "values in shared memory are for workers of the native wire",
        "`arena`, once an adapter is moved to `hatchery.tool`",
    ),
    left_out(
        &[
            "circuit_breaker",
            "circuit_breaker_failure_threshold",
            "circuit_breaker_reset_timeout_ms",
            "circuit_breaker_half_open_max_calls",
        ],
        "in Snakepit it is only for those who call it; here it turns calls of a pool away",
        "if that is wanted: `breaker.failures`, `breaker.reset`, `breaker.half_open` of a pool",
    ),
    left_out(
        &[
            "retry_max_attempts",
            "retry_backoff_sequence",
            "retry_max_backoff_ms",
            "retry_jitter_factor",
            "retry_base_backoff_ms",
            "retry_backoff_multiplier",
        ],
        "in Snakepit it is only for those who call it; here it is for the idempotent calls of a pool",
        "if that is wanted: `retry.attempts`, `retry.backoff`, `retry.max_backoff`, `retry.jitter` of a pool",
    ),
    left_out(
        &["health_monitor_check_interval", "health_monitor_crash_window_ms", "health_monitor_max_crashes"],
        "in Snakepit it is only for those who call it; here it turns calls of a pool away",
        "if that is wanted: `health_gate.window`, `health_gate.max_crashes` of a pool",
    ),
    left_out(
        &[
            "default_command_timeout",
            "grpc_worker_execute_timeout",
            "grpc_command_timeout",
            "grpc_client_execute_timeout",
            "grpc_worker_stream_timeout",
            "worker_call_margin_ms",
            "pool_reply_margin_ms",
        ],
        "a call has one deadline, from its making to its result",
        "`timeouts.call`, `timeouts.stream`, `tool_timeouts`",
    ),
    left_out(
        &["checkout_timeout", "crash_barrier_checkout_timeout"],
        "streams and repeated calls wait in the same queue as others",
        "`timeouts.queue`",
    ),
    left_out(
        &["pool_startup_timeout", "pool_await_ready_timeout"],
        "the start of a worker has one time, from its process to its readiness",
        "`timeouts.start`",
    ),
    left_out(
        &["pool_max_cancelled_entries", "pool_cancelled_retention_multiplier", "affinity_cache_ttl_seconds"],
        "there is no such memory: a call that is given up is gone, and a session knows its worker",
        "",
    ),
    left_out(
        &["pool_reconcile_interval_ms", "pool_reconcile_batch_size"],
        "a worker that is gone is replaced at once",
        "`start.batch`, `start.delay`",
    ),
    left_out(
        &[
            "worker_starter_max_restarts",
            "worker_starter_max_seconds",
            "worker_supervisor_max_restarts",
            "worker_supervisor_max_seconds",
        ],
        "a pool whose workers die goes on trying, with pauses, and takes no other pool with it",
        "`restarts.max_failures`, `restarts.max_backoff`",
    ),
    left_out(
        &[
            "shutdown_margin_ms",
            "cleanup_on_stop_timeout_ms",
            "cleanup_poll_interval_ms",
            "cleanup_retry_interval_ms",
            "cleanup_max_retries",
        ],
        "the end of a worker is waited for until it is seen",
        "`stop.ask`, `stop.term`",
    ),
    left_out(
        &[
            "grpc_worker_health_check_interval",
            "grpc_worker_health_check_timeout_ms",
            "lifecycle_health_check_interval",
        ],
        "whether a worker answers is asked by heartbeats alone",
        "`heartbeat.interval`, `heartbeat.timeout`",
    ),
    left_out(
        &["lifecycle_check_max_concurrency", "lifecycle_worker_action_timeout_ms"],
        "a worker is replaced by one that is ready before it goes; nothing is cut short",
        "",
    ),
    left_out(
        &[
            "process_registry_cleanup_interval",
            "process_registry_unregister_cleanup_delay",
            "process_registry_unregister_cleanup_attempts",
            "process_registry_dets_flush_interval_ms",
        ],
        "the registry is written before a process starts and after it is gone, and looked at never in between",
        "",
    ),
    left_out(
        &["rogue_cleanup", "rogue_cleanup_scripts", "rogue_cleanup_run_markers"],
        "a sweep ends only processes that this instance has recorded; nothing is looked for by its name",
        "`hatchery orphans` shows them",
    ),
    left_out(
        &["python"],
        "an interpreter is found, not installed: what is said here besides `extra_env` is left out",
        "`uv venv`, and `python = \".venv/bin/python\"`",
    ),
    left_out(&["python_runtime"], "nothing in Snakepit 0.13.0 reads such a key here", "`python`"),
    left_out(
        &["python_packages"],
        "packages are not installed",
        "`uv pip install -r requirements.txt` in the environment that `python` names",
    ),
    left_out(
        &[
            "grpc_num_acceptors",
            "grpc_max_connections",
            "grpc_socket_backlog",
            "grpc_port_pool_size",
            "grpc_internal_host",
        ],
        "each worker has a listener of its own, with one connection",
        "",
    ),
    left_out(
        &[
            "grpc_listener_ready_timeout_ms",
            "grpc_listener_port_check_interval_ms",
            "grpc_listener_reuse_attempts",
            "grpc_listener_reuse_wait_timeout_ms",
            "grpc_listener_reuse_retry_delay_ms",
        ],
        "a listener is bound before a worker is started, and never shared",
        "",
    ),
    left_out(
        &["grpc_stream_open_timeout_ms", "grpc_stream_control_timeout_ms"],
        "the telemetry of a worker has no deadline",
        "",
    ),
    left_out(
        &["executor_batch_timeout"],
        "there is no executor of batches",
        "`hatchery map`, or `Pool::call` in tasks of your own",
    ),
    left_out(
        &[
            "environment",
            "test_mode",
            "bootstrap_project_root",
            "env_doctor_runner",
            "env_doctor_module",
            "lifecycle_probe",
        ],
        "it is of Snakepit's own tests",
        "",
    ),
];

/// Of a pool.
pub(super) const POOL: &[LeftOut] = &[
    left_out(
        &["elixir_address"],
        "each worker is told the address of its own listener",
        "`[bridge]` for others than workers",
    ),
    left_out(&["pool_identifier", "adapter_spec"], "it only labels telemetry; the name of the pool does", ""),
];

/// Of a heartbeat.
pub(super) const HEARTBEAT: &[LeftOut] =
    &[left_out(&["jitter_ms", "ping_fun"], "heartbeats are asked by the host, at their interval", "")];

/// Of a crash barrier.
pub(super) const CRASH_BARRIER: &[LeftOut] = &[
    left_out(
        &["taint_ms"],
        "nothing in Snakepit 0.13.0 reads such a key here; it is `taint_duration_ms`",
        "`crash_barrier.taint`",
    ),
    left_out(&["window_seconds"], "nothing in Snakepit 0.13.0 reads such a key here", "`health_gate.window`"),
];

/// Of a session store.
pub(super) const SESSION_STORE: &[LeftOut] = &[
    left_out(
        &["default_ttl", "cleanup_interval"],
        "nothing in Snakepit 0.13.0 reads such a key here",
        "`sessions.ttl`, `sessions.cleanup`",
    ),
    left_out(&["table_name"], "sessions are in the data directory", "`instance.data_dir`"),
];

/// Of limits of threads.
pub(super) const THREAD_LIMITS: &[LeftOut] =
    &[left_out(&["grpc_poll_threads"], "nothing in Snakepit 0.13.0 applies it", "")];

/// Of a listener.
pub(super) const LISTENER: &[LeftOut] = &[];
