//! One event on one line, for people.

use serde_json::{Map, Value};

use crate::ages::time_of_day;
use crate::colour::Paint;

/// The time, the name, and what stands in it.
pub(super) fn line(name: &str, data: &str, paint: Paint) -> String {
    let Ok(Value::Object(mut event)) = serde_json::from_str(data) else {
        return format!("{} {data}", paint.bold(name));
    };
    let at = event.shift_remove("at").and_then(|at| at.as_f64()).map(time_of_day);
    event.shift_remove("name");
    let name = if name.ends_with("lagged") { paint.yellow(name) } else { paint.bold(name) };
    let time = at.map(|at| paint.dim(&at));
    time.into_iter().chain([name]).chain(fields(&event)).collect::<Vec<_>>().join("  ")
}

fn fields(event: &Map<String, Value>) -> Option<String> {
    let field = |(key, value): (&String, &Value)| format!("{key}={}", written(value));
    let fields: Vec<String> = event.iter().filter(|(_, value)| !value.is_null()).map(field).collect();
    (!fields.is_empty()).then(|| fields.join(" "))
}

/// A word without its quotes; a sentence, or what could be taken for something else, as JSON.
fn written(value: &Value) -> String {
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/%".contains(c));
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let data =
            r#"{"name":"worker.gone","at":3661.5,"worker":"default-1","how":"exit status 3","pid":12,"absent":null}"#;
        let expected = "01:01:01.500Z  worker.gone  worker=default-1 how=\"exit status 3\" pid=12";
        assert_eq!(line("worker.gone", data, Paint::PLAIN), expected);
        assert_eq!(line("pool.available", r#"{"at":0}"#, Paint::PLAIN), "00:00:00.000Z  pool.available");
        assert_eq!(line("other", "[1]", Paint::PLAIN), "other [1]");
    }

    #[test]
    fn no_line_of_a_worker_breaks_ours() {
        let shown = line("worker.log", r#"{"message":"a\nb\u001b[31m"}"#, Paint::PLAIN);
        assert_eq!(shown, r#"worker.log  message="a\nb\u001b[31m""#);
    }
}
