//! Tools of pools as host tools.

use std::path::Path;
use std::time::Duration;

use hatchery::{CallOptions, Config, ErrorKind, Hatchery, HostTool, HostToolSource, PoolTool};
use serde_json::{Value, json};

use crate::{PATIENCE, Rig, app, fixture};

fn config(host_tools: &str) -> Result<Config, hatchery::Error> {
    let text = format!(
        "[[pools]]\nname = \"default\"\napp = \"calling.py\"\n[[pools]]\nname = \"b\"\napp = \"calling.py\"\n{host_tools}"
    );
    Config::parse(&text, &fixture("apps").join("hatchery.toml"))
}

async fn start(config: &Config) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Hatchery::builder().configure(config).data_dir(dir.path().join("data"));
    let events = builder.events();
    let hatchery = tokio::time::timeout(PATIENCE, builder.start()).await.expect("starts in time").expect("starts");
    let pool = hatchery.pool("default").unwrap();
    Rig { hatchery, pool, events, dir }
}

#[tokio::test]
async fn a_call_of_it_is_part_of_its_callers_but_of_no_session() {
    let rig = start(&config("[[host_tools]]\nname = \"where\"\npool = \"b\"\ntool = \"context\"\n").unwrap()).await;
    let b = rig.hatchery.pool("b").unwrap();
    b.await_ready(PATIENCE).await.unwrap();
    let seen: Value = rig.pool.call("seen", json!({})).await.unwrap();
    assert_eq!(seen, json!([["where", "What came along with the call.", []]]), "it says what the app says");
    let options = CallOptions::new().timeout(Duration::from_secs(20)).correlation_id("c-1").session("s");
    let there: Value = rig.pool.call_with("relay", json!({"name": "where", "args": {}}), &options).await.unwrap();
    assert_eq!((&there["session"], &there["correlation_id"]), (&Value::Null, &json!("c-1")));
    assert!((1.0..20.0).contains(&there["time_left"].as_f64().unwrap()), "{there}");
    let info = rig.hatchery.host_tools().get(None, "where").unwrap();
    assert_eq!(info.source, HostToolSource::Pool { pool: "b".into(), tool: "context".into() });
    rig.end().await;
}

#[tokio::test]
async fn its_own_timeout_goes_before_a_longer_one() {
    let slow = |timeout| {
        let mut slow = PoolTool::new("slow", "b", "sleeps");
        slow.timeout = timeout;
        slow
    };
    let builder =
        Hatchery::builder().with_pool_tool(slow(Some(Duration::from_millis(200)))).pool("b", app("calling.py"));
    let rig = Rig::of(builder.done().pool("default", app("calling.py"))).await;
    let late: Value = rig.pool.call("tried", json!({"name": "slow", "args": {"seconds": 20}})).await.unwrap();
    assert_eq!(late["kind"], "deadline", "{late}");
    rig.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_starts() {
    let wrong = |text: &str| config(text).unwrap_err().message().to_owned();
    let path = Path::new(&fixture("apps")).join("hatchery.toml").display().to_string();
    assert_eq!(
        wrong("[[host_tools]]\nname = \"x\"\npool = \"defualt\"\ntool = \"t\"\n"),
        format!("{path}:9: host_tools[0].pool: no such pool: defualt (did you mean `default`?)")
    );
    assert_eq!(
        wrong("[[host_tools]]\nname = \"x\"\npool = \"b\"\n"),
        format!("{path}:7: host_tools[0]: expected a `tool`")
    );
    assert!(
        wrong("[[host_tools]]\nname = \"-\"\npool = \"b\"\ntool = \"t\"\n")
            .contains("host_tools[0].name: expected a name")
    );
    let twice = "[[host_tools]]\nname = \"x\"\npool = \"b\"\ntool = \"t\"\n".repeat(2);
    assert!(wrong(&twice).contains("host_tools[1].name: expected a name of its own"));
    for builder in [
        Hatchery::builder().pool_tool("x", "b", "t"),
        Hatchery::builder().pool_tool("x", "a", "t").pool_tool("x", "a", "u"),
        Hatchery::builder().pool_tool(" a b", "a", "t"),
    ] {
        let refused = builder.pool("a", app("calling.py")).start().await.err().unwrap();
        assert!(matches!(refused.kind(), ErrorKind::Validation | ErrorKind::Conflict), "{refused}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_read_anew_changes_them_at_once_or_not_at_all() {
    let one = "[[host_tools]]\nname = \"one\"\npool = \"b\"\ntool = \"types\"\n";
    let two = one.replace("one", "two");
    let rig = start(&config(&format!("{one}{two}")).unwrap()).await;
    let names = || rig.hatchery.host_tools().all().into_iter().map(|tool| tool.name).collect::<Vec<_>>();
    let changed = format!("{}{}", one.replace("types", "context"), one.replace("one", "three"));
    let report = rig.hatchery.reconfigure(&config(&changed).unwrap()).unwrap();
    assert_eq!(report.applied, ["host_tools.one", "host_tools.three", "host_tools.two"]);
    assert_eq!(names(), ["one", "three"]);
    let there: Value = rig.pool.call("tried", json!({"name": "one", "args": {}})).await.unwrap();
    assert!(there["value"]["correlation_id"].is_string(), "{there}");
    rig.hatchery.host_tools().register(HostTool::new("taken", |_: Value, _| async { Ok(()) })).unwrap();
    let clashes = format!("{changed}{}", one.replace("one", "taken"));
    assert_eq!(rig.hatchery.reconfigure(&config(&clashes).unwrap()).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(names(), ["one", "taken", "three"]);
    let elsewhere =
        format!("{changed}[[pools]]\nname = \"c\"\napp = \"calling.py\"\n{}", two.replace("\"b\"", "\"c\""));
    let report = rig.hatchery.reconfigure(&config(&elsewhere).unwrap()).unwrap();
    let waiting: Vec<&str> = report.needs_restart.iter().map(|key| key.key.as_str()).collect();
    assert_eq!((report.applied.len(), waiting), (0, vec!["pools.c", "host_tools.two"]));
    rig.end().await;
}
