//! Real processes of runs that are dead, alive, and neither. Other tests' processes are on the same machine: what counts is
//! what a report says of a test's own runs.

use std::path::PathBuf;

use super::super::record::{Header, Line, OwnRecord, tests::header};
use super::super::tests::Sleeper;
use super::super::{Instance, Options, Registry};
use super::*;
use crate::id::WorkerId;

mod kept;
mod recycled;

struct Scene {
    data: tempfile::TempDir,
}

/// A run of which nobody knows but its record.
struct Left {
    id: RunId,
    mark: Mark,
}

impl Scene {
    fn new() -> Scene {
        Scene { data: tempfile::tempdir().unwrap() }
    }

    /// A run whose owner is dead. `change` makes it stranger.
    fn dead_run(&self, lines: Vec<Line>, change: impl FnOnce(&mut Header)) -> Left {
        let mut owner = Sleeper::start();
        let dead = owner.identity().remembered();
        owner.end();
        self.run_of(dead, lines, change)
    }

    fn run_of(&self, owner: Remembered, lines: Vec<Line>, change: impl FnOnce(&mut Header)) -> Left {
        let mut header = Header { owner, ..header(RunId::random()) };
        change(&mut header);
        let left = Left { id: header.run, mark: header.mark };
        let mut record = OwnRecord::begin(header, self.data.path(), &RuntimeBase::below("/no/runtime".into()));
        lines.into_iter().for_each(|line| record.add(line));
        left
    }

    fn sweep(&self, kill: bool) -> SweepReport {
        sweep(&SweepOptions { kill, ..SweepOptions::new(self.data.path()) }, &RuntimeBase::below("/no/runtime".into()))
            .unwrap()
    }

    fn record(&self, run: &Left) -> PathBuf {
        self.data.path().join(RUNS).join(run.id.to_string())
    }
}

impl Left {
    fn process(&self, worker: u32) -> Sleeper {
        let sleeper = Sleeper::start();
        sleeper.wear(self.mark.worn_by(worker));
        sleeper
    }

    /// Each process of the run as `class worker` in the order of workers, with `ended` where it was.
    fn in_report(&self, report: &SweepReport) -> Vec<String> {
        let ours = report.details.iter().filter(|detail| detail.run == Some(self.id));
        let mut lines: Vec<String> = ours
            .map(|detail| {
                let ended = if detail.ended { ", ended" } else { "" };
                format!("{} {}{ended}", detail.class.as_str(), detail.worker.as_deref().unwrap_or("?"))
            })
            .collect();
        lines.sort_unstable();
        lines
    }
}

fn reserved(number: u32) -> Line {
    Line::Reserved { number, worker: format!("default-{number}"), pool: "default".to_owned() }
}

fn started(number: u32, sleeper: &Sleeper) -> Line {
    Line::Started { number, identity: sleeper.identity().remembered(), command: "sleep".to_owned() }
}

#[test]
fn orphans_are_listed_then_ended_and_nobody_else_is() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![reserved(1)], |_| {});
    let mut orphans = [run.process(1), run.process(1), run.process(2)];
    let mut innocent = Sleeper::start();
    let runtime = RuntimeBase::below("/no/runtime".into());
    let options = Options { instance: Instance::default(), data_dir: scene.data.path().into(), runtime, require: true };
    let living = Registry::open(RunId::random(), &options).unwrap();
    let mut working = Sleeper::start();
    let seat = living.reserve(&WorkerId::new("default", 0), "default").unwrap();
    working.wear(living.mark().worn_by(seat.number()));
    let entry = seat.activate(working.started());
    let alive = Left { id: living.run(), mark: living.mark() };

    let listed = scene.sweep(false);
    assert_eq!(run.in_report(&listed), ["orphan #2", "orphan default-1", "orphan default-1"]);
    assert_eq!(alive.in_report(&listed), ["active default-1"]);
    assert_eq!((listed.found, listed.terminated, listed.left(), listed.errors), (3, 0, 3, 0));
    assert!(orphans.iter_mut().all(Sleeper::is_alive), "looking ends nobody");
    let orphan = listed.details.iter().find(|detail| detail.class == ProcessClass::Orphan).unwrap();
    assert!(orphan.evidence.contains(&run.id.short()) && orphan.evidence.contains("is dead"), "{orphan:?}");
    assert_eq!(orphan.command, "sleep 600");

    let ended = scene.sweep(true);
    assert_eq!(run.in_report(&ended), ["orphan #2, ended", "orphan default-1, ended", "orphan default-1, ended"]);
    assert_eq!((ended.found, ended.terminated, ended.left(), ended.errors), (3, 3, 0, 0), "{ended:?}");
    assert!(!orphans.iter_mut().any(Sleeper::is_alive));
    assert!(innocent.is_alive() && working.is_alive());
    assert!(!scene.record(&run).exists() && scene.record(&alive).exists());
    assert_eq!(scene.sweep(true).found, 0);
    working.end();
    entry.release();
    living.close();
}

#[test]
fn when_they_were_first_seen_is_remembered() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![], |_| {});
    let _orphan = run.process(1);
    std::fs::write(scene.record(&run).join(FIRST_SEEN), "1234").unwrap();
    assert_eq!(scene.sweep(false).details.iter().find_map(|detail| detail.first_seen), Some(1234));
    std::fs::remove_file(scene.record(&run).join(FIRST_SEEN)).unwrap();
    let first = scene.sweep(false).details.iter().find_map(|detail| detail.first_seen);
    assert_eq!(scene.sweep(true).details.iter().find_map(|detail| detail.first_seen), first);
}

#[test]
fn another_boot_s_record_goes_without_a_signal_even_to_one_with_its_mark() {
    let scene = Scene::new();
    let mut innocent = Sleeper::start();
    let run = scene.dead_run(vec![reserved(1), started(1, &innocent)], |header| header.boot = Some("0".repeat(32)));
    innocent.wear(run.mark.worn_by(1));
    assert_eq!(run.in_report(&scene.sweep(false)), ["unknown default-1"]);
    assert!(scene.record(&run).exists());
    let report = scene.sweep(true);
    assert_eq!((report.found, report.terminated, innocent.is_alive()), (0, 0, true));
    assert!(!scene.record(&run).exists());
}

#[test]
fn what_cannot_be_told_is_left_alone() {
    let scene = Scene::new();
    let other_namespace = scene.dead_run(vec![], |header| header.pid_namespace = Some(7));
    let other_instance = scene.dead_run(vec![], |header| header.instance.name = "other".to_owned());
    let mut alive = Sleeper::start();
    let owner_alive = scene.run_of(alive.identity().remembered(), vec![], |_| {});
    let runs = [other_namespace, other_instance, owner_alive];
    let mut processes: Vec<Sleeper> = runs.iter().map(|run| run.process(1)).collect();
    let report = scene.sweep(true);
    let classes = runs.iter().flat_map(|run| run.in_report(&report)).collect::<Vec<_>>();
    assert_eq!(classes, ["unknown #1", "foreign #1", "unknown #1"]);
    assert!(processes.iter_mut().all(Sleeper::is_alive) && alive.is_alive());
    assert!(runs.iter().all(|run| scene.record(run).exists()));
}

#[test]
fn a_record_that_is_damaged_is_told_and_ends_nobody() {
    let scene = Scene::new();
    let damage: [fn(&Path); 5] = [
        |record| std::fs::write(record, "").unwrap(),
        |record| std::fs::write(record, &std::fs::read(record).unwrap()[..40]).unwrap(),
        |record| std::fs::write(record, [0xff; 1000]).unwrap(),
        |record| std::fs::remove_file(record).unwrap(),
        |record| {
            std::fs::rename(record, record.with_extension("real")).unwrap();
            std::os::unix::fs::symlink("record.real", record).unwrap();
        },
    ];
    for damage in damage {
        let run = scene.dead_run(vec![], |header| header.mark = Mark::of_run(header.run, None));
        damage(&scene.record(&run).join("record"));
        let mut process = Sleeper::start();
        // Where this test runs inside a worker of hatchery, nobody can wear that mark.
        if crate::process::Worn::by_this_process().is_none() {
            process.wear(run.mark.worn_by(3));
            assert_eq!(run.in_report(&scene.sweep(true)), ["unknown #3"]);
        }
        let report = scene.sweep(true);
        assert_eq!((report.found, report.errors, process.is_alive()), (0, 1, true), "{report:?}");
        assert!(report.notes.iter().any(|note| note.contains("cannot be relied on")), "{report:?}");
        std::fs::remove_dir_all(scene.record(&run)).unwrap();
    }
}

#[test]
fn a_record_that_is_damaged_goes_once_nothing_can_belong_to_it() {
    let scene = Scene::new();
    let damaged = || {
        let run = scene.dead_run(vec![], |_| {});
        std::fs::write(scene.record(&run).join("record"), "garbage").unwrap();
        run
    };
    let (run, held) = (damaged(), damaged());
    let newer = scene.dead_run(vec![], |_| {});
    std::fs::write(scene.record(&newer).join("record"), r#"{"version":1000}"#).unwrap();
    let lock = crate::storage::lock(std::fs::File::open(scene.record(&held).join(LOCK)).unwrap()).unwrap().unwrap();
    let mut process = run.process(3);

    let is_left = |run: &Left| scene.record(run).exists();
    assert_eq!(scene.sweep(true).errors, 3);
    assert!(process.is_alive() && is_left(&run), "a process carries its mark");
    process.end();
    assert_eq!(scene.sweep(false).errors, 3);
    assert!(is_left(&run), "looking removes nothing");
    let report = scene.sweep(true);
    assert!(
        report.notes.iter().any(|note| note.contains(&run.id.short()) && note.contains("is removed")),
        "{report:?}"
    );
    assert!(!is_left(&run) && is_left(&held) && is_left(&newer), "whose lock is held or whose version is newer stays");
    assert_eq!(scene.sweep(true).errors, 2);
    std::fs::remove_file(scene.record(&held).join(LOCK)).unwrap();
    drop(lock);
    scene.sweep(true);
    assert!(!is_left(&held), "a lock that is gone is held by nobody");
}

#[test]
fn a_damaged_record_stays_while_a_process_carries_its_mark_below_that_of_another_hatchery() {
    let scene = Scene::new();
    let outer = Mark::of_run(RunId::random(), None);
    let run = scene.dead_run(vec![], |header| header.mark = Mark::of_run(header.run, Some(outer)));
    std::fs::write(scene.record(&run).join("record"), "").unwrap();
    let mut process = run.process(1);
    scene.sweep(true);
    assert!(process.is_alive() && scene.record(&run).exists());
    process.end();
    scene.sweep(true);
    assert!(!scene.record(&run).exists());
}

#[test]
fn a_link_in_place_of_the_records_is_not_followed() {
    let (scene, elsewhere) = (Scene::new(), Scene::new());
    let run = elsewhere.dead_run(vec![], |_| {});
    let mut process = run.process(1);
    std::os::unix::fs::symlink(elsewhere.data.path().join(RUNS), scene.data.path().join(RUNS)).unwrap();
    let report = scene.sweep(true);
    assert_eq!((report.found, report.errors, process.is_alive()), (0, 1, true));
    assert!(report.notes.iter().any(|note| note.contains("symbolic link")), "{report:?}");
}

#[test]
fn a_process_that_has_no_mark_is_not_ended_whatever_the_record_says() {
    let scene = Scene::new();
    let mut unmarked = Sleeper::start();
    let run = scene.dead_run(vec![reserved(1), started(1, &unmarked)], |_| {});
    let report = scene.sweep(true);
    assert_eq!(run.in_report(&report), ["unknown default-1"]);
    assert!(unmarked.is_alive() && scene.record(&run).exists(), "it is the evidence");
    unmarked.end();
    scene.sweep(true);
    assert!(!scene.record(&run).exists());
}

#[test]
fn a_record_stays_as_long_as_a_folder_of_its_run_does() {
    let (scene, id) = (Scene::new(), RunId::random());
    let Some(folder) = cgroup::tests::cgroup(&format!("hatchery-test.{id}")) else {
        return println!("not checked: no cgroup v2 can be made here");
    };
    let run = scene.dead_run(vec![Line::Cgroup(folder.display().to_string())], |left| {
        *left = Header { owner: left.owner, ..header(id) };
    });
    let mut stranger = Left { id, mark: Mark::of_run(RunId::random(), None) }.process(1);
    std::fs::write(folder.join("w/cgroup.procs"), stranger.identity().pid().to_string()).unwrap();
    let report = scene.sweep(true);
    assert!(report.errors > 0 && stranger.is_alive() && folder.exists(), "{report:?}");
    assert!(scene.record(&run).exists(), "it is all that knows of the folder");
    stranger.end();
    scene.sweep(true);
    assert!(!scene.record(&run).exists() && !folder.exists());
}

#[test]
fn what_was_let_live_on_lives_on() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![Line::Spared { number: 2 }], |_| {});
    let (mut orphan, mut spared) = (run.process(1), run.process(2));
    assert_eq!(run.in_report(&scene.sweep(true)), ["active #2", "orphan #1, ended"]);
    assert!(!orphan.is_alive() && spared.is_alive());
    assert!(scene.record(&run).exists(), "as long as it lives");
    spared.end();
    scene.sweep(true);
    assert!(!scene.record(&run).exists());
}

#[test]
fn a_guardian_that_does_nothing_is_ended_too() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![], |_| {});
    let (mut guardian, mut worker) = (run.process(0), run.process(1));
    assert_eq!(run.in_report(&scene.sweep(true)), ["orphan #1, ended", "orphan guardian, ended"]);
    assert!(!guardian.is_alive() && !worker.is_alive());
}

#[test]
fn a_run_can_be_named() {
    let scene = Scene::new();
    let runs = [scene.dead_run(vec![], |_| {}), scene.dead_run(vec![], |_| {})];
    let mut processes = [runs[0].process(1), runs[1].process(1)];
    let runtime = RuntimeBase::below("/no/runtime".into());
    let mut options =
        SweepOptions { kill: true, run: Some(runs[0].id.to_string()), ..SweepOptions::new(scene.data.path()) };
    let report = sweep(&options, &runtime).unwrap();
    assert_eq!((report.found, report.terminated, report.details.len()), (1, 1, 1));
    assert!(!processes[0].is_alive() && processes[1].is_alive());
    options.run = Some("../x".to_owned());
    assert_eq!(sweep(&options, &runtime).unwrap_err().kind(), ErrorKind::Validation);
}

#[test]
fn records_in_the_runtime_dir_are_found_too() {
    let (scene, runtime) = (Scene::new(), tempfile::tempdir().unwrap());
    let mut owner = Sleeper::start();
    let header = Header { owner: owner.identity().remembered(), ..header(RunId::random()) };
    owner.end();
    let runtime = RuntimeBase::below(runtime.path().into());
    let run = Left { id: header.run, mark: header.mark };
    drop(OwnRecord::begin(header, Path::new("/dev/null/data"), &runtime));
    let mut orphan = run.process(1);
    let options = SweepOptions { kill: true, ..SweepOptions::new(scene.data.path()) };
    assert_eq!(run.in_report(&sweep(&options, &runtime).unwrap()), ["orphan #1, ended"]);
    assert!(!orphan.is_alive());
}

#[test]
fn asked_twice_at_once_it_answers_both() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![], |_| {});
    let mut orphan = run.process(1);
    let options = SweepOptions { kill: true, ..SweepOptions::new(scene.data.path()) };
    let reports: Vec<SweepReport> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| orphans(&options).unwrap())).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(!orphan.is_alive());
    assert!(reports.iter().any(|report| run.in_report(report) == ["orphan #1, ended"]));
    assert!(reports.iter().all(|report| report.left() == 0 && report.errors == 0), "{reports:?}");
}

#[test]
fn the_status_says_whether_all_is_well() {
    let scene = Scene::new();
    let options = SweepOptions::new(scene.data.path());
    let status = system_status(&options).unwrap();
    assert_eq!((status.orphans, status.health, status.oldest_orphan), (0, Health::Healthy, None));
    let run = scene.dead_run(vec![], |_| {});
    let _orphan = run.process(1);
    let status = system_status(&options).unwrap();
    assert_eq!((status.orphans, status.processes, status.health), (1, 1, Health::Degraded));
    assert!(status.oldest_orphan.is_some());
    assert_eq!(status.registry, Statistics::default());
}

#[test]
fn the_index_forgets_a_run_that_was_swept() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![reserved(1)], |_| {});
    // Told by the records, as the index is new.
    let runtime = RuntimeBase::below("/no/runtime".into());
    let options = Options { instance: Instance::default(), data_dir: scene.data.path().into(), runtime, require: true };
    let living = Registry::open(RunId::random(), &options).unwrap();
    let seat = living.reserve(&WorkerId::new("default", 0), "default").unwrap();
    living.flush();
    let runs = || registry_entries(scene.data.path()).unwrap().iter().map(|entry| entry.run).collect::<Vec<_>>();
    assert_eq!(runs(), [run.id, living.run()]);
    scene.sweep(true);
    assert_eq!(runs(), [living.run()]);
    drop(seat);
    living.close();
}

/// By hand: `cargo test --release -p hatchery --lib sweep_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn sweep_costs() {
    let scene = Scene::new();
    let run = scene.dead_run(vec![], |_| {});
    let _crowd: Vec<Sleeper> = (0..1800).map(|_| Sleeper::start()).collect();
    let _orphans: Vec<Sleeper> = (1..=200).map(|worker| run.process(worker)).collect();
    let cost = |what: &str, kill| {
        let began = Instant::now();
        let report = scene.sweep(kill);
        println!("{what}: {:?}, {} found, {} ended", began.elapsed(), report.found, report.terminated);
    };
    cost("look", false);
    cost("look again", false);
    cost("end", true);
    cost("look, when there is nothing", false);
}
