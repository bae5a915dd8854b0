//! All that is known of one worker.

use std::time::Duration;

use serde::Deserialize;

use super::Worker;
use crate::ages::{age, ago};
use crate::colour::Paint;
use crate::columns::{known, pairs};

/// What of the daemon's answer people read, besides what is in a list.
#[derive(Deserialize)]
pub(super) struct Detail {
    pool: String,
    capabilities: Vec<String>,
    runtime: Option<Runtime>,
    health: Option<Health>,
    heartbeat: Option<Heartbeat>,
    taint: Option<Taint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Runtime {
    language: String,
    version: String,
    implementation: String,
    json: String,
}

#[derive(Deserialize)]
struct Health {
    is_healthy: bool,
    failures: u32,
    message: Option<String>,
    asked_at: f64,
}

#[derive(Deserialize)]
struct Heartbeat {
    answered_at: Option<f64>,
    took_seconds: Option<f64>,
    missed: u32,
}

#[derive(Deserialize)]
struct Taint {
    class: String,
    remaining_seconds: f64,
}

impl Detail {
    pub(super) fn sheet(&self, worker: &Worker, now: Duration, paint: Paint) -> String {
        let said = [
            ("worker", worker.id.clone()),
            ("pool", self.pool.clone()),
            ("state", worker.state.clone()),
            ("pid", known(worker.pid.map(|pid| pid.to_string()))),
            ("generation", worker.generation.to_string()),
            ("up", known(worker.started_at.map(|since| age(now.as_secs_f64() - since)))),
            ("calls", format!("{}, {} with an error, {} running", worker.calls, worker.errors, worker.in_flight)),
            ("memory", known(worker.rss_bytes.map(|bytes| format!("{} MiB", bytes >> 20)))),
            ("runtime", known(self.runtime.as_ref().map(Runtime::words))),
            ("capabilities", known((!self.capabilities.is_empty()).then(|| self.capabilities.join(", ")))),
            ("health", known(self.health.as_ref().map(|health| health.words(now, paint)))),
            ("heartbeat", known(self.heartbeat.as_ref().map(|heartbeat| heartbeat.words(now)))),
            ("taint", known(self.taint.as_ref().map(|taint| paint.yellow(&taint.words())))),
        ];
        pairs(&said, paint)
    }
}

impl Runtime {
    fn words(&self) -> String {
        let name = [&self.language, &self.version].map(String::as_str).join(" ");
        let rest = [("", &self.implementation), ("JSON by ", &self.json)];
        let rest =
            rest.into_iter().filter(|(_, what)| !what.is_empty()).map(|(before, what)| format!("{before}{what}"));
        std::iter::once(name.trim().to_owned()).chain(rest).collect::<Vec<_>>().join(", ")
    }
}

impl Health {
    fn words(&self, now: Duration, paint: Paint) -> String {
        let asked = ago(self.asked_at, now);
        if self.is_healthy {
            return format!("{}, asked {asked}", paint.green("well"));
        }
        let said = self.message.as_deref().unwrap_or("it does not say why");
        format!("{} ({} in a row), asked {asked}: {said}", paint.yellow("not well"), self.failures)
    }
}

impl Heartbeat {
    fn words(&self, now: Duration) -> String {
        let answered = match (self.answered_at, self.took_seconds) {
            (Some(at), Some(took)) => format!("answered {} in {:.1} ms", ago(at, now), took * 1000.0),
            _ => "not answered yet".to_owned(),
        };
        if self.missed == 0 { answered } else { format!("{answered}, {} missed since", self.missed) }
    }
}

impl Taint {
    fn words(&self) -> String {
        format!("no calls for {} more, after a crash ({})", age(self.remaining_seconds), self.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::both::Both;

    fn shown(rest: &str) -> String {
        let status =
            r#""id":"default-1","pool":"default","state":"idle","generation":2,"in_flight":0,"calls":10,"errors":3"#;
        let Both::<Worker, Detail>(worker, detail) = serde_json::from_str(&format!("{{{status},{rest}}}")).unwrap();
        detail.sheet(&worker, Duration::from_secs(101), Paint::PLAIN)
    }

    #[test]
    fn what_a_worker_is_and_how_it_fares() {
        let rest = r#""pid":4711,"rss_bytes":15728640,"started_at":40.5,"capabilities":["cancel","stream"],
            "runtime":{"language":"python","version":"3.12.1","implementation":"CPython","json":"orjson"},
            "health":{"is_healthy":false,"failures":2,"message":"no card","asked_at":100.0},
            "heartbeat":{"answered_at":99.0,"took_seconds":0.0005,"missed":1},
            "taint":{"id":"default-1","of":"worker","class":"segfault","age_seconds":1.0,"remaining_seconds":59.0}"#;
        let expected = "\
worker        default-1
pool          default
state         idle
pid           4711
generation    2
up            60 s
calls         10, 3 with an error, 0 running
memory        15 MiB
runtime       python 3.12.1, CPython, JSON by orjson
capabilities  cancel, stream
health        not well (2 in a row), asked 1 s ago: no card
heartbeat     answered 2 s ago in 0.5 ms, 1 missed since
taint         no calls for 59 s more, after a crash (segfault)";
        assert_eq!(shown(rest), expected);
    }

    #[test]
    fn what_is_not_known_of_one_that_starts() {
        let rest = r#""pid":null,"rss_bytes":null,"started_at":null,"capabilities":[],"runtime":null,"health":null,
            "heartbeat":{"answered_at":null,"took_seconds":null,"missed":0},"taint":null"#;
        let shown = shown(rest);
        assert!(shown.contains("\nruntime       -\ncapabilities  -\nhealth        -\n"), "{shown}");
        assert!(shown.contains("\nheartbeat     not answered yet\n"), "{shown}");
    }
}
