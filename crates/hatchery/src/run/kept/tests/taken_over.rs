//! Who is the next supervisor, and what it gets.

use super::*;

#[tokio::test]
async fn what_is_kept_goes_on_and_is_the_next_supervisor_s() {
    let scene = Scene::new();
    scene.killed_host(ECHO);
    scene.until_output_has("ready");
    let mark = scene.mark();
    let report = scene.sweep();
    assert_eq!((report.found, report.terminated, report.errors), (0, 0, 0), "{report:?}");
    assert!(scene.is_locked(), "by the guardian");
    let run = scene.only_run();
    let seen: Vec<_> = report.details.iter().filter(|seen| seen.run == Some(run.id())).collect();
    assert!(seen.len() >= 4 && seen.iter().all(|seen| seen.class == ProcessClass::Active), "{seen:?}");
    assert_eq!((run.worker(), mark_of(run.id())), (LABEL.worker, mark));

    let successor = scene.attach();
    assert!(!successor.child.has_exited());
    successor.say("hello");
    scene.until_output_has("got hello");
    assert_eq!(successor.held.len(), 1);
    assert!(scene.processes(mark).len() >= 4, "keeper, guardian, leader, daemon: {:?}", scene.processes(mark));
    assert_eq!(scene.sweep().terminated, 0);
    assert!(matches!(successor.end().await, Status::Signaled { .. }));
    assert_eq!((scene.processes(mark), scene.records()), (vec![], vec![]));
    scene.until_unlocked();
}

#[tokio::test]
async fn one_of_many_has_it_and_the_others_are_told_who() {
    let scene = Scene::new();
    let host = scene.host(ECHO);
    let hosted = |attachment: &Attachment| match attachment {
        Attachment::Hosted { pid } => Some(*pid),
        _ => None,
    };
    assert_eq!(hosted(&scene.only_run().attach().unwrap()), Some(host.pid()));
    host.kill();
    let mut outcomes: Vec<Attachment> = std::thread::scope(|scope| {
        let attaching: Vec<_> = (0..8).map(|_| scope.spawn(|| scene.only_run().attach().unwrap())).collect();
        attaching.into_iter().map(|attaching| attaching.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter_map(hosted).collect::<Vec<_>>(), [std::process::id(); 7]);
    outcomes.retain(|outcome| hosted(outcome).is_none());
    let Some(Attachment::Attached(successor)) = outcomes.pop() else { panic!("nobody has it") };
    successor.end().await;
}

#[tokio::test]
async fn the_next_one_may_be_killed_as_well() {
    let scene = Scene::new();
    for _ in 0..3 {
        scene.killed_host(ECHO);
    }
    let successor = scene.attach();
    successor.say("third");
    scene.until_output_has("got third");
    assert!(scene.is_locked());
    successor.end().await;
}

#[tokio::test]
async fn a_supervisor_that_leaves_has_ended_nothing_and_one_that_drops_it_has() {
    let scene = Scene::new();
    let mut host = scene.host(ECHO);
    host.order("leave");
    host.wait();
    let mark = scene.mark();
    let successor = scene.attach();
    successor.say("hello");
    scene.until_output_has("got hello");
    // One that goes on living leaves it to itself.
    assert!(successor.kept.leave(successor.child));
    let mut host = scene.host(ECHO);
    host.order("drop");
    host.wait();
    scene.until_nothing_lives(mark);
}

#[tokio::test]
async fn a_supervisor_that_leaves_and_lives_reaps_the_keeper() {
    let scene = Scene::new();
    let (spec, id) = (spec(scene.data.path(), ECHO), RunId::random());
    let (Spawned { child, .. }, kept) = Kept::start(&scene.place(), id, LABEL, spec, Vec::new()).unwrap();
    let [keeper, _] = scene.guards(mark_of(id));
    assert!(kept.leave(child));
    scene.attach().end().await;
    until("the keeper is reaped", || !Path::new(&format!("/proc/{}", keeper.pid)).exists());
}

#[tokio::test]
async fn its_input_ends_when_the_supervisor_says_so() {
    let scene = Scene::new();
    scene.killed_host(ECHO);
    let mut successor = scene.attach();
    successor.input = None;
    successor.child.close_kept_input().unwrap();
    successor.child.exited().await;
    scene.until_output_has("over");
    assert_eq!(successor.end().await, Status::Exited(0));
}

#[tokio::test]
async fn what_ends_while_nobody_is_there_is_written_down_until_somebody_asks() {
    let scene = Scene::new();
    scene.killed_host("setsid sleep 1000 & until [ -e go ]; do sleep 0.01; done; exit 7");
    let mark = scene.mark();
    fs::write(scene.data.path().join("go"), "").unwrap();
    scene.until_nothing_lives(mark);
    scene.until_unlocked();
    let report = scene.sweep();
    assert_eq!((report.found, report.errors, scene.records().len()), (0, 0, 1), "{report:?}");
    let Attachment::Ended { status: Status::Exited(7), run } = scene.only_run().attach().unwrap() else {
        panic!("{:?}", scene.only_run());
    };
    assert_eq!(scene.records().len(), 1, "whoever asks may be killed before it has done anything about it");
    run.forget();
    assert_eq!(scene.records(), []);
}

#[tokio::test]
async fn what_has_ended_before_its_supervisor_is_not_waited_for() {
    let scene = Scene::new();
    let host = scene.host("exit 3");
    let mark = scene.mark();
    until("the leader has ended", || scene.processes(mark).iter().all(|sighting| sighting.worn.worker == 0));
    assert_eq!(scene.processes(mark).len(), 2, "keeper and guardian");
    host.kill();
    scene.until_nothing_lives(mark);
    assert!(matches!(scene.only_run().attach().unwrap(), Attachment::Ended { status: Status::Exited(3), .. }));
}

/// As any process of a supervisor's: its status is told, and nothing is left to be asked for.
#[tokio::test]
async fn what_ends_before_its_supervisor_s_eyes_leaves_no_record() {
    let scene = Scene::new();
    let spec = spec(scene.data.path(), "exit 5");
    let (spawned, kept) = Kept::start(&scene.place(), RunId::random(), LABEL, spec, Vec::new()).unwrap();
    spawned.child.exited().await;
    let successor = TakenOver { kept, child: spawned.child, input: None, held: Vec::new() };
    assert_eq!(successor.end().await, Status::Exited(5));
    assert_eq!(scene.records(), []);
}

#[test]
fn a_program_that_is_not_there_leaves_nothing() {
    let scene = Scene::new();
    let spec = Spec { program: "/no/such/program".into(), ..spec(scene.data.path(), "") };
    let refused = Kept::start(&scene.place(), RunId::random(), LABEL, spec, Vec::new());
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Validation);
    until("no record is left", || scene.records().is_empty());
}

#[test]
fn a_run_that_nobody_could_find_again_is_not_kept() {
    let scene = Scene::new();
    let nowhere = Place { data_dir: "/dev/null/data".into(), ..scene.place() };
    let refused = Kept::start(&nowhere, RunId::random(), LABEL, spec(scene.data.path(), ""), Vec::new());
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Validation);
}

#[test]
fn another_instance_does_not_see_it() {
    let scene = Scene::new();
    let mut host = scene.host(ECHO);
    let other = Instance { name: "other".into(), token: None };
    assert!(Kept::find(&Place { instance: other, ..scene.place() }).unwrap().is_empty());
    host.order("drop");
    host.wait();
}
