//! The status as a page, for people with a browser. No script, nothing from elsewhere, and every text escaped: names and errors are
//! what others have written.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hatchery::{PoolStatus, WorkerStatus};

use crate::house::House;
use crate::observation::{self, Status};

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>hatchery</title>\
<meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\"><style>\
body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:70em;color-scheme:light dark}\
table{border-collapse:collapse;margin:1em 0}th,td{padding:.2em 1em .2em 0;text-align:left}\
td.n{text-align:right;font-variant-numeric:tabular-nums}</style></head><body>";

/// What a browser may do with it: nothing but show it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(crate) async fn page(State(house): State<Arc<House>>) -> Response {
    let html = whole(&observation::status(&house).await, &observation::workers(&house));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, html).into_response()
}

fn whole(status: &Status, workers: &[WorkerStatus]) -> String {
    let run = status.run.as_deref().map_or("none", |run| &run[..7.min(run.len())]);
    let facts =
        format!("{} · version {} · run {run} · pid {} · {}", status.phase, status.version, status.pid, status.address);
    let promise = status.guarantee.as_ref().map(|guarantee| guarantee.promise()).unwrap_or_default();
    let pools = table(&["pool", "state", "workers", "ready", "queued", "running"], status.pools.iter().map(pool));
    let names = ["worker", "state", "pid", "generation", "in flight", "calls", "errors", "memory"];
    let workers = table(&names, workers.iter().map(worker));
    let links = "<p><a href=\"/v1/status\">status</a> · <a href=\"/metrics\">metrics</a> · <a href=\"/openapi.json\">interface</a></p>";
    format!(
        "{HEAD}<h1>hatchery</h1><p>{}</p><p>{}</p>{pools}{workers}{links}</body></html>",
        escaped(&facts),
        escaped(promise)
    )
}

/// A field: a number stands to the right.
enum Field {
    Text(String),
    Number(String),
}

fn pool(pool: &PoolStatus) -> Vec<Field> {
    let numbers = [pool.workers, pool.ready, pool.queued, pool.running].map(|number| Field::Number(number.to_string()));
    [Field::Text(pool.pool.clone()), Field::Text(pool.state.into())].into_iter().chain(numbers).collect()
}

fn worker(worker: &WorkerStatus) -> Vec<Field> {
    let or_none = |number: Option<String>| Field::Number(number.unwrap_or_else(|| "–".into()));
    vec![
        Field::Text(worker.id.clone()),
        Field::Text(if worker.tainted { format!("{}, tainted", worker.state) } else { worker.state.into() }),
        or_none(worker.pid.map(|pid| pid.to_string())),
        Field::Number(worker.generation.to_string()),
        Field::Number(worker.in_flight.to_string()),
        Field::Number(worker.calls.to_string()),
        Field::Number(worker.errors.to_string()),
        or_none(worker.rss_bytes.map(|bytes| format!("{} MiB", bytes >> 20))),
    ]
}

fn table(names: &[&str], rows: impl Iterator<Item = Vec<Field>>) -> String {
    let mut html = String::from("<table><tr>");
    names.iter().for_each(|name| html.extend(["<th>", name, "</th>"]));
    for row in rows {
        html.push_str("</tr><tr>");
        for field in row {
            let _a_string_takes_all = match field {
                Field::Text(text) => write!(html, "<td>{}</td>", escaped(&text)),
                Field::Number(text) => write!(html, "<td class=\"n\">{}</td>", escaped(&text)),
            };
        }
    }
    html + "</tr></table>"
}

/// Safe between tags and in quotes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, letter| {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        html
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_is_text() {
        let row = || vec![Field::Text("<script>'&\"".into())].into_iter();
        let html = table(&["name"], [row().collect()].into_iter());
        assert_eq!(html, "<table><tr><th>name</th></tr><tr><td>&lt;script&gt;&#39;&amp;&quot;</td></tr></table>");
    }

    #[test]
    fn nothing_in_it_is_a_script_or_from_elsewhere() {
        assert!(!HEAD.contains("<script") && !HEAD.contains("http://") && !HEAD.contains("https://"));
        assert!(POLICY.starts_with("default-src 'none'"));
    }
}
