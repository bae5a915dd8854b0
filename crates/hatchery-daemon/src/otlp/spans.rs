//! A call that is over, as spans: the call, and in it the wait and the run of its last try.

use std::time::{Duration, SystemTime};

use hatchery::{CallEvent, Event, Heard};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::{attribute, nanoseconds, text};

/// The W3C's flag for what is sampled.
const SAMPLED: u32 = 1;

/// None for a call that is not recorded, and for other events.
pub(super) fn of(heard: &Heard) -> Vec<Span> {
    let Event::Call(CallEvent::Finished { span: Some(own), took, queued, ran, .. }) = &heard.event else {
        return Vec::new();
    };
    let Some((trace, id)) = ids(own) else { return Vec::new() };
    let before = |time: Duration| heard.at.checked_sub(time).unwrap_or(heard.at);
    let mut spans = vec![call(&heard.event, &trace, &id, (before(*took), heard.at))];
    let ran_from = before(ran.unwrap_or_default());
    if let Some(queued) = queued {
        let from = before(ran.unwrap_or_default() + *queued);
        spans.push(child("queue", &trace, &id, 1, (from, ran_from)));
    }
    if ran.is_some() {
        spans.push(child("run", &trace, &id, 2, (ran_from, heard.at)));
    }
    spans
}

fn call(event: &Event, trace: &[u8], id: &[u8], (from, to): (SystemTime, SystemTime)) -> Span {
    let Event::Call(CallEvent::Finished { outcome, parent_span, .. }) = event else { return Span::default() };
    let parent = parent_span.as_deref().and_then(bytes).unwrap_or_default();
    Span {
        trace_id: trace.to_vec(),
        span_id: id.to_vec(),
        parent_span_id: parent,
        name: "hatchery.call".to_owned(),
        kind: SpanKind::Server as i32,
        flags: SAMPLED,
        start_time_unix_nano: nanoseconds(from),
        end_time_unix_nano: nanoseconds(to),
        attributes: attributes(event),
        status: (*outcome != "ok").then(|| Status { code: StatusCode::Error as i32, message: (*outcome).to_owned() }),
        ..Span::default()
    }
}

fn attributes(event: &Event) -> Vec<KeyValue> {
    let Event::Call(CallEvent::Finished { pool, tool, outcome, worker, session, correlation_id, tries, .. }) = event
    else {
        return Vec::new();
    };
    let mut all = vec![
        text("hatchery.pool", pool),
        text("hatchery.tool", tool),
        text("hatchery.correlation_id", correlation_id),
        text("hatchery.outcome", outcome),
        attribute("hatchery.tries", Value::IntValue((*tries).into())),
    ];
    all.extend(worker.as_ref().map(|worker| text("hatchery.worker.id", worker.as_str())));
    all.extend(session.as_ref().map(|session| text("hatchery.session_id", session)));
    if *outcome != "ok" {
        all.push(text("error.type", outcome));
    }
    all
}

/// Its id follows from the call's, which is random: nobody else has to know it.
fn child(name: &str, trace: &[u8], parent: &[u8], nth: u8, (from, to): (SystemTime, SystemTime)) -> Span {
    let mut id = parent.to_vec();
    id.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(nth));
    Span {
        trace_id: trace.to_vec(),
        span_id: id,
        parent_span_id: parent.to_vec(),
        name: name.to_owned(),
        kind: SpanKind::Internal as i32,
        flags: SAMPLED,
        start_time_unix_nano: nanoseconds(from),
        end_time_unix_nano: nanoseconds(to),
        ..Span::default()
    }
}

/// Of the trace and of the span, in a `traceparent`.
fn ids(context: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = context.split('-').skip(1);
    Some((bytes(parts.next()?)?, bytes(parts.next()?)?))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    pairs.collect()
}
