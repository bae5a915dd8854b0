//! Handlers of agent runs. What a run says comes as server-sent events whose ids are the run's own numbers: whoever comes again with the
//! last one that it has seen misses nothing that is still there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use hatchery::ErrorKind;
use hatchery::agent::{AgentEvents, AgentFilter, Answer, Heard, Stream};
use serde::Deserialize;

use super::events::until;
use super::json_body::{Nothing, Object};
use super::path::Named;
use super::query::Asked;
use super::{Answered, document};
use crate::access::Caller;
use crate::agents::{self, Wish};
use crate::event_stream;
use crate::failure::Failure;
use crate::house::House;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    state: Option<String>,
    /// `KEY=VALUE`, several with commas between.
    label: Option<String>,
    session: Option<String>,
    #[serde(default)]
    all: bool,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    #[serde(default)]
    from: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    text: String,
}

#[derive(Deserialize)]
pub(crate) struct Answering {
    request: String,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// Without its ladder.
    #[serde(default)]
    at_once: bool,
}

type Shared = State<Arc<House>>;

pub(crate) async fn start(State(house): Shared, caller: Caller, Object(wish): Object<Wish>) -> Answered {
    document(&agents::start(&house, &caller, wish).await?)
}

pub(crate) async fn list(State(house): Shared, Asked(asked): Asked<Filter>) -> Answered {
    let mut filter = AgentFilter::default();
    filter.labels = labels(asked.label.as_deref().unwrap_or_default())?;
    (filter.state, filter.session) = (asked.state, asked.session);
    (filter.with_ended, filter.most) = (asked.all, asked.limit);
    document(&agents::list(&house, filter).await?)
}

pub(crate) async fn show(State(house): Shared, Named(run): Named<String>) -> Answered {
    document(&agents::show(&house, &run).await?)
}

pub(crate) async fn wait(State(house): Shared, Named(run): Named<String>) -> Answered {
    document(&agents::wait(&house, &run).await?)
}

pub(crate) async fn send(
    State(house): Shared,
    caller: Caller,
    Named(run): Named<String>,
    Object(turn): Object<Turn>,
) -> Answered {
    document(&agents::send(&house, &caller, &run, turn.text).await?)
}

pub(crate) async fn end_input(
    State(house): Shared,
    caller: Caller,
    Named(run): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&agents::end_input(&house, &caller, &run).await?)
}

pub(crate) async fn answer(
    State(house): Shared,
    caller: Caller,
    Named(run): Named<String>,
    Object(Answering { request, answer }): Object<Answering>,
) -> Answered {
    document(&agents::answer(&house, &caller, &run, request, answer).await?)
}

pub(crate) async fn interrupt(
    State(house): Shared,
    caller: Caller,
    Named(run): Named<String>,
    Object(Nothing {}): Object<Nothing>,
) -> Answered {
    document(&agents::interrupt(&house, &caller, &run).await?)
}

pub(crate) async fn stop(
    State(house): Shared,
    caller: Caller,
    Named(run): Named<String>,
    Object(Stop { at_once }): Object<Stop>,
) -> Answered {
    document(&agents::stop(&house, &caller, &run, at_once).await?)
}

/// Whoever does not read holds up nobody: events are fetched as they are taken.
pub(crate) async fn events(
    State(house): Shared,
    Named(run): Named<String>,
    Asked(From { from }): Asked<From>,
    headers: HeaderMap,
) -> Answered {
    let from = last_seen(&headers)?.map_or(from, |last| last.saturating_add(1));
    let events = agents::events(&house, &run, from).await?;
    let feed = Feed { events, house, run, is_begun: false, is_over: false };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(feed.lines())).into_response())
}

/// What a browser sends when it comes again.
fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(said) = headers.get("last-event-id") else { return Ok(None) };
    let number = said.to_str().ok().and_then(|text| text.parse().ok());
    let strange = || Failure::new(ErrorKind::Validation, "Last-Event-ID: expected the number of an event");
    number.map(Some).ok_or_else(strange)
}

fn labels(said: &str) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    let strange = || Failure::new(ErrorKind::Validation, format!("label: expected KEY=VALUE, found {said:?}"));
    said.split(',').filter(|text| !text.is_empty()).map(|text| pair(text).ok_or_else(strange)).collect()
}

struct Feed {
    events: AgentEvents,
    house: Arc<House>,
    run: String,
    is_begun: bool,
    is_over: bool,
}

impl Feed {
    fn lines(self) -> impl futures_core::Stream<Item = Result<String, Infallible>> + Send {
        futures_util::stream::unfold(self, |mut feed| async { Some((Ok(feed.next().await?), feed)) })
    }

    /// The last one has the outcome; there is none if the daemon ends before.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.is_begun, true) {
            return Some(": listening\n\n".to_owned());
        }
        if self.is_over {
            return None;
        }
        let Feed { events, house, run, .. } = self;
        let next = async {
            match events.next().await {
                Some(heard) => Next::Heard(heard),
                None => Next::Over(agents::wait(house, run).await),
            }
        };
        match until(async { Some(next.await) }, house.closed()).await {
            Err(_silence) => Some(": still here\n\n".to_owned()),
            Ok(None) => None,
            Ok(Some(Next::Heard(heard))) => Some(told(&heard)),
            Ok(Some(Next::Over(ended))) => {
                self.is_over = true;
                Some(event_stream::event("end", &serde_json::to_string(&ended.ok()?).ok()?))
            }
        }
    }
}

enum Next {
    Heard(Heard),
    Over(hatchery::Result<agents::Ended>),
}

fn told(heard: &Heard) -> String {
    let (id, name) = match heard {
        Heard::Event(event) => (event.seq, stream(event.stream)),
        Heard::Gap(gap) => (gap.from + gap.events - 1, "gap"),
    };
    let json = serde_json::to_string(heard).unwrap_or_default();
    format!("id: {id}\n{}", event_stream::event(name, &json))
}

fn stream(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Host => "host",
    }
}
