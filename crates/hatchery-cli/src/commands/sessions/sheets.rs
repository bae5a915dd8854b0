//! Sessions as people read them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ages::{age, ago};
use crate::colour::Paint;
use crate::columns::{Column, Holds, known, pairs, table};

/// What of a session in a list people read.
#[derive(Deserialize)]
pub(super) struct Summary {
    id: String,
    created_at: f64,
    last_accessed: f64,
    ttl_seconds: Option<f64>,
    last_worker: Option<LastWorker>,
    program_count: usize,
    metadata_count: usize,
    memory_bytes: usize,
}

#[derive(Deserialize)]
struct LastWorker {
    worker: String,
    generation: u64,
}

/// And of one that is looked at, besides.
#[derive(Deserialize)]
pub(super) struct Session {
    programs: Vec<String>,
    metadata: Map<String, Value>,
}

pub(super) fn table_of(sessions: &[Summary], now: Duration, paint: Paint) -> String {
    if sessions.is_empty() {
        return "there are no sessions".to_owned();
    }
    let (text, number) = (|heading| Column(heading, Holds::Text), |heading| Column(heading, Holds::Numbers));
    let columns = [
        text("session"),
        text("worker"),
        number("age"),
        number("untouched"),
        number("lives"),
        number("programs"),
        number("metadata"),
        number("memory"),
    ];
    table(columns, &sessions.iter().map(|session| session.row(now)).collect::<Vec<_>>(), paint)
}

impl Summary {
    fn row(&self, now: Duration) -> [String; 8] {
        let since = |then: f64| age(now.as_secs_f64() - then);
        [
            self.id.clone(),
            known(self.last_worker.as_ref().map(|last| last.worker.clone())),
            since(self.created_at),
            since(self.last_accessed),
            self.lives(),
            self.program_count.to_string(),
            self.metadata_count.to_string(),
            format!("{} KiB", self.memory_bytes.div_ceil(1024)),
        ]
    }

    /// How long, if nobody touches it.
    fn lives(&self) -> String {
        self.ttl_seconds.map_or_else(|| "for ever".to_owned(), age)
    }
}

impl Session {
    pub(super) fn sheet(&self, summary: &Summary, now: Duration, paint: Paint) -> String {
        let worker =
            summary.last_worker.as_ref().map(|last| format!("{} (generation {})", last.worker, last.generation));
        let said = [
            ("session", summary.id.clone()),
            ("worker", known(worker)),
            ("created", ago(summary.created_at, now)),
            ("touched", ago(summary.last_accessed, now)),
            ("lives", summary.lives()),
            ("memory", format!("{} KiB", summary.memory_bytes.div_ceil(1024))),
            ("programs", known((!self.programs.is_empty()).then(|| self.programs.join(", ")))),
            ("metadata", known((!self.metadata.is_empty()).then(|| Value::Object(self.metadata.clone()).to_string()))),
        ];
        pairs(&said, paint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::both::Both;

    const SUMMARY: &str = r#""id":"user-7","created_at":40.0,"last_accessed":99.5,"ttl_seconds":3600.0,
        "last_worker":{"run":"0123","worker":"default-1","generation":2},"program_count":1,"metadata_count":2,"memory_bytes":1025"#;

    #[test]
    fn a_list_says_who_they_are_and_how_long_they_live() {
        let sessions: Vec<Summary> = serde_json::from_str(&format!("[{{{SUMMARY}}}]")).unwrap();
        let expected = "\
session  worker      age  untouched   lives  programs  metadata  memory
user-7   default-1  60 s        0 s  60 min         1         2   2 KiB";
        assert_eq!(table_of(&sessions, Duration::from_secs(100), Paint::PLAIN), expected);
        assert_eq!(table_of(&[], Duration::ZERO, Paint::PLAIN), "there are no sessions");
    }

    #[test]
    fn one_is_shown_with_what_is_in_it() {
        let text =
            format!(r#"{{{SUMMARY},"programs":["plan"],"metadata":{{"user":7,"big":12345678901234567890123}}}}"#);
        let Both::<Summary, Session>(summary, session) = serde_json::from_str(&text).unwrap();
        let expected = "\
session   user-7
worker    default-1 (generation 2)
created   60 s ago
touched   0 s ago
lives     60 min
memory    2 KiB
programs  plan
metadata  {\"user\":7,\"big\":12345678901234567890123}";
        assert_eq!(session.sheet(&summary, Duration::from_secs(100), Paint::PLAIN), expected);
    }
}
