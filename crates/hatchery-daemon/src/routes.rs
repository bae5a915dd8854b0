//! Which path is answered by what, and what it takes and gives: one row each. The description of the interface for others
//! (`/openapi.json`) is written from this table, too.

use crate::access::Scope::{Call, Observe, Operate};
use crate::http::Method::{Delete, Get, Post, Put};
use crate::http::{
    Answer, Query, Route, agents, calls, conversations, events, host_tools, metrics, observation, openapi, orders, page,
};

/// Every operation.
pub(crate) fn table() -> Vec<Route> {
    [watching(), calling(), calling_back(), remembering(), running(), ordering(), telling()]
        .into_iter()
        .flatten()
        .collect()
}

/// What is there, and how it does.
fn watching() -> Vec<Route> {
    vec![
        Route::of(Get, "/v1/status", &[Observe], "status", observation::status)
            .what("The daemon: its phase, its pools, what is certain to end with it, what dead runs have left")
            .gives("Status"),
        Route::of(Get, "/v1/stats", &[Observe], "stats", observation::stats)
            .what("What has become of calls since the start, of all pools together and of each; and of sessions")
            .gives("Stats"),
        Route::of(Get, "/v1/pools", &[Observe], "pools", observation::pools)
            .what("The pools, with their numbers")
            .gives("Pools"),
        Route::of(Get, "/v1/pools/{pool}", &[Observe], "pool", observation::pool)
            .what("One pool, with its numbers")
            .gives("Pool"),
        Route::of(Get, "/v1/pools/{pool}/tools", &[Observe, Call], "tools", observation::tools)
            .what("The tools of a pool's app; none before its first worker was ready")
            .gives("Tools"),
        Route::of(Get, "/v1/workers", &[Observe], "workers", observation::workers)
            .what("The workers of all pools")
            .gives("Workers"),
        Route::of(Get, "/v1/workers/{worker}", &[Observe], "worker", observation::worker)
            .what("One worker, with what it can do, how it fares, and whether it is tainted")
            .gives("WorkerDetail"),
        Route::of(Get, "/v1/taints", &[Observe], "taints", observation::taints)
            .what("Workers and devices that get no calls for a while after a crash")
            .gives("Taints"),
        Route::of(Get, "/v1/breakers", &[Observe], "breakers", observation::breakers)
            .what("The circuit breakers of the pools that have some")
            .gives("Breakers"),
        Route::of(Get, "/v1/orphans", &[Observe], "orphans", observation::orphans)
            .what("Live processes that dead runs of this instance have left. Ends nothing")
            .gives("Orphans"),
    ]
}

/// What it is for.
fn calling() -> Vec<Route> {
    vec![
        Route::of(Post, "/v1/pools/{pool}/call/{tool}", &[Call], "call", calls::call)
            .what("Calls a tool that returns once. The answer is its bare result")
            .takes_arguments()
            .answers(Answer::Result),
        Route::of(Post, "/v1/pools/{pool}/stream/{tool}", &[Call], "stream", calls::stream)
            .what("Calls a streaming tool. Its chunks come as events `chunk`, then `end` or `error`")
            .takes_arguments()
            .answers(Answer::Events),
    ]
}

/// What workers can call, as others see it.
fn calling_back() -> Vec<Route> {
    const SESSION: &[Query] = &[Query {
        name: "session",
        is: "string",
        what: "As a call of this session sees it: its own tools before the global ones",
    }];
    vec![
        Route::of(Get, "/v1/host-tools", &[Observe], "host_tools", host_tools::list)
            .what("Tools that workers may call back: all, or those that calls of one session see")
            .query(SESSION)
            .gives("HostTools"),
        Route::of(Get, "/v1/host-tools/{name}", &[Observe], "host_tool", host_tools::get)
            .what("One of them; without a session, the global one of this name")
            .query(SESSION)
            .gives("HostTool"),
        Route::of(Delete, "/v1/host-tools/{name}", &[Operate], "unregister_host_tool", host_tools::unregister)
            .what("Takes one away: of this session, or the global one. Calls of it that run go on")
            .query(SESSION)
            .gives("Unregistered"),
        Route::of(Post, "/v1/host-tools/{name}/call", &[Call], "call_host_tool", host_tools::call)
            .what("Calls one, as a worker would. The answer is its bare result")
            .query(SESSION)
            .takes_arguments()
            .answers(Answer::Result),
    ]
}

/// Sessions, and what is stored in them.
fn remembering() -> Vec<Route> {
    const PAGE: &[Query] = &[
        Query { name: "limit", is: "integer", what: "So many at most: 1 to 1000, if nothing is said 100" },
        Query { name: "after", is: "string", what: "Only those whose id comes after this one" },
    ];
    vec![
        Route::of(Get, "/v1/sessions", &[Observe], "sessions", conversations::list)
            .what("Sessions by id, some at a time. None is accessed by this")
            .query(PAGE)
            .gives("SessionPage"),
        Route::of(Post, "/v1/sessions", &[Call], "create_session", conversations::create)
            .what("Makes a session, or finds the one of this id, which stays as it is")
            .takes("CreateSession")
            .gives("MadeSession"),
        Route::of(Post, "/v1/sessions/prune", &[Operate], "prune_sessions", orders::prune_sessions)
            .what("Takes those away whose time is over")
            .takes("Nothing")
            .gives("Pruned"),
        Route::of(Get, "/v1/sessions/{session}", &[Call], "session", conversations::get)
            .what("One session, accessed by this: its metadata, and the names of its programs")
            .gives("Session"),
        Route::of(Delete, "/v1/sessions/{session}", &[Call], "delete_session", conversations::delete)
            .what("Deletes a session")
            .gives("Deleted"),
        Route::of(Get, "/v1/sessions/{session}/programs/{name}", &[Call], "program", conversations::program)
            .what("A stored program"),
        Route::of(
            Put,
            "/v1/sessions/{session}/programs/{name}",
            &[Call],
            "store_program",
            conversations::store_program,
        )
        .what("Stores a program: any JSON value")
        .takes_value()
        .gives("Stored"),
        Route::of(
            Delete,
            "/v1/sessions/{session}/programs/{name}",
            &[Call],
            "delete_program",
            conversations::delete_program,
        )
        .what("Deletes a stored program")
        .gives("Deleted"),
        Route::of(Get, "/v1/sessions/{session}/metadata/{name}", &[Call], "metadata", conversations::fact)
            .what("A fact"),
        Route::of(Put, "/v1/sessions/{session}/metadata/{name}", &[Call], "set_metadata", conversations::set_fact)
            .what("Sets a fact: any JSON value")
            .takes_value()
            .gives("Stored"),
        Route::of(
            Delete,
            "/v1/sessions/{session}/metadata/{name}",
            &[Call],
            "delete_metadata",
            conversations::delete_fact,
        )
        .what("Deletes a fact")
        .gives("Deleted"),
    ]
}

/// Agents, which run for longer than a call.
fn running() -> Vec<Route> {
    const FILTER: &[Query] = &[
        Query { name: "state", is: "string", what: "Only those in this state" },
        Query {
            name: "label",
            is: "string",
            what: "Only those with this label, `KEY=VALUE`; several with commas between",
        },
        Query { name: "session", is: "string", what: "Only those of the conversation that is, or was, called so" },
        Query { name: "all", is: "boolean", what: "Those that are over as well, and those of other supervisors" },
        Query { name: "limit", is: "integer", what: "So many at most, the latest" },
    ];
    const FROM: &[Query] =
        &[Query { name: "from", is: "integer", what: "From the event of this number on; `Last-Event-ID` goes before" }];
    vec![
        Route::of(Post, "/v1/agents", &[Operate], "start_agent", agents::start)
            .what("Starts an agent, or any program that speaks lines. Answers when its process is there")
            .takes("StartAgent")
            .gives("Agent"),
        Route::of(Get, "/v1/agents", &[Observe], "agents", agents::list)
            .what("Agent runs, the latest first: those that live here")
            .query(FILTER)
            .gives("Agents"),
        Route::of(Get, "/v1/agents/{run}", &[Observe], "agent", agents::show)
            .what("One agent run, also one that is over: by its id, the beginning of that, or the name of its conversation")
            .gives("Agent"),
        Route::of(Get, "/v1/agents/{run}/events", &[Observe], "agent_events", agents::events)
            .what("What it says: events `stdout`, `stderr` and `host`, `gap` for what is not there any more, `end` with the outcome")
            .query(FROM)
            .answers(Answer::Events),
        Route::of(Get, "/v1/agents/{run}/wait", &[Observe], "wait_agent", agents::wait)
            .what("What has become of it; waits until it is over")
            .gives("AgentEnded"),
        Route::of(Post, "/v1/agents/{run}/turns", &[Operate], "send_turn", agents::send)
            .what("Writes a turn of its conversation. One that is busy reads it later")
            .takes("AgentTurn")
            .gives("Sent"),
        Route::of(Post, "/v1/agents/{run}/turns/end", &[Operate], "end_turns", agents::end_input)
            .what("No turn follows: its input ends, and most agents then end by themselves")
            .takes("Nothing")
            .gives("Sent"),
        Route::of(Post, "/v1/agents/{run}/answers", &[Operate], "answer_agent", agents::answer)
            .what("Answers what it has asked")
            .takes("AgentAnswer")
            .gives("Sent"),
        Route::of(Post, "/v1/agents/{run}/interrupt", &[Operate], "interrupt_agent", agents::interrupt)
            .what("Ends its turn, and not its process")
            .takes("Nothing")
            .gives("Sent"),
        Route::of(Post, "/v1/agents/{run}/stop", &[Operate], "stop_agent", agents::stop)
            .what("Ends it with everything that it has started, by its ladder or at once. Answers when that is done")
            .takes("StopAgent")
            .gives("AgentStopped"),
    ]
}

/// What changes pools, workers, or the daemon.
fn ordering() -> Vec<Route> {
    vec![
        Route::of(Post, "/v1/pools/{pool}/scale", &[Operate], "scale", orders::scale)
            .what("From now on it is to have so many workers. Does not wait")
            .takes("Scale")
            .gives("Scaled"),
        Route::of(Post, "/v1/pools/{pool}/drain", &[Operate], "drain", orders::drain)
            .what("Takes no more calls, until it is resumed; waits at most so long until those that it has are served")
            .takes("Drain")
            .gives("Drained"),
        Route::of(Post, "/v1/pools/{pool}/resume", &[Operate], "resume", orders::resume)
            .what("Takes calls again")
            .takes("Nothing")
            .gives("Resumed"),
        Route::of(Post, "/v1/pools/{pool}/reload", &[Operate], "reload_pool", orders::reload_pool)
            .what("Replaces every worker, each when its successor is ready, and so loads the app anew. Does not wait")
            .takes("Nothing")
            .gives("Reloading"),
        Route::of(Post, "/v1/pools/{pool}/breakers/reset", &[Operate], "reset_breakers", orders::reset_breakers)
            .what("Closes the circuit breaker of one tool, or all of the pool")
            .takes("ResetBreakers")
            .gives("PoolBreakers"),
        Route::of(Post, "/v1/workers/{worker}/recycle", &[Operate], "recycle_worker", orders::recycle_worker)
            .what("Replaces a worker when its successor is ready. Does not wait")
            .takes("Nothing")
            .gives("Ordered"),
        Route::of(Post, "/v1/workers/{worker}/restart", &[Operate], "restart_worker", orders::restart_worker)
            .what("Ends a worker within its pool's graces; then another follows. Does not wait")
            .takes("Nothing")
            .gives("Ordered"),
        Route::of(Post, "/v1/workers/{worker}/stop", &[Operate], "stop_worker", orders::stop_worker)
            .what("Ends a worker within its pool's graces, and the pool has one fewer. Does not wait")
            .takes("Nothing")
            .gives("Ordered"),
        Route::of(Delete, "/v1/taints", &[Operate], "clear_taints", orders::clear_taints)
            .what("Forgives all")
            .gives("Cleared"),
        Route::of(Delete, "/v1/taints/{id}", &[Operate], "clear_taint", orders::clear_taint)
            .what("Forgives one worker or device")
            .gives("Cleared"),
        Route::of(Post, "/v1/orphans/kill", &[Operate], "kill_orphans", orders::kill_orphans)
            .what("Ends exactly the orphans of this instance")
            .takes("KillOrphans")
            .gives("Orphans"),
        Route::of(Post, "/v1/reload", &[Operate], "reload", orders::reload_configuration)
            .what("Reads the configuration again: what can be changed in running pools is changed")
            .takes("Nothing")
            .gives("Reloaded"),
        Route::of(Post, "/v1/stop", &[Operate], "stop", orders::stop)
            .what("Ends the daemon as SIGTERM does: calls that run may finish within their pool's graces")
            .takes("Nothing")
            .gives("Stopping"),
    ]
}

/// For machines that watch, and for people.
fn telling() -> Vec<Route> {
    const FILTER: &[Query] = &[
        Query {
            name: "kind",
            is: "string",
            what: "Names and patterns with commas between, like `worker.*,pool.scaled`",
        },
        Query { name: "pool", is: "string", what: "Only what is about this pool or its workers" },
        Query { name: "worker", is: "string", what: "Only what is about this worker" },
        Query { name: "correlation_id", is: "string", what: "Only what is about this call" },
    ];
    vec![
        Route::of(Get, "/v1/events", &[Observe], "events", events::events)
            .what("What happens from now on. Each event has its name; `lagged` says how many a slow reader has lost")
            .query(FILTER)
            .answers(Answer::Events),
        Route::of(Get, "/v1/events/catalogue", &[Observe], "event_catalogue", events::catalogue)
            .what("Every kind of event, with its fields")
            .gives("EventCatalogue"),
        Route::of(Get, "/metrics", &[Observe], "metrics", metrics::metrics)
            .what("The numbers, as Prometheus reads them")
            .answers(Answer::Text(metrics::MEDIA_TYPE)),
        Route::of(Get, "/openapi.json", &[Observe], "openapi", openapi::openapi)
            .what("This description")
            .gives("Description"),
        Route::of(Get, "/", &[Observe], "page", page::page)
            .what("The status, for people")
            .answers(Answer::Text("text/html")),
        Route::of(Get, "/healthz", &[], "health", observation::health)
            .what("Whether it answers")
            .answers(Answer::Text("text/plain")),
        Route::of(Get, "/readyz", &[], "readiness", observation::readiness)
            .what("Whether a call would find a worker")
            .answers(Answer::Text("text/plain")),
    ]
}
