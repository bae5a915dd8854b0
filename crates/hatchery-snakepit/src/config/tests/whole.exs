import Config

config :logger, :console, metadata: [:request_id], level: :info
config :my_app, MyApp.Repo, url: System.get_env("DATABASE_URL"), pool_size: 10

endpoint = System.get_env("OTEL_ENDPOINT") || "http://localhost:4318"

config :snakepit,
  pooling_enabled: true,
  log_level: :warning,
  timeout_profile: :production_strict,
  pools: [
    # The usual one.
    %{
      name: :default,
      worker_profile: :process,
      pool_size: 8,
      adapter_module: Snakepit.Adapters.GRPCPython,
      adapter_args: ["--adapter", "myapp.adapter.MainAdapter", "--heartbeat-independent"],
      adapter_env: [{"CUDA_VISIBLE_DEVICES", "0"}, {"LD.PATH", "a\"b"}, "BARE"],
      worker_ttl: {90, :minutes},
      worker_max_requests: 10_000,
      memory_threshold_mb: 2048,
      affinity: "STRICT_QUEUE",
      heartbeat: %{enabled: true, ping_interval_ms: 2_500, max_missed_heartbeats: 4}
    },
    %{
      "name" => :hpc,
      "worker_profile" => :thread,
      "pool_size" => 0x4,
      "threads_per_worker" => 16,
      "thread_safety_checks" => true,
      "adapter_args" => ["--mode", "threaded", "--adapter=myapp.hpc.Adapter"],
      "capacity_strategy" => :hybrid
    }
  ],
  pool_queue_timeout: 5000,
  pool_streaming_timeout: :infinity,
  graceful_shutdown_timeout_ms: 6_000,
  crash_barrier: %{enabled: true, retry: :idempotent, mark_on: [:segfault, :gpu], taint_ms: 5000},
  session_store: %{max_sessions: :infinity, strict_mode: true},
  instance_name: "my app",
  instance_token: nil,
  grpc_listener: [mode: :external, host: "localhost", bind_host: "0.0.0.0", port: 50_051],
  nonsense: 1

config :snakepit, :session_default_ttl, 7200
config :snakepit, enable_otlp?: true, opentelemetry: %{exporters: %{otlp: %{endpoint: endpoint, protocol: :grpc}}}

if config_env() == :prod do
  config :snakepit, log_level: :error
end

import_config "#{config_env()}.exs"
