//! Workers that are forked from a template, with real processes.

use std::collections::BTreeSet;

use hatchery::{Hatchery, PoolEvent};
use serde::Deserialize;
use serde_json::json;

use super::{Rig, app};

#[derive(Debug, Deserialize)]
struct Facts {
    forked: bool,
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    mark: [u64; 2],
    worker: String,
    template: Option<String>,
    folder: String,
    arguments: Vec<String>,
    blocked: String,
    descriptors: Vec<i32>,
}

#[tokio::test]
async fn workers_are_forked_and_differ_in_nothing_from_cold_ones() {
    let rig = Rig::of(Hatchery::builder().pool("default", app("forked.py")).workers(1)).await;
    let forked: Facts = rig.pool.call("facts", json!({})).await.unwrap();
    println!("{forked:?}");
    assert!(forked.forked);
    let cold = Rig::of(Hatchery::builder().pool("default", app("forked.py")).workers(1).template(false)).await;
    let cold_facts: Facts = cold.pool.call("facts", json!({})).await.unwrap();
    println!("{cold_facts:?}");
    rig.end().await;
    cold.end().await;
}
