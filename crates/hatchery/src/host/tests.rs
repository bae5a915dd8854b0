use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::session::{SessionSettings, Sessions};

fn double() -> HostTool {
    HostTool::new("double", |arguments: BTreeMap<String, i64>, _| async move { Ok(arguments["n"] * 2) })
}

fn constant(name: &str, answer: &'static str) -> HostTool {
    HostTool::new(name, move |_: Value, _| async move { Ok(answer) })
}

fn of_worker(name: &str, worker: &str, generation: u64) -> HostTool {
    let worker = worker.to_owned();
    constant(name, "far").source(HostToolSource::Worker { pool: "p".into(), worker, generation })
}

fn tools() -> HostTools {
    let tools = HostTools::new(HostToolLimits::default());
    tools.register(double()).unwrap();
    tools
}

fn with_sessions() -> (HostTools, Sessions) {
    let (tools, sessions) = (tools(), Sessions::in_memory(SessionSettings::default()).unwrap());
    tools.know_sessions(sessions.births());
    sessions.on_end(tools.session_ended());
    (tools, sessions)
}

fn nothing() -> Payload {
    Payload::from_json(json!({})).unwrap()
}

async fn said(tools: &HostTools, name: &str, session: &str) -> String {
    tools.execute(name, nothing(), HostCaller::new().session(session)).await.unwrap().decode().unwrap()
}

fn reason(error: &Error) -> (ErrorKind, &str) {
    (error.kind(), error.details().unwrap()["reason"].as_str().unwrap())
}

#[tokio::test]
async fn a_host_tool_takes_and_gives_typed_values() {
    let arguments = Payload::from_json(json!({"n": 21})).unwrap();
    let answer = tools().execute("double", arguments, HostCaller::new()).await.unwrap();
    assert_eq!(answer.decode::<i64>().unwrap(), 42);
}

#[tokio::test]
async fn an_unknown_name_and_wrong_arguments_are_typed_errors() {
    let missing = tools().execute("duble", nothing(), HostCaller::new().session("s")).await.unwrap_err();
    assert_eq!(missing.message(), "no such host tool: duble (did you mean `double`?)");
    assert_eq!(reason(&missing), (ErrorKind::NotFound, "tool_not_found"));
    assert_eq!(missing.details().unwrap()["session"], "s");
    let arguments = Payload::from_json(json!({"n": "x"})).unwrap();
    let wrong = tools().execute("double", arguments, HostCaller::new()).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Validation);
}

#[test]
fn each_wrong_name_is_refused_for_its_own_reason() {
    let long = "x".repeat(65);
    for (name, why) in [
        ("", "empty"),
        ("  ", "empty"),
        (&long, "too_long"),
        (" a b", "invalid_format"),
        ("-a", "invalid_format"),
        ("ä", "invalid_format"),
    ] {
        let refused = tools().register(constant(name, "")).unwrap_err();
        assert_eq!(reason(&refused), (ErrorKind::Validation, why), "{name:?}");
    }
    let tools = tools();
    for good in ["a", "0", &long[1..], " padded ", "a.b-c_d"] {
        tools.register(constant(good, "")).unwrap();
        assert_eq!(tools.get(None, good).unwrap().name, good.trim());
    }
}

#[test]
fn metadata_is_bounded_in_entries_and_in_bytes() {
    let entries =
        |count: usize, value: &str| (0..count).fold(constant("t", ""), |tool, n| tool.metadata(format!("k{n}"), value));
    assert!(tools().register(entries(32, "v")).is_ok());
    assert_eq!(reason(&tools().register(entries(33, "v")).unwrap_err()), (ErrorKind::Validation, "too_many_entries"));
    // {"k0":"…"} is nine bytes around the value.
    assert!(tools().register(entries(1, &"v".repeat(4087))).is_ok());
    assert_eq!(
        reason(&tools().register(entries(1, &"v".repeat(4088))).unwrap_err()),
        (ErrorKind::Validation, "too_large")
    );
}

#[test]
fn a_batch_is_registered_as_a_whole_or_not_at_all() {
    let tools = tools();
    let refused = tools.register_all(vec![constant("a", ""), double(), constant("b", "")]).unwrap_err();
    assert_eq!(
        (reason(&refused), refused.message()),
        ((ErrorKind::Conflict, "duplicate_tool"), "there are two host tools `double`")
    );
    assert!(tools.register_all(vec![constant("a", ""), constant(" a", "")]).is_err());
    assert_eq!(tools.all().len(), 1);
    tools.register_all(vec![constant("a", ""), constant("b", "")]).unwrap();
    assert_eq!(tools.all().len(), 3);
}

#[tokio::test]
async fn a_sessions_own_tool_comes_before_a_global_one_and_goes_with_it() {
    let (tools, sessions) = with_sessions();
    tools.register(constant("who", "everybody")).unwrap();
    let refused = tools.register(constant("who", "me").session("s")).unwrap_err();
    assert_eq!(reason(&refused), (ErrorKind::NotFound, "session_not_found"));
    sessions.create("s").unwrap();
    tools.register(constant("who", "me").session("s")).unwrap();
    assert_eq!((said(&tools, "who", "s").await, said(&tools, "who", "t").await), ("me".into(), "everybody".into()));
    let names = |session| tools.list(session).into_iter().map(|tool| (tool.name, tool.session)).collect::<Vec<_>>();
    assert_eq!(names(Some("s")), [("double".into(), None), ("who".into(), Some("s".into()))]);
    sessions.delete("s");
    assert_eq!(said(&tools, "who", "s").await, "everybody");
    assert_eq!(tools.all().len(), 2);
}

#[tokio::test]
async fn a_session_whose_time_is_over_has_no_tools() {
    let (tools, sessions) = with_sessions();
    sessions.create_with("s", |session| session.ttl = Some(Duration::from_millis(20))).unwrap();
    tools.register(constant("mine", "").session("s")).unwrap();
    while sessions.exists("s") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(tools.get(Some("s"), "mine").is_err() && tools.all().len() == 1);
    sessions.create("s").unwrap();
    assert!(tools.get(Some("s"), "mine").is_err(), "the next of this name has none of it");
}

#[test]
fn tools_of_a_worker_go_with_its_life_and_may_be_of_sessions_that_only_it_knows() {
    let (tools, sessions) = with_sessions();
    sessions.create("s").unwrap();
    tools
        .register_all(vec![
            of_worker("one", "p-1", 1).session("session_7_1"),
            of_worker("two", "p-1", 1).session("s"),
            of_worker("three", "p-1", 1),
            of_worker("four", "p-1", 2),
            of_worker("five", "p-2", 1),
        ])
        .unwrap();
    drop(tools.of_life(&WorkerId::read("p-1"), 1));
    let left: Vec<String> = tools.all().into_iter().map(|tool| tool.name).collect();
    assert_eq!(left, ["double", "five", "four"]);
}

#[tokio::test]
async fn what_is_not_exposed_is_not_there_for_a_worker() {
    let tools = tools();
    tools.register(constant("secret", "s").exposed(false)).unwrap();
    let worker = HostCaller::new().on_behalf_of("p-1", 1, Some(7));
    let refused = tools.execute("secret", nothing(), worker).await.unwrap_err();
    assert_eq!(refused.message(), "no such host tool: secret");
    assert!(tools.specs(None).iter().all(|spec| spec.name != "secret"));
    assert!(tools.execute("secret", nothing(), HostCaller::new()).await.is_ok());
}

#[tokio::test]
async fn a_tool_lasts_no_longer_than_its_caller_waits_and_hands_down_what_it_was_given() {
    let tools = tools();
    let hangs = HostTool::new("hangs", |_: Value, caller: HostCaller| async move {
        let options = caller.options();
        assert!(options.timeout.is_some_and(|left| left <= Duration::from_millis(30)) && options.errand.is_some());
        assert_eq!((options.correlation_id.as_deref(), options.session), (Some("c"), None));
        std::future::pending::<Result<()>>().await
    });
    tools.register(hangs).unwrap();
    let caller = HostCaller::new().on_behalf_of("p-1", 1, Some(7)).session("s").correlation_id("c");
    let caller = caller.deadline(Instant::now() + Duration::from_millis(30));
    let late = tools.execute("hangs", nothing(), caller).await.unwrap_err();
    assert_eq!((late.kind(), late.message()), (ErrorKind::Deadline, "deadline passed while host tool hangs ran"));
}

#[test]
fn limits_hold_for_a_session_and_for_all() {
    let tools = HostTools::new(HostToolLimits { per_session: 2, total: 3 });
    let mine = |name: &str| of_worker(name, "p-1", 1).session("s");
    tools.register_all(vec![mine("a"), mine("b")]).unwrap();
    assert_eq!(reason(&tools.register(mine("c")).unwrap_err()), (ErrorKind::Limit, "too_many_tools"));
    tools.register(double()).unwrap();
    assert_eq!(reason(&tools.register(constant("d", "")).unwrap_err()), (ErrorKind::Limit, "too_many_tools"));
    tools.unregister(Some("s"), "a").unwrap();
    tools.register(constant("d", "")).unwrap();
    let missing = tools.unregister(Some("s"), "doble").unwrap_err();
    assert_eq!(reason(&missing), (ErrorKind::NotFound, "tool_not_found"));
}

#[test]
fn a_tool_that_holds_the_registry_can_be_dropped_in_any_way() {
    struct Nosy(HostTools);
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.remove_session("whatever");
        }
    }
    let tools = tools();
    let nosy = |name: &str| {
        let nosy = Nosy(tools.clone());
        HostTool::new(name, move |_: Value, _| std::future::ready(Ok(nosy.0.all().len())))
            .source(HostToolSource::Worker { pool: "p".into(), worker: "p-1".into(), generation: 1 })
            .session("s")
    };
    assert!(tools.register_all(vec![nosy("a"), nosy("a")]).is_err());
    tools.register_all(vec![nosy("a"), nosy("b"), nosy("c")]).unwrap();
    tools.unregister(Some("s"), "a").unwrap();
    assert_eq!(tools.remove_worker("p-1", 1), 2);
    tools.register(nosy("d")).unwrap();
    tools.clear();
    assert!(tools.all().is_empty());
}

#[test]
fn many_threads_register_and_each_name_is_had_once() {
    let (tools, sessions) = with_sessions();
    sessions.create("s").unwrap();
    let won: usize = std::thread::scope(|scope| {
        let register = |n: usize| {
            let tools = tools.clone();
            move || {
                (0..50)
                    .filter(|i| tools.register(constant(&format!("t{}", (i + n) % 50), "").session("s")).is_ok())
                    .count()
            }
        };
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(register(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((won, tools.list(Some("s")).len()), (50, 51));
    sessions.delete("s");
    assert_eq!(tools.all().len(), 1);
}

proptest! {
    /// Held against a set of pairs.
    #[test]
    fn the_table_is_what_was_registered_and_not_taken_away(
        steps in proptest::collection::vec((0..6u8, 0..3usize, 0..4usize, 0..3u64), 0..80)
    ) {
        let tools = HostTools::new(HostToolLimits { per_session: 3, total: 6 });
        let mut model: HashMap<(Option<usize>, usize), u64> = HashMap::new();
        for (what, scope, name, life) in steps {
            let scope = scope.checked_sub(1);
            let session = scope.map(|number| format!("s{number}"));
            match what {
                0..=2 => {
                    let tool = of_worker(&format!("t{name}"), "p-1", life);
                    let tool = session.clone().into_iter().fold(tool, HostTool::session);
                    let in_session = model.keys().filter(|(of, _)| *of == scope).count();
                    let fits = model.len() < 6 && (scope.is_none() || in_session < 3) && !model.contains_key(&(scope, name));
                    prop_assert_eq!(tools.register(tool).is_ok(), fits);
                    if fits {
                        model.insert((scope, name), life);
                    }
                }
                3 => {
                    let is_there = model.remove(&(scope, name)).is_some();
                    prop_assert_eq!(tools.unregister(session.as_deref(), &format!("t{name}")).is_ok(), is_there);
                }
                4 => {
                    let before = model.len();
                    model.retain(|_, of| *of != life);
                    prop_assert_eq!(tools.remove_worker("p-1", life), before - model.len());
                }
                _ => if let Some(session) = &session {
                    let before = model.len();
                    model.retain(|(of, _), _| *of != scope);
                    prop_assert_eq!(tools.remove_session(session), before - model.len());
                },
            }
            let there: BTreeSet<_> = tools.all().into_iter().map(|tool| (tool.session, tool.name)).collect();
            let wanted = model.keys().map(|(of, name)| (of.map(|number| format!("s{number}")), format!("t{name}"))).collect();
            prop_assert_eq!(there, wanted);
            for session in [None, Some("s0"), Some("s1")] {
                let seen = tools.list(session).into_iter().map(|tool| tool.name).collect::<BTreeSet<_>>();
                let of = |of: &Option<usize>| of.is_none() || of.map(|number| format!("s{number}")).as_deref() == session;
                let wanted = model.keys().filter(|(scope, _)| of(scope)).map(|(_, name)| format!("t{name}")).collect();
                prop_assert_eq!(seen, wanted);
            }
        }
    }
}

#[tokio::test]
async fn a_tool_streams_if_it_says_how() {
    let tools = tools();
    let plain = |_: Value, _: HostCaller| async { Ok(1) };
    let begin = |_: Payload, _: HostCaller| -> Result<crate::tool::ToolItems> {
        Err(Error::new(ErrorKind::Conflict, "not now"))
    };
    let panics = |_: Payload, _: HostCaller| -> Result<crate::tool::ToolItems> { panic!("lost my head") };
    tools.register(HostTool::new("plain", plain)).unwrap();
    tools.register(HostTool::new("streams", plain).streams(begin)).unwrap();
    tools.register(HostTool::new("panics", plain).streams(panics)).unwrap();
    for (name, kind, said) in [
        ("plain", ErrorKind::Unavailable, "host tool plain does not stream: execute it"),
        ("streams", ErrorKind::Conflict, "not now"),
        ("panics", ErrorKind::Internal, "host tool panics panicked: lost my head"),
        ("absent", ErrorKind::NotFound, "no such host tool: absent"),
    ] {
        let error = tools.stream(name, Payload::null(), HostCaller::new()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, said));
    }
}

#[tokio::test]
async fn what_a_worker_registers_hides_nothing_from_those_that_ask_for_the_hosts() {
    let (tools, sessions) = with_sessions();
    sessions.create("s").unwrap();
    tools.register(constant("where", "here")).unwrap();
    tools.register(of_worker("where", "p-1", 1).session("s")).unwrap();
    tools.register(of_worker("other", "p-1", 1).session("s")).unwrap();
    let caller = || HostCaller::new().on_behalf_of("p-2", 1, None).session("s");
    assert_eq!(said(&tools, "where", "s").await, "far");
    let answer = tools.execute("where", nothing(), caller().hosts_tools_only()).await.unwrap();
    assert_eq!(answer.decode::<String>().unwrap(), "here");
    let missing = tools.execute("other", nothing(), caller().hosts_tools_only()).await.unwrap_err();
    assert_eq!(reason(&missing), (ErrorKind::NotFound, "tool_not_found"));
    let names = |caller: HostCaller| tools.seen_by(&caller).into_iter().map(|tool| tool.name).collect::<Vec<_>>();
    assert_eq!(names(caller().hosts_tools_only()), ["double", "where"]);
    assert_eq!(names(caller()), ["double", "other", "where"]);
    tools.register(constant("hidden", "x").exposed(false).session("s")).unwrap();
    tools.register(constant("hidden", "y")).unwrap();
    assert!(!names(caller().hosts_tools_only()).contains(&"hidden".to_owned()), "what hides is the host's, too");
}
