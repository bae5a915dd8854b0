//! Tools of one session.

use hatchery::{Hatchery, HostTool};
use serde_json::{Value, json};

use crate::{Rig, app};

fn constant(name: &str, answer: &'static str) -> HostTool {
    HostTool::new(name, move |_: Value, _| async move { Ok(answer) })
}

#[tokio::test]
async fn a_session_sees_its_own_tools_and_they_go_with_it() {
    let builder = Hatchery::builder().with_host_tool(constant("who", "everybody")).pool("default", app("calling.py"));
    let rig = Rig::of(builder.workers(2)).await;
    let (tools, sessions) = (rig.hatchery.host_tools(), rig.hatchery.sessions());
    sessions.create("s").unwrap();
    tools.register_all(vec![constant("who", "me").session("s"), constant("more", "").session("s")]).unwrap();
    let who = json!({"name": "who", "args": {}});
    assert_eq!(rig.pool.session("s").call::<String>("relay", &who).await.unwrap(), "me");
    assert_eq!(rig.pool.session("t").call::<String>("relay", &who).await.unwrap(), "everybody");
    assert_eq!(rig.pool.call::<String>("relay", &who).await.unwrap(), "everybody");
    let names = |seen: Value| seen.as_array().unwrap().iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let seen = rig.pool.session("s").call::<Value>("seen", json!({})).await.unwrap();
    assert_eq!(names(seen), ["more", "who"]);
    assert_eq!(names(rig.pool.call::<Value>("seen", json!({})).await.unwrap()), ["who"]);
    assert!(sessions.delete("s"));
    assert_eq!(tools.all().len(), 1);
    assert_eq!(rig.pool.session("s").call::<String>("relay", &who).await.unwrap(), "everybody");
    rig.end().await;
}

/// Registered and taken away by many threads, while workers call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_come_and_go_while_workers_call() {
    let rig =
        Rig::of(Hatchery::builder().with_host_tool(constant("always", "there")).pool("default", app("calling.py")))
            .await;
    rig.hatchery.sessions().create("s").unwrap();
    let churn = |thread: usize| {
        let tools = rig.hatchery.host_tools().clone();
        std::thread::spawn(move || {
            let (own, contested) = (format!("own-{thread}"), "contested".to_owned());
            let mut won = 0;
            for _ in 0..200 {
                tools.register(constant(&own, "").session("s")).unwrap();
                if tools.register(constant(&contested, "").session("s")).is_ok() {
                    won += 1;
                    tools.unregister(Some("s"), &contested).unwrap();
                }
                tools.unregister(Some("s"), &own).unwrap();
            }
            won
        })
    };
    let threads: Vec<_> = (0..8).map(churn).collect();
    for _ in 0..30 {
        let answer: String = rig.pool.session("s").call("relay", json!({"name": "always", "args": {}})).await.unwrap();
        assert_eq!(answer, "there");
    }
    let won: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(won > 0);
    assert_eq!(rig.hatchery.host_tools().list(Some("s")).len(), 1);
    rig.end().await;
}
