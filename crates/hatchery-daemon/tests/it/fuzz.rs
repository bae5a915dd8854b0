//! Random requests, made from the description of the interface: right ones, wrong ones and hostile ones. Whatever is sent, the answer
//! is one that the description has: never an internal error, and the daemon lives on.

mod requests;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Answer, ask, get, post};
use crate::fuzz::requests::{Chance, Operation, Sent, operations};
use crate::rig::{Rig, ours};
use crate::schema::problems;

/// For each operation. Said otherwise, `HATCHERY_FUZZ_REQUESTS` has the number, and `HATCHERY_FUZZ_SEED` the seed.
const REQUESTS: u64 = 12;

fn said(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::test]
async fn whatever_is_asked_the_answer_is_one_that_is_described() {
    let seed = said("HATCHERY_FUZZ_SEED", u64::from(std::process::id()));
    eprintln!("HATCHERY_FUZZ_SEED={seed}");
    let rig = Rig::of(ours()).await;
    let description = get(rig.address, "/openapi.json").await.json();
    let (mut chance, mut seen) = (Chance::new(seed), BTreeMap::<u16, u64>::new());
    for operation in operations(&description) {
        // It would end what is tested.
        if operation.name == "stop" {
            continue;
        }
        for _ in 0..said("HATCHERY_FUZZ_REQUESTS", REQUESTS) {
            let sent = operation.request(&mut chance);
            let answer = answered(&rig, &operation, &sent).await;
            *seen.entry(answer.status).or_default() += 1;
            held_to(&description, &operation, &sent, &answer);
        }
    }
    eprintln!("{seen:?}");
    for status in [200, 400, 404] {
        assert!(seen.contains_key(&status), "no request of all had an answer of {status}: {seen:?}");
    }
    lives_on(&rig).await;
    rig.end().await;
}

/// Events have no end: their first words do.
async fn answered(rig: &Rig, operation: &Operation, sent: &Sent) -> Answer {
    let request = sent.request();
    if operation.name != "events" {
        return ask(rig.address, request).await;
    }
    let response = crate::client::open(rig.address, request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = if head.status.is_success() {
        bytes::Bytes::new()
    } else {
        http_body_util::BodyExt::collect(body).await.unwrap().to_bytes()
    };
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

#[track_caller]
fn held_to(description: &Value, operation: &Operation, sent: &Sent, answer: &Answer) {
    let what = || format!("{} {sent:?}\nwas answered {answer:?}", operation.name);
    let is_honest = answer.status < 500 || matches!(answer.status, 503 | 504);
    assert!(is_honest, "{}", what());
    if answer.header("content-encoding") == "gzip" {
        return;
    }
    if answer.status == 200 {
        let is_json = answer.header("content-type").starts_with("application/json");
        if let Some(schema) = operation.answer.as_ref().filter(|_| is_json) {
            let found = problems(description, schema, &answer.json());
            assert!(found.is_empty(), "{found:?}\n{}", what());
        }
        return;
    }
    // A head that is no HTTP is answered before anybody of ours reads it.
    if answer.status == 431 || (answer.status == 400 && answer.body.is_empty() && sent.is_hostile_head) {
        return;
    }
    assert_eq!(answer.header("content-type"), "application/json", "{}", what());
    let schema = &description["components"]["schemas"]["Error"];
    let found = problems(description, schema, &answer.json());
    assert!(found.is_empty(), "{found:?}\n{}", what());
}

/// Whatever was ordered meanwhile.
async fn lives_on(rig: &Rig) {
    post(rig.address, "/v1/pools/default/resume", "").await;
    post(rig.address, "/v1/pools/default/scale", r#"{"workers": 1}"#).await;
    let reply = post(rig.address, "/v1/pools/default/call/long_text", r#"{"size": 3}"#).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "\"xxx\""));
}
