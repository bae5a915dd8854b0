//! Where nothing can be written down, from the start or from some moment on.

use hatchery::Hatchery;
use serde_json::json;

use super::Machine;
use super::subject::{DATA, LATER, REQUIRE};
use crate::containment::kill;
use crate::{Rig, app};

const LAYER: &str = "record and sweep";
const NO_INDEX: &str = "the registry is in memory only";
const ELSEWHERE: &str = "the record of this run is in ";
const NOWHERE: &str = "this run has no record on disk, a sweep will not find what it leaves";

const READ_ONLY: &str = "mount -t tmpfs -o ro,mode=700 none $DIR/data";
const NO_RUNTIME_DIR: &str = "mount -t tmpfs -o ro,mode=700 none $DIR/run";
const FULL: &str = "mount -t tmpfs -o size=64k,mode=700 none $DIR/data; cat /dev/zero >$DIR/data/full 2>&- || true";

fn machine(line: &str) -> Machine {
    Machine::that(&format!(r#"{line}; "$@""#))
}

#[test]
fn the_data_dir_is_read_only() {
    let Some(seen) = machine(READ_ONLY).seen() else { return };
    seen.works_without(&[(LAYER, NO_INDEX), (LAYER, ELSEWHERE)]);
    assert!(seen.lost.iter().all(|(_, why)| why.contains("Read-only file system")), "{seen:#?}");
    seen.doctor_finds(&[("data folder", "error", "Read-only file system")]);
}

#[test]
fn the_data_dir_is_somebody_else_s() {
    let Some(seen) = machine(":").for_nobody().with(DATA, "/usr/hatchery").seen() else { return };
    let denied = "/usr/hatchery: Permission denied";
    seen.works_without(&[(LAYER, NO_INDEX), (LAYER, ELSEWHERE), (LAYER, denied), ("cgroup leaf", "")]);
    let found = seen.checks.iter().find(|check| check.name == "data folder").unwrap();
    assert!(found.status == "error" && found.message.contains("Permission denied"), "{found:?}");
}

#[test]
fn neither_the_data_dir_nor_the_runtime_dir_can_be_written() {
    let Some(seen) = machine(&format!("{READ_ONLY}; {NO_RUNTIME_DIR}")).seen() else { return };
    seen.works_without(&[(LAYER, NO_INDEX), (LAYER, NOWHERE)]);
}

#[test]
fn the_disk_is_full() {
    let Some(seen) = machine(FULL).seen() else { return };
    seen.works_without(&[(LAYER, NO_INDEX), (LAYER, ELSEWHERE)]);
    seen.doctor_finds(&[("data folder", "warning", "the disk is full, 0 KiB are left")]);
    assert_eq!(seen.entries, "0", "an index that was never filled is none");
}

#[test]
fn the_disk_fills_up_later() {
    let line = "mount -t tmpfs -o size=2m,mode=700 none $DIR/data";
    let later = "cat /dev/zero >$DIR/data/full 2>&- || true";
    let Some(seen) = machine(line).with(LATER, later).seen() else { return };
    seen.works_without(&[(LAYER, "full")]);
}

#[test]
fn where_the_registry_is_required_nothing_starts_without_it() {
    for (line, why) in [(READ_ONLY, "Read-only file system"), (FULL, "No space left on device")] {
        let Some(seen) = machine(line).with(REQUIRE, "yes").seen() else { return };
        seen.refuses(&["begin run ", "the registry is required, and cannot be written: ", "/data/runs", why]);
        assert!(!seen.error.unwrap().contains("/run/hatchery"), "it does not tell of a place that was not asked for");
    }
    let Some(seen) = machine(":").with(REQUIRE, "yes").seen() else { return };
    assert!(seen.works, "{seen:#?}");
}

/// The records are what counts; the index is for queries.
#[tokio::test]
async fn an_index_that_is_overwritten_hides_nothing() {
    let builder = Hatchery::builder().pool("default", app("basics.py"));
    let mut rig = Rig::of(builder.template(false)).await;
    let data = rig.dir.path().join("data");
    let listed = || hatchery::registry_entries(&data).unwrap().iter().filter_map(|entry| entry.pid).collect::<Vec<_>>();
    rig.ready().await;
    std::fs::write(data.join("registry.sqlite3"), "no database, but garbage".repeat(1000)).unwrap();
    assert_eq!(listed(), [rig.pids()[0].cast_unsigned()]);
    kill(rig.pids()[0]);
    rig.ready().await;
    assert!(listed().contains(&rig.pids()[0].cast_unsigned()));
    assert_eq!(rig.pool.call::<u64>("echo", json!({"value": 7})).await.unwrap(), 7);
    rig.end().await;
}
