use std::path::Path;
use std::sync::{Arc, Mutex};

use hatchery::Scope;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::open::Open;
use super::public::grpc_with;

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = Line(attributes.metadata().target().to_owned());
        attributes.record(&mut line);
        self.0.lock().unwrap().push(line.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn all_files(folder: &Path, visit: &mut impl FnMut(&Path, Vec<u8>)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all_files(&entry.path(), visit),
            kind if kind.is_file() => visit(&entry.path(), std::fs::read(entry.path()).unwrap()),
            _ => {}
        }
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines of audit, without what they have in common.
    fn audit(&self) -> Vec<String> {
        let lines = self.lines();
        lines.iter().filter_map(|line| line.strip_prefix("hatchery::audit caller=token ").map(str::to_owned)).collect()
    }
}

#[tokio::test]
async fn an_order_is_told_of_and_a_token_never() {
    let log = Log::default();
    let _of_this_thread = tracing::subscriber::set_default(log.clone());
    let (open, [observe, operate]) = Open::to_all([Scope::Observe, Scope::Operate], "").await;
    let wrong = "hatchery_a-token-of-somebody-else";
    open.get("/v1/status", wrong).await.fails(401, "unavailable", "");
    open.ask("POST", "/v1/stop", &observe).await.fails(403, "unavailable", "");
    // Without a body it is no order that could be understood.
    open.ask("POST", "/v1/pools/gpu/scale", &observe).await.fails(403, "unavailable", "");
    assert_eq!(open.ask("POST", "/v1/stop", &operate).await.status, 200);
    assert_eq!(
        log.audit(),
        [
            "observe order=\"stop\" subject=\"daemon\" outcome=\"unavailable\"",
            "observe order=\"scale\" subject=\"pool gpu\" outcome=\"unavailable\"",
            "operate order=\"stop\" subject=\"daemon\" outcome=\"done\"",
        ]
    );
    let lines = log.lines();
    for secret in [&observe, &operate, wrong] {
        assert!(!lines.iter().any(|line| line.contains(secret)));
        all_files(open.folder.path(), &mut |path, bytes| {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{path:?}");
        });
    }
    open.end().await;
}

/// A message whose only byte begins no field.
const MALFORMED: &[u8] = &[0, 0, 0, 0, 1, 0xff];

#[tokio::test]
async fn an_order_that_cannot_be_understood_is_told_of_once_and_refused_to_who_may_not_give_it() {
    let log = Log::default();
    let _of_this_thread = tracing::subscriber::set_default(log.clone());
    let (open, [observe, operate]) = Open::to_all([Scope::Observe, Scope::Operate], "").await;
    let rpc = |name| format!("/hatchery.v1.Hatchery/{name}");
    let forbidden = grpc_with(&open, &rpc("Scale"), &observe, MALFORMED).await;
    assert_eq!(forbidden.0, "7", "{forbidden:?}");
    let unread = grpc_with(&open, &rpc("Recycle"), &operate, MALFORMED).await;
    assert_eq!(unread.0, "13", "{unread:?}");
    open.ask("POST", "/v1/pools/gpu/scale", &operate).await.fails(400, "validation", "");
    // What is no order leaves no line, and what could be read leaves its own.
    grpc_with(&open, &rpc("Status"), &operate, MALFORMED).await;
    grpc_with(&open, &rpc("Reload"), &operate, &[0, 0, 0, 0, 0]).await;
    assert_eq!(
        log.audit(),
        [
            "observe order=\"scale\" subject=\"unknown\" outcome=\"unavailable\"",
            "operate order=\"recycle_worker\" subject=\"unknown\" outcome=\"unread\"",
            "operate order=\"scale\" subject=\"pool gpu\" outcome=\"unread\"",
            "operate order=\"reload\" subject=\"configuration\" outcome=\"unavailable\"",
        ]
    );
    open.end().await;
}
