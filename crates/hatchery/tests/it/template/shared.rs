//! What workers of one template share, and what they do not.

use std::collections::BTreeSet;
use std::fs;

use hatchery::{Event, LogSource, WorkerEvent};
use serde_json::json;

use super::super::{Rig, app};
use super::{Facts, pool};

#[derive(Debug, serde::Deserialize)]
struct Hooked {
    pid: i32,
    made_by: i32,
    hooked: Vec<i32>,
    variable: Option<String>,
}

#[tokio::test]
async fn what_is_preloaded_was_made_once_and_hooks_run_in_each() {
    let mut rig = Rig::of(pool(2).preload(["preloads.hooked"])).await;
    let template = rig.template().await;
    let workers: Vec<Hooked> = rig.each("hooked").await;
    for Hooked { pid, made_by, hooked, variable } in &workers {
        assert_eq!((*made_by, hooked, variable.as_deref()), (template, &vec![*pid], Some("yes")));
    }
    assert_ne!(workers[0].pid, workers[1].pid);
    rig.end().await;
}

#[tokio::test]
async fn a_hook_that_raises_fails_the_start_with_its_traceback() {
    let error = pool(1).preload(["preloads.bad_hook"]).start().await.err().unwrap();
    assert!(error.message().contains("after_fork: ConnectionError: no database"), "{error}");
    assert!(error.traceback().unwrap().contains("in connect"), "{error:?}");
}

#[tokio::test]
async fn the_app_itself_is_imported_once_if_so_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counted.py");
    fs::write(&path, "import os\nfrom hatchery import tool\nMADE_BY = os.getpid()\n@tool\ndef made_by() -> list:\n    return [MADE_BY, os.getpid()]\n").unwrap();
    for (is_shared, preloads) in [(true, true), (false, false)] {
        let builder = hatchery::Hatchery::builder().pool("default", hatchery::PythonApp::file(&path));
        let mut rig = Rig::of(builder.preload_app(preloads)).await;
        let template = rig.template().await;
        let [made_by, pid]: [i32; 2] = rig.pool.call("made_by", json!({})).await.unwrap();
        assert_eq!((made_by == template, made_by == pid), (is_shared, !is_shared));
        rig.end().await;
    }
}

#[tokio::test]
async fn no_two_workers_roll_the_same_dice() {
    let venv = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python");
    let has_numpy = std::path::Path::new(venv).exists();
    let (python, modules) = if has_numpy { (venv, vec!["random", "numpy"]) } else { ("python3", vec!["random"]) };
    let app = app("forked.py").python(python);
    let builder = hatchery::Hatchery::builder().pool("default", app).workers(4).preload(modules);
    let rig = Rig::of(builder).await;
    let rolled: Vec<Vec<f64>> = rig.each("dice").await;
    for die in 0..if has_numpy { 2 } else { 1 } {
        let numbers: BTreeSet<u64> = rolled.iter().map(|numbers| numbers[die].to_bits()).collect();
        assert_eq!(numbers.len(), 4, "die {die}: {rolled:?}");
    }
    rig.end().await;
}

#[tokio::test]
async fn memory_that_is_only_read_is_there_once() {
    let rig = Rig::of(pool(4).preload(["preloads.ballast"])).await;
    let workers: Vec<Facts> = rig.each("facts").await;
    let kib = |pid: i32, what: &str| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    for Facts { pid, .. } in &workers {
        let (rss, pss) = (kib(*pid, "Rss:"), kib(*pid, "Pss:"));
        assert!(rss > 64 << 10 && pss < 32 << 10, "worker {pid}: rss {rss} KiB, pss {pss} KiB");
    }
    rig.end().await;
}

#[tokio::test]
async fn what_was_printed_at_import_is_logged_once() {
    let mut rig = Rig::of(pool(3).preload(["preloads.prints"])).await;
    rig.each::<Facts>("facts").await;
    rig.hatchery.shutdown().await.unwrap();
    let mut lines = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(std::time::Duration::from_millis(100), rig.events.next()).await {
        if let Event::Worker(WorkerEvent::Log(log)) = event
            && log.source == LogSource::Stdout
        {
            lines.push((log.worker.to_string(), log.message));
        }
    }
    let said = |text: &str| ("default-template".to_owned(), text.to_owned());
    assert_eq!(lines, [said("imported"), said("and no line end")]);
}
