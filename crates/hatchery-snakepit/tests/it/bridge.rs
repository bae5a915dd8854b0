//! What workers ask of their host, and of each other through it.

use hatchery::{CallOptions, Error, ErrorKind, Hatchery, HostCaller, HostTool, HostToolSource};
use hatchery_snakepit::Bridge;
use serde_json::{Value, json};

use crate::rig::{Rig, app, eventually, pool, threaded};

/// Two workers that know all tools.
async fn two() -> Option<Rig> {
    let rig = Rig::of(pool(app("bridge_tools.full.Full")?).workers(2)).await;
    rig.pool.await_all(crate::rig::PATIENCE).await.unwrap();
    Some(rig)
}

impl Rig {
    /// A session that only one of the two workers knows, whose tools it has: that one, and the other.
    async fn shared_session(&self) -> (String, String) {
        self.hatchery.sessions().create("shared").unwrap();
        self.in_session("ping", json!({})).await.unwrap();
        let registered = self.hatchery.host_tools().get(Some("shared"), "ping").unwrap();
        let first = owner(registered);
        let second = if first == "default-1" { "default-2" } else { "default-1" };
        (first, second.to_owned())
    }

    async fn in_session(&self, tool: &str, arguments: Value) -> hatchery::Result<Value> {
        self.pool.call_with(tool, arguments, &CallOptions::new().session("shared")).await
    }

    async fn at(&self, worker: &str, tool: &str, arguments: Value) -> hatchery::Result<Value> {
        self.pool.call_with(tool, arguments, &CallOptions::new().worker(worker)).await
    }
}

/// Scenario 42.
#[tokio::test]
async fn an_argument_that_is_no_json_is_named() {
    let Some(rig) = Rig::plain().await else { return };
    let echo = |arguments: Value, _: HostCaller| async move { Ok(arguments["value"].clone()) };
    rig.hatchery.host_tools().register(HostTool::new("mirror", echo)).unwrap();
    let answer = rig.call("call_host_raw", json!({ "name": "mirror", "text": "{" })).await.unwrap();
    assert_eq!(answer["success"], false);
    assert!(answer["error"].as_str().unwrap().contains("value"), "{answer}");
    let deep = "[".repeat(100_000);
    let answer = rig.call("call_host_raw", json!({ "name": "mirror", "text": deep })).await.unwrap();
    assert_eq!(answer["success"], false);
    let answer = rig.call("call_host_raw", json!({ "name": "mirror" })).await.unwrap();
    assert_eq!(answer["success"], true);
    rig.end().await;
}

/// Scenario 42: tools that are not there, that fail, that panic.
#[tokio::test]
async fn why_a_host_tool_gave_nothing_can_be_read() {
    let Some(rig) = Rig::plain().await else { return };
    let fails = |_: Value, _: HostCaller| async { Err::<Value, _>(Error::new(ErrorKind::Conflict, "not today")) };
    let panics = |_: Value, _: HostCaller| async { if true { panic!("lost my head") } else { Ok(Value::Null) } };
    let tools = vec![HostTool::new("fails", fails), HostTool::new("panics", panics)];
    rig.hatchery.host_tools().register_all(tools).unwrap();
    for (name, said) in [("absent", "absent"), ("fails", "not today"), ("panics", "lost my head")] {
        let answer = rig.call("call_host_raw", json!({ "name": name })).await.unwrap();
        assert!(answer["error"].as_str().unwrap().contains(said), "{name}: {answer}");
    }
    let raw = json!({ "name": "fails", "session_id": "nobody's" });
    let answer = rig.call("call_host_raw", raw).await.unwrap();
    assert!(answer["error"].as_str().unwrap().contains("no such session: nobody's"), "{answer}");
    let error = rig.call("call_elixir_demo", json!({ "name": "fails" })).await.unwrap_err();
    assert_eq!(error.python_type(), Some("RuntimeError"));
    assert!(error.message().contains("not today"), "{error}");
    rig.end().await;
}

/// Pitfall 14: a worker's client takes 4 MiB, and the bytes of its own that it sends are 100 MiB at most.
#[tokio::test]
async fn a_result_that_a_worker_could_not_take_is_an_error_that_it_can_read() {
    let Some(rig) = Rig::plain().await else { return };
    let text = |arguments: Value, _: HostCaller| async move {
        Ok("x".repeat(usize::try_from(arguments["value"].as_u64().unwrap()).unwrap()))
    };
    rig.hatchery.host_tools().register(HostTool::new("long_text", text)).unwrap();
    for (length, is_taken) in [(4_000_000, true), (5_000_000, false)] {
        let answer =
            rig.call("call_host_raw", json!({ "name": "long_text", "text": length.to_string() })).await.unwrap();
        assert_eq!(answer["success"], is_taken, "{length}: {answer}");
    }
    let pids = rig.pids();
    let error = rig.call("echo", json!({ "text": "x".repeat(101 << 20) })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    rig.is_well(&pids).await;
    rig.end().await;
}

/// Scenario 43.
#[tokio::test]
async fn what_may_not_be_registered_is_refused_with_its_reason() {
    let Some(rig) = Rig::plain().await else { return };
    let long = "x".repeat(65);
    for (names, entries, length, said) in [
        (json!([""]), 0, 1, "found nothing"),
        (json!([long]), 0, 1, "found 65 bytes"),
        (json!([" a b"]), 0, 1, "found \"a b\""),
        (json!(["fine"]), 33, 1, "found 33 entries"),
        (json!(["fine"]), 2, 4000, "bytes of JSON at most"),
    ] {
        let asked = json!({ "names": names, "entries": entries, "length": length });
        let answer = rig.call("register", asked).await.unwrap();
        assert!(answer["error"].as_str().unwrap().contains(said), "{said}: {answer}");
    }
    let answer = rig.call("register", json!({ "names": ["fine"], "session_id": "nobody's" })).await.unwrap();
    assert!(answer["error"].as_str().unwrap().contains("no such session"), "{answer}");
    rig.end().await;
}

/// Pitfall 6, and 2.9: a batch is taken whole or not at all.
#[tokio::test]
async fn a_duplicate_is_called_that_and_takes_its_batch_with_it() {
    let Some(rig) = Rig::plain().await else { return };
    let answer = rig.call("register", json!({ "names": ["new"] })).await.unwrap();
    let id = answer["ids"]["new"].as_str().unwrap().to_owned();
    let session = id.strip_suffix(":new").unwrap();
    assert_eq!(answer["success"], true);
    let answer = rig.call("register", json!({ "names": ["newer", "new"] })).await.unwrap();
    assert!(answer["error"].as_str().unwrap().contains("duplicate_tool"), "{answer}");
    assert!(rig.hatchery.host_tools().get(Some(session), "new").is_ok());
    assert!(rig.hatchery.host_tools().get(Some(session), "newer").is_err());
    rig.end().await;
}

/// Pitfall 6: a threaded worker registers in each call.
#[tokio::test]
async fn one_that_registers_in_every_call_is_served_in_every_call() {
    let Some(rig) = Rig::threaded(2).await else { return };
    let pids = rig.pids();
    for _call in 0..3 {
        rig.is_well(&pids).await;
    }
    let registered = rig.hatchery.host_tools().all();
    assert_eq!(registered.iter().filter(|tool| tool.name == "ping").count(), 1);
    rig.end().await;
}

/// Pitfall 18: who registers is known by its listener.
#[tokio::test]
async fn a_tool_is_that_of_the_worker_that_registered_it() {
    let Some(rig) = two().await else { return };
    for worker in ["default-1", "default-2"] {
        let options = CallOptions::new().worker(worker);
        rig.pool.call_with::<Value>("ping", json!({}), &options).await.unwrap();
    }
    let owners: Vec<String> =
        rig.hatchery.host_tools().all().into_iter().filter(|tool| tool.name == "ping").map(owner).collect();
    assert_eq!(owners.len(), 2);
    assert!(owners.contains(&"default-1".to_owned()) && owners.contains(&"default-2".to_owned()), "{owners:?}");
    rig.end().await;
}

fn owner(tool: hatchery::HostToolInfo) -> String {
    match tool.source {
        HostToolSource::Worker { worker, .. } => worker.to_string(),
        other => panic!("{other:?}"),
    }
}

/// 11.2 number 8: what never worked there.
#[tokio::test]
async fn a_tool_of_another_worker_is_run_by_that_worker() {
    let Some(rig) = two().await else { return };
    let (first, second) = rig.shared_session().await;
    let own = rig.at(&first, "where", json!({})).await.unwrap();
    let asked = json!({ "name": "where", "session_id": "shared", "arguments": { "text": "Ω", "list": [1, null] } });
    let seen = rig.at(&second, "call_other_worker", asked).await.unwrap();
    assert_eq!(seen["result"]["pid"], own["pid"]);
    let nested = json!({ "name": "echo", "session_id": "shared", "arguments": { "value": { "a": [true, "Ω"] } } });
    let seen = rig.at(&second, "call_other_worker", nested).await.unwrap();
    assert_eq!(seen["result"], json!({ "value": { "a": [true, "Ω"] } }));
    let raising = json!({ "name": "error_demo", "session_id": "shared" });
    let error = rig.at(&second, "call_other_worker", raising).await.unwrap_err();
    assert!(error.message().contains("ValueError"), "{error}");
    rig.end().await;
}

/// Scenario 44.
#[tokio::test]
async fn a_stream_of_another_worker_is_passed_on() {
    let Some(rig) = two().await else { return };
    let (_, second) = rig.shared_session().await;
    let asked = |name: &str| json!({ "name": name, "session_id": "shared" });
    let seen = rig.at(&second, "stream_from_other_worker", asked("stream_progress")).await.unwrap();
    let steps: Vec<String> = (1..=5).map(|step| format!(r#"{{"step": {step}, "total": 5}}"#)).collect();
    let (last, chunks) = seen["chunks"].as_array().unwrap().split_last().unwrap();
    assert_eq!((chunks, last), (json!(steps).as_array().unwrap().as_slice(), &json!("")));
    let error = rig.at(&second, "stream_from_other_worker", asked("stream_raising")).await.unwrap_err();
    assert!(error.message().contains("INTERNAL") && error.message().contains("TypeError"), "{error}");
    eventually("both are free", || rig.pool.status().running == 0).await;
    rig.is_well(&rig.pids()).await;
    rig.end().await;
}

/// Scenario 44: what does not stream, and what is not there.
#[tokio::test]
async fn why_nothing_is_streamed_is_told_by_the_status() {
    let Some(rig) = two().await else { return };
    let (_, second) = rig.shared_session().await;
    let local = |_: Value, _: HostCaller| async { Ok(1) };
    rig.hatchery.host_tools().register(HostTool::new("local", local)).unwrap();
    for (name, session, code) in [
        ("local", "shared", "UNIMPLEMENTED"),
        ("ping", "shared", "UNIMPLEMENTED"),
        ("absent", "shared", "NOT_FOUND"),
        ("stream_progress", "nobody's", "NOT_FOUND"),
    ] {
        let asked = json!({ "name": name, "session_id": session });
        let error = rig.at(&second, "stream_from_other_worker", asked).await.unwrap_err();
        assert!(error.message().contains(code), "{name}: {error}");
    }
    let asked = json!({ "name": "stream_progress" });
    let error = rig.in_session("stream_from_other_worker", asked).await.unwrap_err();
    assert!(error.message().contains("FAILED_PRECONDITION"), "it would wait for itself: {error}");
    rig.end().await;
}

/// A worker that would wait for itself is told so, and waits for nobody.
#[tokio::test]
async fn a_circle_is_refused() {
    let Some(rig) = two().await else { return };
    let (first, second) = rig.shared_session().await;
    let error = rig.in_session("call_other_worker", json!({ "name": "ping" })).await.unwrap_err();
    assert!(error.message().contains("hatchery.conflict"), "{error}");
    let inner = json!({ "name": "ping" });
    let around = json!({ "name": "call_other_worker", "session_id": "shared", "arguments": inner });
    let error = rig.at(&second, "call_other_worker", around).await.unwrap_err();
    assert!(error.message().contains(&first), "{error}");
    eventually("nobody waits", || rig.pool.status().running == 0).await;
    rig.end().await;
}

/// A session's tools go with it, and a worker's with it.
#[tokio::test]
async fn tools_go_with_their_session_and_with_their_worker() {
    let Some(rig) = two().await else { return };
    rig.shared_session().await;
    let tools = rig.hatchery.host_tools();
    rig.hatchery.sessions().delete("shared");
    assert_eq!(tools.get(Some("shared"), "ping").map(drop).unwrap_err().kind(), ErrorKind::NotFound);
    let of_second =
        || tools.all().into_iter().filter(|tool| tool.name == "ping" && owner(tool.clone()) == "default-2").count();
    rig.at("default-2", "ping", json!({})).await.unwrap();
    assert_eq!(of_second(), 1);
    rig.pool.restart("default-2").unwrap();
    eventually("its tools are gone", || of_second() == 0).await;
    eventually("another is there", || rig.pool.workers()[1].state == "idle").await;
    rig.at("default-2", "ping", json!({})).await.unwrap();
    assert_eq!(of_second(), 1);
    rig.end().await;
}

/// Pitfall 2: while a host tool takes its time, its worker is answered everything else.
#[tokio::test]
async fn a_host_tool_that_takes_long_holds_up_nothing_else() {
    for (is_threaded, calls) in [(false, 1), (true, 2)] {
        let Some(app) = (if is_threaded { threaded(2) } else { app("bridge_tools.full.Full") }) else { return };
        let ms = std::time::Duration::from_millis;
        let heartbeat = hatchery::Heartbeat { interval: ms(10), while_busy: true, ..hatchery::Heartbeat::default() };
        let builder = pool(app).heartbeat(heartbeat);
        let mut rig = Rig::of(if is_threaded { builder.threads_per_worker(calls) } else { builder }).await;
        let (entered, has_entered) = tokio::sync::oneshot::channel();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let once = std::sync::Mutex::new(Some((entered, released)));
        let slow = move |_: Value, _: HostCaller| {
            let (entered, released) = once.lock().unwrap().take().unwrap();
            async move {
                entered.send(()).unwrap();
                released.await.unwrap();
                Ok("at last")
            }
        };
        rig.hatchery.host_tools().register(HostTool::new("slow", slow)).unwrap();
        let caller = rig.pool.clone();
        let call =
            tokio::spawn(async move { caller.call::<Value>("call_elixir_demo", json!({ "name": "slow" })).await });
        has_entered.await.unwrap();
        if !is_threaded {
            // A threaded worker runs its tools on the loop that would answer.
            for _answer in 0..3 {
                rig.heartbeat_answered().await;
            }
        }
        release.send(()).unwrap();
        assert_eq!(call.await.unwrap().unwrap(), json!({ "result": "at last" }));
        rig.end().await;
    }
}

#[tokio::test]
async fn a_tool_of_another_pool_is_one_of_the_hosts() {
    let (Some(one), Some(other)) = (app("bridge_tools.full.Full"), app("bridge_tools.full.Full")) else { return };
    let builder = Hatchery::builder().pool_tool("sum", "sums", "add").pool("default", one).transport(Bridge::new());
    let rig = Rig::of(builder.pool("sums", other).transport(Bridge::new())).await;
    let asked = json!({ "name": "sum", "arguments": { "a": 2, "b": 3 } });
    assert_eq!(rig.call("call_elixir_demo", asked).await.unwrap(), json!({ "result": 5.0 }));
    rig.end().await;
}

/// A worker registers whatever its adapter has. That hides no tool of the host's from those that ask for the host's.
#[tokio::test]
async fn a_tool_of_a_worker_hides_none_of_the_hosts() {
    let Some(rig) = two().await else { return };
    let of_host = |_: Value, _: HostCaller| async move { Ok("the host's") };
    rig.hatchery.host_tools().register(HostTool::new("where", of_host)).unwrap();
    let (first, second) = rig.shared_session().await;
    let own = rig.at(&first, "where", json!({})).await.unwrap();
    let found = rig.hatchery.host_tools().get(Some("shared"), "where").unwrap();
    assert!(matches!(found.source, HostToolSource::Worker { .. }), "its session's own: {found:?}");
    let answer = rig.at(&second, "call_elixir_demo", json!({ "name": "where" })).await.unwrap();
    assert_eq!(answer, json!({ "result": "the host's" }));
    let asked = json!({ "name": "where", "session_id": "shared", "arguments": {} });
    let seen = rig.at(&second, "call_other_worker", asked).await.unwrap();
    assert_eq!(seen["result"]["pid"], own["pid"], "who asks for any gets that of the session");
    rig.end().await;
}
