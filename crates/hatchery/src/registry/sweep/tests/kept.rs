//! Runs that were handed over to their keepers.

use super::*;

fn handed_over_to(keeper: Remembered) -> Vec<Line> {
    vec![reserved(1), Line::Owner(keeper)]
}

fn locked(scene: &Scene, run: &Left) -> File {
    crate::storage::lock(File::open(scene.record(run).join(LOCK)).unwrap()).unwrap().unwrap()
}

fn of_kept(header: &mut Header) {
    *header = header.clone().of_kept();
}

#[test]
fn a_run_whose_keeper_lives_is_left_alone_though_its_supervisor_is_dead() {
    let scene = Scene::new();
    let mut keeper = Sleeper::start();
    let run = scene.dead_run(handed_over_to(keeper.identity().remembered()), of_kept);
    let mut process = run.process(1);
    let lock = locked(&scene, &run);
    assert_eq!(run.in_report(&scene.sweep(true)), ["active default-1"]);
    drop(lock);
    assert_eq!(run.in_report(&scene.sweep(true)), ["unknown default-1"], "it is about to end");
    assert!(process.is_alive() && scene.record(&run).exists());
    keeper.end();
    assert_eq!(run.in_report(&scene.sweep(true)), ["orphan default-1, ended"]);
    assert!(!process.is_alive() && !scene.record(&run).exists());
}

#[test]
fn a_run_whose_keeper_is_dead_is_dead_though_its_supervisor_lives() {
    let scene = Scene::new();
    let mut keeper = Sleeper::start();
    let lines = handed_over_to(keeper.identity().remembered());
    keeper.end();
    let run = scene.run_of(Remembered::this_process(), lines, of_kept);
    let mut process = run.process(1);
    assert_eq!(run.in_report(&scene.sweep(true)), ["orphan default-1, ended"]);
    assert!(!process.is_alive());
}

#[test]
fn an_end_that_nobody_has_asked_for_is_kept_for_a_month() {
    let scene = Scene::new();
    let mut keeper = Sleeper::start();
    let lines = handed_over_to(keeper.identity().remembered());
    keeper.end();
    let other_boot = |header: &mut Header| header.boot = Some("0".repeat(32));
    let runs = [scene.dead_run(lines.clone(), of_kept), scene.dead_run(lines.clone(), other_boot)];
    let untold = scene.dead_run(lines, of_kept);
    let exit = |run: &Left| scene.record(run).join("exit");
    runs.iter().for_each(|run| std::fs::write(exit(run), "                1 0\n").unwrap());
    std::fs::write(exit(&untold), "                ").unwrap();
    let report = scene.sweep(true);
    assert_eq!((report.found, report.errors), (0, 0), "{report:?}");
    assert!(runs.iter().all(|run| scene.record(run).exists()) && !scene.record(&untold).exists());
    for run in &runs {
        let file = File::options().append(true).open(exit(run)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(31 * 24 * 3600)).unwrap();
    }
    scene.sweep(true);
    assert!(runs.iter().all(|run| !scene.record(run).exists()));
}
