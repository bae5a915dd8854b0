//! Whole conversions. What the readers of literals and statements do by themselves is in the tests below them.

mod reading;
mod rules;
mod strange;

use std::path::Path;

use hatchery::Settings;

use super::{Conversion, convert};

/// A configuration with most of what users write.
const WHOLE: &str = include_str!("tests/whole.exs");

fn converted(text: &str) -> Conversion {
    convert(text, "config.exs").unwrap()
}

/// The lines without their comments.
fn lines(conversion: &Conversion) -> Vec<&str> {
    let said = conversion.toml.lines().map(|line| line.split(" # ").next().unwrap());
    said.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn notes(conversion: &Conversion) -> Vec<String> {
    conversion.notes.iter().map(|note| format!("{}: {note}", note.at.line)).collect()
}

/// What our own reader says of it.
fn problems(toml: &str) -> Vec<String> {
    let settings = Settings::parse(toml, Path::new("/srv/hatchery.toml"));
    settings.problems().iter().filter(|problem| !problem.is_warning).map(ToString::to_string).collect()
}

#[test]
fn a_whole_configuration() {
    let conversion = converted(WHOLE);
    let expected = [
        "timeout_profile = \"production_strict\"",
        "[instance]",
        "name = \"my_app\"",
        "[sessions]",
        "ttl = \"2h\"",
        "max = \"infinity\"",
        "strict = true",
        "[telemetry.otlp]",
        "endpoint = \"http://localhost:4318\"",
        "protocol = \"grpc\"",
        "[bridge]",
        "mode = \"external\"",
        "host = \"localhost\"",
        "bind_host = \"0.0.0.0\"",
        "port = 50051",
        "[pool_defaults]",
        "timeouts.stream = \"infinity\"",
        "timeouts.queue = \"5s\"",
        "stop.ask = \"6s\"",
        "stop.term = \"0s\"",
        "crash_barrier.enabled = true",
        "crash_barrier.retry = \"idempotent\"",
        "crash_barrier.mark_on = [\"segfault\", \"gpu\"]",
        "[[pools]]",
        "name = \"default\"",
        "transport = \"grpc\"",
        "script = \"deps/snakepit/priv/python/grpc_server.py\"",
        "adapter = \"myapp.adapter.MainAdapter\"",
        "adapter_args = [\"--heartbeat-independent\"]",
        "workers = 8",
        "profile = \"process\"",
        "affinity = \"strict_queue\"",
        "recycle.ttl = \"90m\"",
        "recycle.max_requests = 10000",
        "recycle.max_rss = \"2GiB\"",
        "heartbeat.enabled = true",
        "heartbeat.interval = \"2500ms\"",
        "heartbeat.max_missed = 4",
        "env.CUDA_VISIBLE_DEVICES = \"0\"",
        r#"env."LD.PATH" = "a\"b""#,
        "env.BARE = \"\"",
        "[[pools]]",
        "name = \"hpc\"",
        "transport = \"grpc\"",
        "script = \"deps/snakepit/priv/python/grpc_server_threaded.py\"",
        "adapter = \"myapp.hpc.Adapter\"",
        "adapter_args = [\"--max-workers\", \"16\", \"--thread-safety-check\"]",
        "workers = 4",
        "profile = \"thread\"",
        "threads_per_worker = 16",
        "capacity = \"hybrid\"",
    ];
    assert_eq!(lines(&conversion), expected);
    assert_eq!(conversion.pools, 2);
    assert!(
        conversion.toml.contains("recycle.ttl = \"90m\" # config.exs:21: pools[0].worker_ttl"),
        "{}",
        conversion.toml
    );
    let found = problems(&conversion.toml);
    let open = [
        "bridge.bind_host: \"0.0.0.0\" is reached from other machines; expected unsafe_bind = true",
        "bridge.bind_host: expected an address on loopback, or `server.tls`",
    ];
    assert!(found.len() == 2 && open.iter().all(|open| found.iter().any(|found| found.contains(open))), "{found:?}");
    let closed = conversion.toml.replace("bind_host = \"0.0.0.0\"", "");
    assert_eq!(problems(&closed), Vec::<String>::new(), "nobody opens a door but who says so:\n{closed}");
}

#[test]
fn what_is_not_converted_is_said_aloud() {
    let conversion = converted(WHOLE);
    let expected = [
        "10: log_level: what is logged is said on the command line",
        "33: pools[1].adapter_args: Snakepit's scripts have no flag --mode",
        "40: crash_barrier.taint_ms: nothing in Snakepit 0.13.0 reads such a key here; it is `taint_duration_ms`",
        "44: grpc_listener.bind_host: \"0.0.0.0\" is reached from other machines",
        "45: nonsense: nothing in Snakepit 0.13.0 reads such a key here",
        "48: opentelemetry.exporters.otlp.endpoint: `endpoint` is known only when Elixir runs it; write `endpoint` yourself",
        "50: `if config_env() == :prod do …`: no literal",
        "54: import_config \"#{config_env()}.exs\": another file",
    ];
    let told = notes(&conversion);
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for note in &conversion.notes {
        assert!(conversion.toml.contains(&format!("# - config.exs:{}: {note}", note.at.line)), "{note}");
    }
}

#[test]
fn the_old_form_of_one_pool() {
    let text = r#"
    config :snakepit,
      pooling_enabled: true,
      adapter_module: Snakepit.Adapters.GRPCPython,
      pool_size: 100,
      pool_config: %{pool_size: 4, max_workers: 60, startup_batch_size: 8, startup_batch_delay_ms: 750, adapter_args: ~w(--adapter a.B)}
    "#;
    let conversion = converted(text);
    let expected = [
        "[[pools]]",
        "name = \"default\"",
        "transport = \"grpc\"",
        "script = \"deps/snakepit/priv/python/grpc_server.py\"",
        "adapter = \"a.B\"",
        "workers = 60",
        "start.batch = 8",
        "start.delay = \"750ms\"",
    ];
    assert_eq!(lines(&conversion), expected);
    assert_eq!(notes(&conversion), ["5: pool_size: 100 are more than max_workers; it is 60"]);
    assert_eq!(problems(&conversion.toml), Vec::<String>::new());
}

#[test]
fn a_literal_by_itself() {
    for text in [
        "[pools: [%{name: :a, pool_size: 2}]]",
        "%{pools: [[name: \"a\", pool_size: 2]]}",
        "[%{name: :a, pool_size: 2}]",
        "%{name: :a, pool_size: 2}",
        "[name: :a, pool_size: 2]",
        "Application.put_env(:snakepit, :pools, [%{name: :a, pool_size: 2}])",
        "config(:snakepit, [{:pools, [%{:name => :a, :pool_size => \"2\"}]}])",
    ] {
        let conversion = converted(text);
        assert_eq!(lines(&conversion)[..2], ["[[pools]]", "name = \"a\""], "{text}");
        assert!(lines(&conversion).contains(&"workers = 2"), "{text}\n{}", conversion.toml);
        assert_eq!(notes(&conversion), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_size_that_depends_on_the_machine_is_left_to_the_user() {
    let conversion =
        converted("config :snakepit, pools: [%{name: :a, pool_size: System.schedulers_online() * 2}, %{name: :b}]");
    assert!(!conversion.toml.contains("\nworkers"), "{}", conversion.toml);
    let expected = [
        "1: pools[0].pool_size: `System.schedulers_online() * 2` is known only when Elixir runs it; write `workers` yourself",
        "1: pools[1].pool_size: not said; in Snakepit it is twice the number of schedulers, here it is 1; write `workers` yourself",
    ];
    assert_eq!(notes(&conversion), expected);
}

#[test]
fn nothing_of_snakepit_is_a_mistake() {
    for text in ["", "# nothing\n", "import Config\nconfig :logger, level: :info\n"] {
        let error = convert(text, "config.exs").unwrap_err();
        assert!(error.message().ends_with("found nothing of Snakepit"), "{error}");
    }
}

#[test]
fn comments_stay_comments() {
    let conversion = converted("config :snakepit, pools: [%{name: :a, pool_size: 1}], \"x\\n[[pools]]\": 1");
    assert!(
        conversion.toml.lines().any(|line| line.starts_with("# - config.exs:1: x [[pools]]: ")),
        "{}",
        conversion.toml
    );
    assert_eq!(problems(&conversion.toml), Vec::<String>::new());
}
