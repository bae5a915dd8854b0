//! Names in the catalogue of which there is no event: those of what is to come, and those that others use. Who comes from
//! Snakepit finds here what to listen to instead.

use super::catalogue::EventKind;

const fn is_to_come(name: &'static str, doc: &'static str) -> EventKind {
    EventKind::reserved(name, doc)
}

const fn is_called(name: &'static str, doc: &'static str) -> EventKind {
    EventKind::explained(name, doc)
}

pub(super) const UNSPOKEN: &[EventKind] = &[
    is_to_come("bridge.connected", "A worker that speaks gRPC connected."),
    is_to_come("bridge.disconnected", "A worker that speaks gRPC is gone."),
    is_to_come("gpu.memory_sampled", "The memory of a card was measured."),
    is_to_come("gpu.utilization_sampled", "The load of a card was measured."),
    is_to_come("gpu.temperature_sampled", "The temperature of a card was measured."),
    is_to_come("gpu.power_sampled", "The power that a card draws was measured."),
    is_to_come("hardware.detected", "What the machine can calculate with was looked for."),
    is_to_come("hardware.selected", "A device was chosen."),
    // Pools.
    is_called("pool.init_started", "It is `pool.starting`."),
    is_called("pool.init_complete", "It is `pool.started`."),
    is_called("pool.initialized", "It is `pool.started`."),
    is_called("pool.status", "How a pool is, is no event: the metrics and the status say it at any time."),
    is_called("pool.worker_ready", "It is `worker.ready`."),
    is_called("pool.worker.spawn_started", "It is `registry.reserved`, before the process exists."),
    is_called("pool.worker.spawned", "It is `worker.started`, and `worker.ready` when it takes calls."),
    is_called("pool.worker.spawn_failed", "It is `worker.restarting`, or `worker.not_replaced`, with the reason."),
    is_called("pool.worker.restarted", "It is `worker.restarting`, then `worker.ready`."),
    is_called("pool.worker.terminated", "It is `worker.gone`."),
    is_called("pool.call.dispatched", "It is `call.started`."),
    is_called("pool.queue.enqueued", "It is `call.queued`."),
    is_called("pool.queue.dequeued", "It is `call.started`, of which `queue_seconds` says how long the call waited."),
    is_called("pool.queue.timeout", "It is `pool.queue_timeout`."),
    // Calls.
    is_called("request.executed", "It is `call.finished`, of every call, also of those that waited."),
    is_called("grpc_worker.execute.*", "They are `call.started` and `call.finished`; a failure is its `outcome`."),
    is_called(
        "grpc_worker.execute_session.*",
        "They are `call.started` and `call.finished`, with `session`; a failure is its `outcome`.",
    ),
    is_called("grpc.call.*", "They are `call.started` and `call.finished`, whoever made the call."),
    is_called("grpc.stream.*", "A stream is a call: `call.started` and `call.finished`."),
    is_called("grpc.connection.*", "Workers have pipes from their birth: there is nothing to connect to."),
    // Workers.
    is_called("worker.health_check_failed", "It is `worker.unhealthy`."),
    is_called("worker.crash", "It is `fault.crashed`."),
    is_called("worker.tainted", "It is `fault.tainted`."),
    is_called("worker.restarted", "It is `fault.restarted`."),
    is_called("heartbeat.monitor_started", "A worker is asked from `worker.ready` on."),
    is_called("heartbeat.monitor_stopped", "A worker is asked until `worker.gone`."),
    is_called("heartbeat.ping_sent", "It is `heartbeat.asked`."),
    is_called("heartbeat.pong_received", "It is `heartbeat.answered`."),
    is_called("heartbeat.heartbeat_timeout", "It is `heartbeat.missed`."),
    is_called("heartbeat.monitor_failure", "It is `heartbeat.failed`."),
    // Sessions.
    is_called("bridge.session.pruned", "It is `session.pruned`."),
    is_called("bridge.session.accumulation_warning", "It is `session.accumulating`."),
    is_called("session.affinity.assigned", "It is `session.affinity_assigned`."),
    is_called("session.affinity.broken", "It is `session.affinity_broken`."),
    is_called("session_store.session.*", "They are `session.created` and `session.destroyed`."),
    is_called("session_store.program.*", "What a session holds is its own: a change of it is no event."),
    // Faults.
    is_called("python.exception.mapped", "It is `error.raised`; the call's `call.finished` has the outcome `remote`."),
    is_called("python.exception.unmapped", "It is `error.raised`: every exception has its type, known or not."),
    is_called("error.python_exception", "It is `error.raised`."),
    is_called("error.dtype_mismatch", "It is `error.raised`: libraries tell of it in words only."),
    is_called("error.dimension_error", "It is `error.shape_mismatch`."),
    is_called("circuit_breaker.opened", "It is `breaker.opened`."),
    is_called("circuit_breaker.half_open", "It is `breaker.half_opened`."),
    is_called("circuit_breaker.closed", "It is `breaker.closed`."),
    is_called(
        "circuit_breaker.call.*",
        "A call that a breaker turns away is `call.finished` with the outcome `unavailable`; the breakers count them.",
    ),
    is_called("retry.success", "It is `retry.succeeded`."),
    is_called("retry.backoff", "The pause is `after_seconds` of `retry.attempt`."),
    // Large values.
    is_called("zero_copy.export", "It is `shared.exported`."),
    is_called("zero_copy.import", "It is `shared.imported`."),
    is_called("zero_copy.fallback", "It is `shared.fell_back`."),
    // The card samples, as others call them.
    is_called("gpu.memory.sampled", "It will be `gpu.memory_sampled`."),
    is_called("gpu.utilization.sampled", "It will be `gpu.utilization_sampled`."),
    is_called("gpu.temperature.sampled", "It will be `gpu.temperature_sampled`."),
    is_called("gpu.power.sampled", "It will be `gpu.power_sampled`."),
    // The end.
    is_called("cleanup.start", "It is `cleanup.started`."),
    is_called("cleanup.success", "It is `cleanup.finished` with no `survivors`."),
    is_called("cleanup.timeout", "It is `cleanup.finished` with `survivors`."),
    is_called("application_cleanup.cleanup_success", "It is `run.shutdown_finished`."),
    is_called("application_cleanup.orphaned_processes_found", "It is `registry.swept`."),
    is_called("application_cleanup.emergency_cleanup", "It is `cleanup.started`."),
    is_called("script.shutdown.start", "It is `script.stopping`."),
    is_called("script.shutdown.stop", "It is `run.shutdown_started`."),
    is_called("script.shutdown.cleanup", "It is `script.cleanup`."),
    is_called("script.shutdown.exit", "It is `script.ended`: the program itself ends when its `main` returns."),
    // What tools tell, and what has no sense here.
    is_called("python.*", "It is `tool.event`, of which `event` is the tool's own name."),
    is_called("tool.*", "It is `tool.event`, of which `event` is the tool's own name."),
    is_called("deprecated.module_used", "There is nothing that is deprecated; the compiler would tell."),
];
