//! A supervisor that is killed at each moment of the hand-over leaves a process that is kept, or nothing.

use super::*;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Kept,
    Nothing,
    /// It is a matter of who is faster.
    Either,
}

async fn killed_at(step: Step, expected: Left) {
    let scene = Scene::new();
    Host::start(scene.data.path(), ECHO, Some(step)).wait();
    assert_left(&scene, &format!("{step:?}"), expected).await;
}

async fn assert_left(scene: &Scene, when: &str, expected: Left) {
    let mark = scene.mark();
    let run = Kept::find(&scene.place()).unwrap().pop();
    match run.map_or(Ok(Attachment::Lost), KeptRun::attach).unwrap() {
        Attachment::Attached(successor) => {
            assert!(expected != Left::Nothing, "{when}: it is kept");
            successor.say("hello");
            scene.until_output_has("got hello");
            successor.end().await;
        }
        Attachment::Lost => {
            assert!(expected != Left::Kept, "{when}: it is not kept");
            let report = scene.sweep();
            assert_eq!(report.errors, 0, "{report:?}");
        }
        other => panic!("{when}: nobody has ended it, and nobody has it: {other:?}"),
    }
    assert_eq!((scene.processes(mark), scene.records()), (vec![], vec![]), "{when}");
    scene.until_unlocked();
}

#[tokio::test]
async fn at_whatever_moment() {
    for _ in 0..20 {
        let scene = Scene::new();
        let host = Host::start(scene.data.path(), ECHO, None);
        let micros = crate::id::random_u64() % 30_000;
        std::thread::sleep(Duration::from_micros(micros));
        host.kill();
        if !scene.records().is_empty() {
            assert_left(&scene, &format!("after {micros} us"), Left::Either).await;
        }
    }
}

#[tokio::test]
async fn before_the_keeper_is_told() {
    let moments = [Moment::DoorMade, Moment::GuardianTold].map(Step::Keeping);
    for step in [Step::Started, Step::HandedOver].into_iter().chain(moments) {
        killed_at(step, Left::Nothing).await;
    }
}

#[tokio::test]
async fn between_order_and_answer() {
    for _ in 0..5 {
        killed_at(Step::Keeping(Moment::KeeperTold), Left::Either).await;
    }
}

#[tokio::test]
async fn after_the_answer() {
    killed_at(Step::Kept, Left::Kept).await;
}
