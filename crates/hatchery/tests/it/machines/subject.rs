//! What runs on a machine that lacks something: a program that starts a hatchery, calls it, and says what it was told.

use std::path::PathBuf;
use std::time::Duration;

use hatchery::{DoctorOptions, Error, Event, Events, Hatchery, RunEvent, doctor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{PATIENCE, app};

/// Begins the line that it says.
pub(super) const SAID: &str = "SUBJECT ";

/// Set for a subject that is to refuse where it cannot write things down.
pub(super) const REQUIRE: &str = "SUBJECT_REQUIRES_REGISTRY";

/// Where it keeps its data, if not in `$DIR/data`.
pub(super) const DATA: &str = "SUBJECT_DATA";

/// A line of the shell that takes something away while the hatchery runs. A worker is replaced after it, and a loss waited for.
pub(super) const LATER: &str = "SUBJECT_LATER";

/// What was seen.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Seen {
    /// How it failed.
    pub(super) error: Option<String>,
    /// Whether a call was answered.
    pub(super) works: bool,
    pub(super) promise: String,
    /// Every layer of the guarantee, in words.
    pub(super) layers: Vec<String>,
    /// What the events said was lost: layer and message.
    pub(super) lost: Vec<(String, String)>,
    /// The doctor's findings.
    pub(super) checks: Vec<Finding>,
    /// How many entries of the registry can be read while it runs, or why not.
    pub(super) entries: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) message: String,
    pub(super) hint: String,
}

/// The subject's whole life.
#[tokio::test]
#[ignore = "run by the tests of this module, each on a machine of its own"]
async fn subject() {
    let mut seen = Seen { checks: findings(), ..Seen::default() };
    let mut builder = Hatchery::builder()
        .pool("default", app("basics.py"))
        .data_dir(data_dir())
        .sweep_every(Duration::from_millis(50))
        .require_registry(std::env::var_os(REQUIRE).is_some());
    let mut events = builder.events();
    if let Err(error) = live(builder, &mut events, &mut seen).await {
        seen.error = Some(error.to_string());
    }
    // To the last one: the hatchery is gone.
    while let Some(loss) = next_loss(&mut events).await {
        seen.lost.push(loss);
    }
    println!("\n{SAID}{}", serde_json::to_string(&seen).unwrap());
}

fn data_dir() -> PathBuf {
    let default = || PathBuf::from(std::env::var_os("DIR").unwrap()).join("data");
    std::env::var_os(DATA).map_or_else(default, PathBuf::from)
}

async fn live(builder: hatchery::PoolBuilder, events: &mut Events, seen: &mut Seen) -> Result<(), Error> {
    let hatchery = builder.start().await?;
    let pool = hatchery.pool("default")?;
    if let Some(line) = std::env::var_os(LATER) {
        take_away(&line);
        let _it_dies: Result<Value, Error> = pool.call("die", json!({})).await;
        let loss = tokio::time::timeout(PATIENCE, next_loss(events)).await;
        seen.lost.extend(loss.expect("a loss is told"));
    }
    seen.works = pool.call::<u64>("echo", json!({"value": 7})).await? == 7;
    seen.entries = hatchery::registry_entries(&data_dir()).map_or_else(|e| e.to_string(), |all| all.len().to_string());
    let guarantee = hatchery.guarantee();
    seen.promise = guarantee.promise().to_owned();
    seen.layers = guarantee.layers().iter().map(ToString::to_string).collect();
    hatchery.shutdown_within(Duration::from_secs(10)).await
}

#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn take_away(line: &std::ffi::OsStr) {
    let status = std::process::Command::new("sh").arg("-c").arg(line).status().unwrap();
    assert!(status.success(), "{line:?}");
}

async fn next_loss(events: &mut Events) -> Option<(String, String)> {
    loop {
        if let Event::Run(RunEvent::LayerLost { layer, message }) = events.next().await? {
            return Some((layer.to_owned(), message));
        }
    }
}

fn findings() -> Vec<Finding> {
    let options = DoctorOptions { data_dir: Some(data_dir()), ..DoctorOptions::default() };
    let finding = |check: hatchery::Check| Finding {
        name: check.name.to_owned(),
        status: format!("{:?}", check.status).to_lowercase(),
        message: check.message,
        hint: check.hint.unwrap_or_default(),
    };
    doctor(&options).into_iter().map(finding).collect()
}
