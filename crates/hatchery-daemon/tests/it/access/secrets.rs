use std::path::Path;
use std::sync::{Arc, Mutex};

use hatchery::Scope;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::open::Open;

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
    let lines = log.0.lock().unwrap().clone();
    let audit: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("hatchery::audit")).collect();
    assert_eq!(
        audit,
        [
            " caller=token observe order=\"stop\" subject=\"daemon\" outcome=\"unavailable\"",
            " caller=token observe order=\"scale\" subject=\"pool gpu\" outcome=\"unavailable\"",
            " caller=token operate order=\"stop\" subject=\"daemon\" outcome=\"done\"",
        ]
    );
    for secret in [&observe, &operate, wrong] {
        assert!(!lines.iter().any(|line| line.contains(secret)));
        all_files(open.folder.path(), &mut |path, bytes| {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{path:?}");
        });
    }
    open.end().await;
}
