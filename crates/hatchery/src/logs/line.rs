//! One line: what it says, and how it is written.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::filter::category;

/// A line of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// When it was said.
    pub at: SystemTime,
    /// How important it is.
    pub level: Level,
    /// What it is about: one of [`LogFilter::CATEGORIES`](super::LogFilter::CATEGORIES).
    pub category: String,
    /// The event that it tells of, by its name in the [`catalogue`](crate::catalogue), if it tells of one.
    pub event: Option<&'static str>,
    /// What happened, in words. Empty where the fields say it all.
    pub message: String,
    /// The same as data.
    pub fields: Map<String, Value>,
}

impl LogLine {
    /// A line of the program's own, said now.
    pub fn new(level: Level, category: impl Into<String>, message: impl Into<String>) -> LogLine {
        let (category, message) = (category.into(), message.into());
        LogLine { at: SystemTime::now(), level, category, event: None, message, fields: Map::new() }
    }

    pub(super) fn of(event: &Event<'_>, at: SystemTime) -> LogLine {
        let metadata = event.metadata();
        let mut line = LogLine::new(*metadata.level(), category(metadata.target()).unwrap_or(metadata.target()), "");
        line.at = at;
        line.event = is_named(metadata.name()).then_some(metadata.name());
        event.record(&mut line);
        line
    }

    /// `{time, level, category, event?, message?, fields?}`, the time as of RFC 3339.
    pub fn to_json(&self) -> Value {
        let mut line =
            json!({ "time": Stamp(self.at).to_string(), "level": word(self.level), "category": self.category });
        if let Some(event) = self.event {
            line["event"] = event.into();
        }
        if !self.message.is_empty() {
            line["message"] = self.message.as_str().into();
        }
        if !self.fields.is_empty() {
            line["fields"] = self.fields.clone().into();
        }
        line
    }

    /// What happened, without when and how important it is: the message, or the fields if there is none. On one line, and without
    /// what a terminal would obey, whoever said it.
    pub fn words(&self) -> String {
        let words = if self.message.is_empty() { self.fields_in_words() } else { self.message.clone() };
        if words.chars().any(is_obeyed) { on_one_line(&words) } else { words }
    }

    fn fields_in_words(&self) -> String {
        let field = |(key, value): (&String, &Value)| match value {
            Value::String(text) if is_word(text) => format!("{key}={text}"),
            value => format!("{key}={value}"),
        };
        self.fields.iter().map(field).collect::<Vec<_>>().join(" ")
    }
}

/// `2026-11-22T03:04:05.678Z WARNING pool: pool a serves again`.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = word(self.level).to_ascii_uppercase();
        write!(f, "{} {level} {}: ", Stamp(self.at), self.category)?;
        if let (Some("worker.log"), Some(worker)) = (self.event, self.fields.get("worker").and_then(Value::as_str)) {
            write!(f, "{worker} | ")?;
        }
        f.write_str(&self.words())
    }
}

impl Visit for LogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            name => drop(self.fields.insert(name.to_owned(), value.into())),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

/// Other places of a program are called as the file that they stand in.
fn is_named(name: &str) -> bool {
    !name.starts_with("event ")
}

/// As in `--log`.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Needs no quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=')
}

/// Ends a line, or makes a terminal do something; a tab does no harm.
fn is_obeyed(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')
}

fn on_one_line(words: &str) -> String {
    words.chars().fold(String::with_capacity(words.len()), |mut line, c| {
        match is_obeyed(c) {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
        line
    })
}

/// A time as of RFC 3339, in UTC, to the millisecond.
struct Stamp(SystemTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let milliseconds = since.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
    }
}

/// The date so many days after 1970-01-01, in the calendar of Gregory. Years are counted from March on, so that the leap day is the
/// last of one; eras are 400 of them.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let stamp = |seconds| Stamp(UNIX_EPOCH + Duration::from_millis(seconds)).to_string();
        // As `date --utc --date=@…` has them.
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_782_399_001), "2000-02-28T23:59:59.001Z");
        assert_eq!(stamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(stamp(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(stamp(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(stamp(1_795_316_645_678), "2026-11-22T03:04:05.678Z");
    }

    #[test]
    fn what_a_worker_writes_forges_no_line_and_moves_no_cursor() {
        let message =
            "done\r\n2026-11-22T03:04:05.678Z ERROR audit: \u{1b}[2J\u{9b}1m\u{7f}\u{2028}gr\u{fc}n\t\u{1f41d}";
        let line = LogLine { at: UNIX_EPOCH, ..LogLine::new(Level::INFO, "output", message) };
        let expected = "1970-01-01T00:00:00.000Z INFO output: done\\r\\n2026-11-22T03:04:05.678Z ERROR audit: \
             \\u{1b}[2J\\u{9b}1m\\u{7f}\\u{2028}gr\u{fc}n\t\u{1f41d}";
        assert_eq!(line.to_string(), expected);
        assert_eq!(line.to_json()["message"], message, "JSON escapes by itself");
        let fields = json!({ "caller": "a\u{9b}1m\nb" }).as_object().unwrap().clone();
        assert_eq!(LogLine { message: String::new(), fields, ..line }.words(), "caller=\"a\\u{9b}1m\\nb\"");
    }

    #[test]
    fn a_line_without_a_sentence_is_its_fields() {
        let fields = json!({ "caller": "token ci", "n": 1, "order": "recycle" }).as_object().unwrap().clone();
        let (category, message) = ("audit".to_owned(), String::new());
        let line = LogLine { at: UNIX_EPOCH, level: Level::INFO, category, event: None, message, fields };
        let expected = "1970-01-01T00:00:00.000Z INFO audit: caller=\"token ci\" n=1 order=recycle";
        assert_eq!(line.to_string(), expected);
        let expected = json!({
            "time": "1970-01-01T00:00:00.000Z",
            "level": "info",
            "category": "audit",
            "fields": { "caller": "token ci", "order": "recycle", "n": 1 },
        });
        assert_eq!(line.to_json(), expected);
    }
}
