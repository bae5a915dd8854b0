//! Keys one by one: what each becomes, and that it is a key of ours.

use std::path::Path;

use hatchery::Settings;

use super::{converted, lines, notes, problems};

/// What `config :snakepit, TEXT` becomes besides an empty pool.
fn of_top(text: &str) -> (Vec<String>, Vec<String>) {
    let conversion = converted(&format!("config :snakepit, {text}, pools: [%{{name: :p, pool_size: 1}}]"));
    assert_eq!(problems(&conversion.toml), Vec::<String>::new(), "{}", conversion.toml);
    let ours = lines(&conversion).into_iter().take_while(|line| *line != "[[pools]]").map(str::to_owned).collect();
    (ours, notes(&conversion))
}

/// What a pool with this becomes besides its start.
fn of_pool(text: &str) -> (Vec<String>, Vec<String>) {
    let conversion = converted(&format!("[%{{name: :p, pool_size: 1, {text}}}]"));
    assert_eq!(problems(&conversion.toml), Vec::<String>::new(), "{}", conversion.toml);
    let start = ["[[pools]]", "name = ", "transport = ", "script = ", "adapter = ", "workers = 1"];
    let ours = lines(&conversion).into_iter().filter(|line| !start.iter().any(|usual| line.starts_with(usual)));
    (ours.map(str::to_owned).collect(), notes(&conversion))
}

#[test]
fn keys_of_the_application() {
    let cases = [
        ("timeout_profile: :batch", "timeout_profile = \"batch\""),
        ("python_executable: \"/usr/bin/python3\"", "python = \"/usr/bin/python3\""),
        ("data_dir: \"/var/lib/x\"", "data_dir = \"/var/lib/x\""),
        ("instance_token: :run_a", "token = \"run_a\""),
        ("session_default_ttl: 60", "ttl = \"1m\""),
        ("session_max_sessions: \"50\"", "max = 50"),
        ("session_cleanup_interval: 1500", "cleanup = \"1500ms\""),
        ("session_warning_threshold: 0.5", "warning = 0.5"),
        ("capacity_strategy: :profile", "capacity = \"profile\""),
        ("affinity: :strict_fail_fast", "affinity = \"strict_fail_fast\""),
        ("pool_max_queue_size: 0", "max_queue = 0"),
        ("default_timeout: 1, pool_request_timeout: 1_000", "timeouts.call = \"1s\""),
        ("pool_request_timeout: 1_000, default_timeout: 1", "timeouts.call = \"1s\""),
        ("stream_timeout: :infinity", "timeouts.stream = \"infinity\""),
        ("queue_timeout: 0", "timeouts.queue = \"0s\""),
        ("grpc_batch_inference_timeout: 60000", "tool_timeouts.batch_inference = \"1m\""),
        ("lifecycle_check_interval: 10000", "recycle.check = \"10s\""),
        ("heartbeat_timeout_ms: 3000", "heartbeat.timeout = \"3s\""),
        ("heartbeat_timeout_ms: 3000, heartbeat: [timeout_ms: 4000]", "heartbeat.timeout = \"4s\""),
        ("heartbeat: %{dependent: false}", "heartbeat.dependent = false"),
        ("pool_startup_batch_size: 3", "start.batch = 3"),
        ("worker_ready_timeout: 9000, grpc_server_ready_timeout: 8000", "timeouts.start = \"9s\""),
        ("python_thread_limits: %{omp: 2}", "thread_limits.omp = 2"),
        ("python: [extra_env: %{\"A\" => \"1\"}]", "env.A = \"1\""),
    ];
    for (text, expected) in cases {
        let (ours, _) = of_top(text);
        assert_eq!(ours.last().map(String::as_str), Some(expected), "{text}: {ours:?}");
        assert_eq!(ours.iter().filter(|line| line.contains(" = ")).count(), 1, "{text}: {ours:?}");
    }
}

#[test]
fn keys_of_a_pool() {
    let cases = [
        ("worker_ttl: :infinity", "recycle.ttl = \"infinity\""),
        ("worker_ttl: {3600, :seconds}", "recycle.ttl = \"1h\""),
        ("worker_ttl: {2, :days}", "recycle.ttl = \"48h\""),
        ("memory_threshold_mb: 512", "recycle.max_rss = \"512MiB\""),
        ("startup_batch_delay_ms: 0", "start.delay = \"0s\""),
        (
            "crash_barrier: %{enabled: true, max_retries: 2}",
            "crash_barrier.enabled = true|crash_barrier.max_restarts = 2",
        ),
        ("crash_barrier: %{retry: true}", "crash_barrier.enabled = false|crash_barrier.retry = \"always\""),
        (
            "crash_barrier: [enabled: true, retry_idempotent: false]",
            "crash_barrier.enabled = true|crash_barrier.retry = \"never\"",
        ),
        (
            "crash_barrier: %{enabled: true, backoff_ms: [50, 0]}",
            "crash_barrier.enabled = true|crash_barrier.backoff = [\"50ms\", \"0s\"]",
        ),
        (
            "crash_barrier: %{enabled: true, taint_on_exit_codes: [134], taint_on_error_types: [\"CudaError\"]}",
            "crash_barrier.enabled = true|crash_barrier.exit_codes = [134]|crash_barrier.error_types = [\"CudaError\"]",
        ),
        ("adapter_env: %{\"A\" => 1, B: :x}", "env.A = \"1\"|env.B = \"x\""),
        ("adapter_env: [{\"A\", \"1\"}, \"B\"]", "env.A = \"1\"|env.B = \"\""),
        ("worker_profile: :thread", "adapter_args = [\"--max-workers\", \"10\"]|profile = \"thread\""),
        ("adapter_args: [\"--max-workers=3\"]", "adapter_args = [\"--max-workers=3\"]"),
    ];
    for (text, expected) in cases {
        let (ours, told) = of_pool(text);
        assert_eq!(ours.join("|"), expected, "{text}");
        assert_eq!(told, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_pool_inherits_key_by_key() {
    let (ours, _) = of_top("crash_barrier: %{enabled: true}, crash_barrier_max_restarts: 3");
    assert_eq!(ours, ["[pool_defaults]", "crash_barrier.enabled = true", "crash_barrier.max_restarts = 3"]);
    let conversion = converted(
        "config :snakepit, crash_barrier: [enabled: true], pools: [[name: :p, pool_size: 1, crash_barrier: [retry: :never]]]",
    );
    let enabled = lines(&conversion).into_iter().filter(|line| line.starts_with("crash_barrier.enabled")).count();
    assert_eq!(enabled, 1, "{}", conversion.toml);
}

#[test]
fn later_statements_go_before_and_keyword_lists_are_merged() {
    let text = "config :snakepit, heartbeat: [enabled: true, timeout_ms: 1000], affinity: :hint\n\
                config :snakepit, heartbeat: [timeout_ms: 2000], affinity: :strict_queue, pools: []";
    let conversion = converted(text);
    let expected =
        ["[pool_defaults]", "affinity = \"strict_queue\"", "heartbeat.enabled = true", "heartbeat.timeout = \"2s\""];
    assert_eq!(lines(&conversion), expected);
    assert!(conversion.toml.contains("heartbeat.timeout = \"2s\" # config.exs:2: "), "{}", conversion.toml);
}

#[test]
fn listeners_are_written_as_they_are_read() {
    let here = || "127.0.0.1".to_owned();
    let cases = [
        ("grpc_listener: %{mode: :internal}", "mode = \"internal\"", None),
        ("grpc_port: 0", "mode = \"internal\"", None),
        (
            "grpc_port: 50051, grpc_host: \"127.0.0.1\"",
            "mode = \"external\"|host = \"127.0.0.1\"|port = 50051",
            Some((here(), 50_051..=50_051)),
        ),
        (
            "grpc_listener: [mode: :external_pool, host: \"localhost\", base_port: 50_051, pool_size: 8]",
            "mode = \"external_pool\"|host = \"localhost\"|base_port = 50051|pool_size = 8",
            Some((here(), 50_051..=50_058)),
        ),
    ];
    for (text, expected, reached) in cases {
        let (ours, told) = of_top(text);
        assert_eq!(ours[1..].join("|"), expected, "{text}");
        assert_eq!((ours[0].as_str(), told), ("[bridge]", Vec::new()), "{text}");
        let read = Settings::parse(&ours.join("\n"), Path::new("/srv/hatchery.toml")).config().unwrap().server.bridge;
        assert_eq!(read.map(|read| (read.bind.to_string(), read.ports)), reached, "{text}");
    }
    let of_others = "grpc_listener: [mode: :external, host: \"::1\", port: 7, pool_size: 32]";
    let (ours, told) = of_top(of_others);
    assert_eq!(ours[1..].join("|"), "mode = \"external\"|host = \"::1\"|port = 7");
    assert_eq!(told, ["1: grpc_listener.pool_size: with mode external it says nothing; it is left out"]);
    let missing = converted("config :snakepit, grpc_listener: [mode: :external, host: \"localhost\"]");
    let [refused] = &problems(&missing.toml)[..] else { panic!("{}", missing.toml) };
    assert!(refused.ends_with("bridge.mode: expected `port` beside mode = \"external\", found none"), "{refused}");
    assert_eq!(
        notes(&missing)[1..],
        ["1: grpc_listener.port: missing, though the mode is external; write `bridge.port` yourself"]
    );
}

#[test]
fn mistakes_are_told_and_not_written() {
    let cases = [
        (
            "affinity: :nowhere",
            "affinity: expected :hint, :strict_queue or :strict_fail_fast, found :nowhere; write `affinity` yourself",
        ),
        (
            "worker_ttl: {0, :hours}",
            "worker_ttl: expected something like {1, :hours}, or :infinity, found a tuple; write `recycle.ttl` yourself",
        ),
        (
            "worker_max_requests: -1",
            "worker_max_requests: expected a whole number from 1 to 1000000000000, or :infinity, found -1; write `recycle.max_requests` yourself",
        ),
        ("heartbeat: 5", "heartbeat: expected a map or a keyword list, found 5; write `heartbeat` yourself"),
        ("threads_per_worker: 4", "threads_per_worker: it is only for worker_profile: :thread; it is left out"),
        (
            "worker_profile: :fiber",
            "worker_profile: expected :process or :thread, found :fiber; write `profile` yourself",
        ),
        (
            "adapter_args: args()",
            "adapter_args: `args()` is known only when Elixir runs it; write `adapter_args` yourself",
        ),
        (
            "adapter_args: [\"--adapter\", name()]",
            "adapter_args: `name()` is known only when Elixir runs it; write `adapter_args` yourself",
        ),
        ("adapter_args: [\"--port\", \"0\"]", "adapter_args: --port is what the host says by itself; it is left out"),
        (
            "adapter_env: [{\"A\", key()}]",
            "adapter_env.A: `key()` is known only when Elixir runs it; write `env.A` yourself",
        ),
        (
            "elixir_address: \"localhost:1\"",
            "elixir_address: each worker is told the address of its own listener; `[bridge]` for others than workers",
        ),
    ];
    for (text, expected) in cases {
        let (ours, told) = of_pool(text);
        assert_eq!((ours, told), (Vec::new(), vec![format!("1: pools[0].{expected}")]), "{text}");
    }
}

#[test]
fn pools_that_are_none() {
    let text = "[%{pool_size: 1}, %{name: :a, pool_size: 1}, %{name: \"a\", pool_size: 1}, pool(), %{name: \"b c\", pool_size: 2000, max_workers: 5000}]";
    let conversion = converted(text);
    assert_eq!(conversion.pools, 2, "{}", conversion.toml);
    let expected = [
        "1: pools[0].name: missing, and Snakepit refuses it too; give the pool a name",
        "1: pools[2].name: another pool is called a already; give it a name of its own; it is left out",
        "1: pools[3]: `pool()` is known only when Elixir runs it; write `[[pools]]` yourself",
        "1: pools[4].name: \"b c\" has characters that a name may not have; it is called b_c",
        "1: pools[4].pool_size: 2000 are more than a pool may have; it is 1024",
    ];
    assert_eq!(notes(&conversion), expected);
    assert_eq!(problems(&conversion.toml), Vec::<String>::new());
}

#[test]
fn an_adapter_of_ones_own_is_told_of() {
    let (_, told) = of_pool("adapter_module: MyApp.Adapter");
    assert!(told[0].starts_with("1: pools[0].adapter_module: what MyApp.Adapter starts is said in Elixir"), "{told:?}");
}

#[test]
fn what_says_what_holds_anyway_is_not_told() {
    let (ours, told) =
        of_top("pooling_enabled: true, cleanup_on_stop: true, library_mode: true, auto_install_python_deps: false");
    assert_eq!((ours, told), (Vec::new(), Vec::new()));
    assert_eq!(of_top("cleanup_on_stop: false").1, ["1: cleanup_on_stop: workers never outlive the daemon"]);
}
