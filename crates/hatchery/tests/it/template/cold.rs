//! When workers are started cold, and when they are not started at all.

use hatchery::{ErrorKind, OnEscape};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::json;

use super::super::Rig;
use super::{Facts, pool};

/// A pool with this module is started cold, and says why.
async fn falls_back(module: &str, because: &str) {
    let mut rig = Rig::of(pool(2).preload([module])).await;
    let reason = rig.cold_because().await;
    assert!(reason.contains(because) && reason.contains(module), "{reason}");
    let workers: Vec<Facts> = rig.each("facts").await;
    assert!(workers.iter().all(|worker| !worker.forked));
    assert_eq!(rig.hatchery.processes().len(), 2, "no template is left");
    rig.end().await;
}

#[tokio::test]
async fn a_module_that_leaves_a_thread_is_named_and_the_thread_too() {
    falls_back("preloads.starts_thread", "has started threads (ticker)").await;
}

#[tokio::test]
async fn a_module_that_leaves_a_socket_is_named() {
    falls_back("preloads.opens_socket", "has opened a socket").await;
}

#[tokio::test]
async fn a_module_that_starts_a_process_is_named_and_workers_start_cold() {
    falls_back("preloads.starts_process", "has started a process").await;
}

#[tokio::test]
async fn a_template_that_ends_at_once_costs_a_warning() {
    let mut rig = Rig::of(pool(1).preload(["preloads.ends"])).await;
    let reason = rig.cold_because().await;
    assert!(reason.contains("ended before it had imported everything"), "{reason}");
    assert!(!rig.facts().await.forked);
    rig.end().await;
}

#[tokio::test]
async fn a_module_that_cannot_be_imported_fails_the_start() {
    for (module, said, shown) in [
        ("preloads.raises", "preload preloads.raises: LookupError: no model today", Some("raise LookupError")),
        ("no_such_module_7411", "preload no_such_module_7411: ModuleNotFoundError", None),
    ] {
        let error = pool(2).preload([module]).start().await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().contains(said), "{error}");
        // Of a module that is not there nothing has run.
        let traceback = error.traceback().unwrap_or_default();
        assert!(shown.map_or(traceback.is_empty(), |shown| traceback.contains(shown)), "{error:?}");
    }
}

#[tokio::test]
async fn what_may_outlive_the_run_is_not_forked() {
    let mut rig = Rig::of(pool(1).preload(["json"]).on_escape(OnEscape::Adopt)).await;
    assert!(rig.cold_because().await.contains("on_escape = adopt"));
    assert!(!rig.facts().await.forked);
    rig.end().await;
}

#[tokio::test]
async fn what_is_reported_lives_in_a_leaf_of_its_own_and_survives_its_worker() {
    let mut rig = Rig::of(pool(2).on_escape(OnEscape::Report)).await;
    assert!(rig.facts().await.forked);
    let daemon: i32 = rig.pool.call("daemon", json!({})).await.unwrap();
    let _dies = rig.pool.call::<()>("die", json!({})).await;
    let _other = rig.pool.call::<()>("die", json!({})).await;
    rig.ready().await;
    assert!(super::super::exists(daemon));
    rig.end().await;
    assert!(!super::super::exists(daemon));
}

#[tokio::test]
async fn a_template_that_does_not_answer_is_given_up_and_ended() {
    let mut rig = Rig::of(pool(1)).await;
    let template = rig.template().await;
    let pidfd = pidfd_open(Pid::from_raw(template).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(pidfd, Signal::STOP).unwrap();
    let _dies = rig.pool.call::<()>("die", json!({})).await;
    let reason = rig.cold_because().await;
    assert!(reason.contains("no answer"), "{reason}");
    assert!(!rig.facts().await.forked);
    super::super::eventually_gone(template).await;
    rig.end().await;
}

/// Every worker has a variable of its own.
struct OnePerCard(hatchery::PythonApp);

impl hatchery::App for OnePerCard {
    fn launch(&self, context: &hatchery::LaunchContext<'_>) -> hatchery::Result<hatchery::Launch> {
        Ok(self.0.launch(context)?.env("CARD", context.worker.as_str()))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[tokio::test]
async fn workers_that_are_not_started_alike_are_forked_from_no_template_of_others() {
    let app = OnePerCard(super::super::app("forked.py"));
    let mut rig = Rig::of(hatchery::Hatchery::builder().pool("default", app).workers(3)).await;
    assert!(rig.cold_because().await.contains("other arguments or variables"));
    let workers: Vec<Facts> = rig.each("facts").await;
    assert_eq!(workers.iter().filter(|worker| worker.forked).count(), 1);
    rig.end().await;
}
