//! How runs end, by themselves and otherwise.

use std::future::Future;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Waker};
use std::time::Duration;

use hatchery::agent::{
    AgentFilter, AgentRun, AgentSpec, Answer, ExitHow, Input, Leftovers, Line, OutcomeKind, Phase, Rung, Step,
    StopLadder, StopReport, Tail,
};

use super::rig::{Rig, all, fake, lives, over, patient, until_it_is, with};
use crate::PATIENCE;

/// A8.
#[tokio::test]
async fn a_tool_that_hears_no_signal_is_gone_and_who_only_looks_like_it_is_not() {
    let rig = Rig::new().await;
    let run = rig.start(deaf(&rig, "tool")).await;
    let tool = rig.pid("tool").await;
    let mut bystander = look_alike(tool, &rig.path("bystander"));
    rig.pid("bystander").await;
    let report = run.stop(Some(quick([Step::Signal(libc::SIGINT), Step::Signal(libc::SIGTERM)]))).await;
    assert_eq!(
        (report.outcome, report.rung.as_str(), report.members_ended),
        (OutcomeKind::Stopped, "kill", 1),
        "{report:?}"
    );
    assert!(!lives(tool), "the tool is left");
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander was ended");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    rig.end().await;
}

/// A9. Each has sent its order before the first is obeyed; what is answered after them comes when all were.
#[tokio::test]
async fn fifty_who_stop_one_run_see_one_ladder_and_get_one_report() {
    let rig = Rig::new().await;
    let count = format!("count=USR1,{}", rig.path("signals"));
    let run = rig
        .start(fake("stream-json", [count, "init".into(), format!("wait={}", rig.path("go")), "result".into()]))
        .await;
    until_it_is(&run, "busy").await;
    let mut stops: Vec<_> = (0..50).map(|_| begun(stop(&run))).collect();
    run.answer("of the last", Answer::Deny { message: None }).await.unwrap_err();
    assert_eq!(run.info().state.phase, Phase::Stopping { rung: 1 });
    crate::eventually("the signal is there", || signals(&rig) > 0).await;
    rig.touch("go");
    let first = stops.pop().unwrap().await;
    assert_eq!((first.outcome, first.rung.as_str()), (OutcomeKind::Stopped, "SIGUSR1"));
    for other in stops {
        assert_eq!(other.await, first);
    }
    assert_eq!(signals(&rig), 1);
    assert_eq!(run.stop(None).await, first, "and so does who comes when it is over");
    rig.end().await;
}

/// A9.
#[tokio::test]
async fn a_stop_that_meets_the_end_of_a_run_is_answered_by_the_same_report_for_all() {
    let rig = Rig::new().await;
    for number in 0..5 {
        let go = format!("go {number}");
        let run =
            rig.start(fake("stream-json", ["init".into(), format!("wait={}", rig.path(&go)), "result".into()])).await;
        until_it_is(&run, "busy").await;
        rig.touch(&go);
        let stops: Vec<_> = (0..10).map(|_| tokio::spawn(stop(&run))).collect();
        let outcome = over(&run).await;
        let mut reports = Vec::new();
        for stop in stops {
            reports.push(stop.await.unwrap());
        }
        assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
        assert_eq!(reports[0].outcome, outcome.kind);
        assert!(matches!(outcome.kind, OutcomeKind::Stopped | OutcomeKind::Completed), "{outcome:?}");
    }
    rig.end().await;
}

/// A10. None of them can end before it is killed, and the list is there before that.
#[tokio::test]
async fn a_list_is_answered_while_twenty_ends_hang() {
    let rig = Rig::new().await;
    let mut runs = Vec::new();
    for number in 0..20 {
        let deaf = ["ignore=INT".to_owned(), "init".into(), format!("wait={}", rig.path("never"))];
        runs.push(rig.start(fake("stream-json", deaf).label("number", number.to_string())).await);
    }
    for run in &runs {
        until_it_is(run, "busy").await;
    }
    let stops: Vec<_> = runs.iter().map(|run| tokio::spawn(stop_by(run, Step::Signal(libc::SIGINT)))).collect();
    for run in &runs {
        until_it_is(run, "stopping").await;
    }
    let list = rig.hatchery.agents().list(&AgentFilter::default());
    assert_eq!(list.len(), 20);
    assert!(list.iter().all(|info| info.state.phase == Phase::Stopping { rung: 1 }), "{list:?}");
    assert!(stops.iter().all(|stop| !stop.is_finished()));
    let reports = futures_joined(runs.iter().map(|run| tokio::spawn(kill(run)))).await;
    assert_eq!(futures_joined(stops).await, reports, "who stops and who kills get the same");
    assert!(reports.iter().all(|report| report.rung == "kill" && report.outcome == OutcomeKind::Killed), "{reports:?}");
    assert!(rig.hatchery.agents().list(&AgentFilter::default()).is_empty());
    rig.end().await;
}

/// A13.
#[tokio::test]
async fn an_exit_that_looks_well_without_a_last_word_is_incomplete() {
    let rig = Rig::new().await;
    let (run, outcome) = rig.run(fake("stream-json", ["init", "text=x", "cut={\"type\":\"resu"])).await;
    assert_eq!(
        (outcome.kind, outcome.tail, outcome.exit),
        (OutcomeKind::Incomplete, Tail::Partial(13), ExitHow::Code(0))
    );
    assert_eq!(all(&run).await.last().unwrap().line, Line::Partial("{\"type\":\"resu".into()));
    let (_, outcome) = rig.run(fake("stream-json", ["init", "result", "cut=more"])).await;
    assert_eq!(
        (outcome.kind, outcome.tail),
        (OutcomeKind::Incomplete, Tail::Partial(4)),
        "although it has said that it is done"
    );
    let (_, outcome) = rig.run(fake("stream-json", ["init", "text=x"])).await;
    assert_eq!((outcome.kind, outcome.tail), (OutcomeKind::Incomplete, Tail::Clean));
    let (_, outcome) = rig.run(fake("plain", ["line=x"])).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed, "one without a protocol owes no word");
    rig.end().await;
}

/// A14.
#[tokio::test]
async fn a_success_that_is_an_error_has_failed() {
    let rig = Rig::new().await;
    let (_, outcome) = rig.run(fake("stream-json", ["init", "failed=400", "exit=1"])).await;
    assert_eq!(outcome.kind, OutcomeKind::Failed { status: Some(400) }, "{outcome:?}");
    rig.end().await;
}

/// A14.
#[tokio::test]
async fn one_that_exits_well_after_an_interrupt_was_interrupted() {
    let rig = Rig::new().await;
    let input = Input::Conversation(None);
    let run = rig.start(with(fake("stream-json", ["init", "work"]), |spec| spec.input = input)).await;
    until_it_is(&run, "busy").await;
    run.interrupt().await.unwrap();
    let outcome = over(&run).await;
    assert_eq!((outcome.kind, outcome.exit), (OutcomeKind::Interrupted, ExitHow::Code(0)), "{outcome:?}");
    rig.end().await;
}

#[tokio::test]
async fn each_other_end_has_its_name() {
    let rig = Rig::new().await;
    let ends = [
        (vec!["exit=3"], OutcomeKind::BadCommandLine),
        (vec!["init", "exit=3"], OutcomeKind::Crashed),
        (vec!["init", "die=SEGV"], OutcomeKind::Crashed),
        (vec!["init", "result", "exit=3"], OutcomeKind::Completed),
        (vec!["notfound", "exit=1"], OutcomeKind::ResumeNotFound),
    ];
    for (steps, expected) in ends {
        let (_, outcome) = rig.run(fake("stream-json", &steps)).await;
        assert_eq!(outcome.kind, expected, "{steps:?}: {outcome:?}");
    }
    rig.end().await;
}

#[tokio::test]
async fn a_shutdown_ends_all_of_them_and_nothing_is_started_any_more() {
    let rig = Rig::new().await;
    let (one, other) = (rig.start(deaf(&rig, "one")).await, rig.start(deaf(&rig, "other")).await);
    let tools = [rig.pid("one").await, rig.pid("other").await];
    let agents = rig.hatchery.agents().clone();
    rig.end().await;
    assert_eq!([over(&one).await.kind, over(&other).await.kind], [OutcomeKind::Stopped; 2]);
    assert_eq!(tools.map(lives), [false; 2]);
    assert!(agents.start(fake("stream-json", ["init"])).await.is_err());
}

/// One with a tool that ignores all there is to ignore, and that does so itself.
fn deaf(rig: &Rig, tool: &str) -> AgentSpec {
    let steps = [
        "ignore=INT,TERM,HUP".to_owned(),
        "init".into(),
        format!("tool={}", rig.path(tool)),
        format!("wait={}", rig.path("never")),
    ];
    let stop = Some(quick([Step::Signal(libc::SIGINT)]));
    with(fake("stream-json", steps), |spec| {
        spec.stop = stop;
        spec.leftovers = Leftovers::Kill;
    })
}

/// The same program with the same arguments, of nobody's.
#[expect(clippy::disallowed_methods, reason = "it is waited for")]
fn look_alike(pid: i32, pid_file: &str) -> Child {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let line = String::from_utf8(line).unwrap();
    let mut words = line.trim_end_matches('\0').split('\0');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).env("PID_FILE", pid_file).stdin(Stdio::null()).spawn().unwrap()
}

/// Rungs that nothing is expected of.
fn quick(steps: impl IntoIterator<Item = Step>) -> StopLadder {
    let grace = Duration::from_millis(20);
    StopLadder { rungs: steps.into_iter().map(|step| Rung { step, grace }).collect(), total: PATIENCE }
}

fn stop(run: &AgentRun) -> impl Future<Output = StopReport> + Send + 'static {
    stop_by(run, Step::Signal(libc::SIGUSR1))
}

fn stop_by(run: &AgentRun, step: Step) -> impl Future<Output = StopReport> + Send + 'static {
    let run = run.clone();
    async move { run.stop(Some(patient([step]))).await }
}

fn kill(run: &AgentRun) -> impl Future<Output = StopReport> + Send + 'static {
    let run = run.clone();
    async move { run.kill().await }
}

/// It has done what it does before it waits.
fn begun<F: Future + 'static>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    future
}

async fn futures_joined(tasks: impl IntoIterator<Item = tokio::task::JoinHandle<StopReport>>) -> Vec<StopReport> {
    let mut reports = Vec::new();
    for task in tasks {
        reports.push(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
    }
    reports
}

fn signals(rig: &Rig) -> usize {
    std::fs::read_to_string(rig.path("signals")).unwrap().lines().count()
}
