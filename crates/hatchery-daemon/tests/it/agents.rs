//! Agents through the daemon, with one that does what it is told.

use hyper::Request;
use serde_json::{Value, json};

use crate::client::{Reply, get, post, send};
use crate::rig::{Rig, basics};

const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../hatchery/tests/fixtures/agents/fake_agent.py");

/// One that takes these steps.
fn fake(stdin: &str, steps: &[&str]) -> Value {
    let command: Vec<&str> = ["python3", FAKE, "--do"].into_iter().chain(steps.iter().copied()).collect();
    json!({ "command": command, "adapter": "stream-json", "stdin": stdin, "labels": { "team": "a" } })
}

async fn started(rig: &Rig, wish: &Value) -> String {
    let reply = post(rig.address, "/v1/agents", wish.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["run"].as_str().unwrap().to_owned()
}

async fn order(rig: &Rig, run: &str, order: &str, body: Value) -> Reply {
    post(rig.address, &format!("/v1/agents/{run}/{order}"), body.to_string()).await
}

/// Ids, names and data of server-sent events.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| {
        let lines = event.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
        lines.collect::<String>()
    };
    let told = text.split("\n\n").filter(|event| !event.starts_with(':') && !event.is_empty());
    told.map(|event| (field(event, "id"), field(event, "event"), field(event, "data").parse().unwrap())).collect()
}

#[tokio::test]
async fn a_conversation_is_held_followed_and_taken_up_where_it_was_left() {
    let rig = Rig::of(basics()).await;
    let run = started(&rig, &fake("conversation", &["turns"])).await;
    for text in ["one", "two"] {
        assert_eq!(order(&rig, &run, "turns", json!({ "text": text })).await.json(), json!({ "sent": true }));
    }
    assert_eq!(order(&rig, &run, "turns/end", json!({})).await.json(), json!({ "sent": true }));
    let all = events(&get(rig.address, &format!("/v1/agents/{run}/events")).await.text);
    let (last, said) = all.split_last().unwrap();
    assert_eq!(
        (&*last.1, &last.2["outcome"]["kind"], &last.2["outcome"]["turns"]),
        ("end", &json!("completed"), &json!(2))
    );
    assert_eq!(said.len(), 6, "{said:?}");
    assert!(
        said.iter()
            .enumerate()
            .all(|(n, (id, name, data))| { *id == (n + 1).to_string() && name == "stdout" && data["seq"] == n + 1 })
    );
    let path = format!("/v1/agents/{run}/events");
    let again = Request::get(&path).header("Last-Event-ID", "4").body(String::new()).unwrap();
    assert_eq!(events(&send(rig.address, again).await.text), all[4..]);
    assert_eq!(events(&get(rig.address, &format!("{path}?from=6")).await.text), all[5..]);
    assert_eq!(get(rig.address, &format!("/v1/agents/{run}/wait")).await.json(), last.2);
    let shown = get(rig.address, &format!("/v1/agents/{run}")).await.json();
    assert_eq!((&shown["state"], &shown["outcome"]["kind"]), (&json!("exited"), &json!("completed")));
    order(&rig, &run, "turns", json!({ "text": "late" })).await.fails(404, "not_found", "no such live agent run");
    rig.end().await;
}

#[tokio::test]
async fn what_it_asks_is_answered_and_what_it_does_is_interrupted_and_stopped() {
    let rig = Rig::of(basics()).await;
    let run = started(&rig, &fake("conversation", &["init", "ask=r1", "work", "turns"])).await;
    let shown = async || get(rig.address, &format!("/v1/agents/{run}")).await.json();
    while shown().await["state"] != "waiting_input" {
        tokio::task::yield_now().await;
    }
    let answer = json!({ "request": "r1", "answer": "allow" });
    assert_eq!(order(&rig, &run, "answers", answer.clone()).await.json(), json!({ "sent": true }));
    order(&rig, &run, "answers", answer).await.fails(404, "not_found", "r1");
    assert_eq!(order(&rig, &run, "interrupt", json!({})).await.json(), json!({ "sent": true }));
    while shown().await["state"] != "idle" {
        tokio::task::yield_now().await;
    }
    let live = get(rig.address, "/v1/agents?label=team=a").await.json();
    assert_eq!((live.as_array().unwrap().len(), &live[0]["run"]), (1, &json!(run)));
    assert_eq!(get(rig.address, "/v1/agents?label=team=b").await.json(), json!([]));
    let stopped = order(&rig, &run, "stop", json!({})).await.json();
    assert_eq!((&stopped["run"], &stopped["outcome"]["kind"]), (&json!(run), &json!("stopped")));
    assert_eq!(get(rig.address, "/v1/agents").await.json(), json!([]));
    // It is written down a little later.
    while get(rig.address, "/v1/agents?all=true").await.json()[0]["outcome"]["kind"] != "stopped" {
        tokio::task::yield_now().await;
    }
    rig.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_wish_is_said() {
    let rig = Rig::of(basics()).await;
    for (wish, status, kind, said) in [
        (json!({}), 400, "validation", "missing field `command`"),
        (json!({ "command": [] }), 400, "validation", "command: expected a program"),
        (json!({ "command": ["true"], "cwd": "here" }), 400, "validation", "cwd: expected an absolute path"),
        (json!({ "command": ["true"], "limits": { "turn": "soon" } }), 400, "validation", "limits.turn"),
        (json!({ "command": ["true"], "shell": true }), 400, "validation", "unknown field `shell`"),
        (json!({ "command": ["true"], "adapter": "stream-jsno" }), 404, "not_found", "stream-json"),
    ] {
        post(rig.address, "/v1/agents", wish.to_string()).await.fails(status, kind, said);
    }
    get(rig.address, "/v1/agents/nobody").await.fails(404, "not_found", "nobody");
    get(rig.address, "/v1/agents/nobody/events").await.fails(404, "not_found", "nobody");
    rig.end().await;
}
