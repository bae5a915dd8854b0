//! Looks around in a pool: who is old, who is large, who is not well. What follows is the seat's affair.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::seat::Order;
use super::settings::Recycle;
use super::{Crew, Shared};
use crate::call::{Deadline, passed};
use crate::error::ErrorKind;
use crate::id::LifeId;
use crate::run::Run;
use crate::telemetry::{Event, RecycleReason, Shape, WorkerEvent};
use crate::value::Payload;
use crate::wire::{HEALTH_TOOL, HealthBody};
use crate::worker::{Call, Line, Sent, Sink};

/// What an app says of its health is cut here.
const MAX_MESSAGE: usize = 8 << 10;

/// What is known of a worker, as far as recycling is concerned.
#[derive(Clone, Copy, Debug)]
struct Facts {
    age: Duration,
    rss: Option<u64>,
    /// Its own share of the jitter, 0 to 1.
    share: f64,
}

/// Replaces what is due, for ever. Ends with the pool.
pub(crate) async fn recycle(crew: Weak<Crew>) {
    let shares = RandomState::new();
    while let Some((shared, run)) = after(&crew, |shared| shared.rules().config.recycle.check).await {
        shared.forget_sessions();
        let settings = shared.rules().config.recycle;
        if settings.ttl.is_none() && settings.max_rss.is_none() {
            continue;
        }
        for line in shared.lines() {
            let facts = measure(&line, &run, settings, &shares).await;
            if let Some(reason) = due(facts, settings) {
                shared.order(line.life.seat, Order::Replace(line.life.generation, reason));
            }
        }
    }
}

/// Asks those who have nothing to do how they are, for ever. Ends with the pool.
pub(crate) async fn ask_how_they_are(crew: Weak<Crew>) {
    let mut failures: HashMap<LifeId, u32> = HashMap::new();
    while let Some((shared, _)) = after(&crew, |shared| shared.rules().config.health.interval).await {
        let lines: Vec<Arc<Line>> = shared.lines().into_iter().filter(|line| line.can_say_how_it_is()).collect();
        failures.retain(|life, _| lines.iter().any(|line| line.life == *life));
        for line in lines {
            match ask(&shared, &line).await {
                None => {}
                Some(Ok(())) => {
                    line.vitals.well();
                    failures.remove(&line.life);
                }
                Some(Err(reason)) => {
                    let count = failures.entry(line.life).or_default();
                    *count += 1;
                    unwell(&shared, &line, *count, reason);
                }
            }
        }
    }
}

fn unwell(shared: &Shared, line: &Line, failures: u32, reason: String) {
    line.vitals.unwell(failures, &reason);
    shared.emitter.emit(Event::Worker(WorkerEvent::Unhealthy { worker: line.id.clone(), failures, reason }));
    if shared.rules().config.health.replace_after.is_some_and(|limit| failures >= limit) {
        shared.order(line.life.seat, Order::Replace(line.life.generation, RecycleReason::Unhealthy));
    }
}

/// `None`: the worker has better things to do, or is gone.
async fn ask(shared: &Arc<Shared>, line: &Arc<Line>) -> Option<Result<(), String>> {
    let (answered, answer) = oneshot::channel();
    let deadline = Deadline::after(Instant::now(), shared.rules().config.health.timeout);
    let call = Call {
        tool: HEALTH_TOOL.into(),
        arguments: Payload::encode(&serde_json::json!({})).ok()?,
        correlation_id: "".into(),
        session: None,
        handles: false,
        trace_parent: None,
        metadata: None,
        deadline,
        sink: Sink::Unary(answered),
        made: Instant::now(),
        deaths: 0,
        mark: None,
    };
    let id = shared.lease(line.life)?;
    match line.send(id, call, || ()) {
        Sent::Written => {}
        Sent::Refused | Sent::Dying(_) => {
            shared.end_lease(line.life, id);
            return None;
        }
    }
    let answer = tokio::select! {
        biased;
        answer = answer => answer.ok()?.result,
        () = passed(deadline) => {
            // It is given up like any other call: a worker that is deaf to that is replaced.
            line.cancel(id);
            return Some(Err(format!("no answer within {:?}", shared.rules().config.health.timeout)));
        }
    };
    match answer.map(|answer| answer.decode::<HealthBody>()) {
        Ok(Ok(HealthBody { healthy: true, .. })) => Some(Ok(())),
        Ok(Ok(HealthBody { details, .. })) => Some(Err(in_words(details))),
        Ok(Err(error)) => Some(Err(format!("an answer that cannot be read: {error}"))),
        // Its death is told by others.
        Err(error) if error.kind() == ErrorKind::WorkerDied => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// What the app says of itself when it is not well: its message, or what else it says looks like.
fn in_words(details: Option<serde_json::Map<String, serde_json::Value>>) -> String {
    let Some(details) = details else { return "it says no more than that".to_owned() };
    match details.get("message").and_then(|message| message.as_str()) {
        Some(message) => message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned(),
        None => Shape::of(&details.into()).to_string(),
    }
}

/// The pool, after a pause, whose length may change meanwhile; `None` once it is gone.
async fn after(crew: &Weak<Crew>, pause: impl Fn(&Shared) -> Duration) -> Option<(Arc<Shared>, Arc<Run>)> {
    let began = Instant::now();
    loop {
        let (mut changes, pause) = {
            let shared = &crew.upgrade()?.shared;
            // In this order: what changes from here on is told.
            (shared.rule_changes(), pause(shared))
        };
        tokio::select! {
            () = tokio::time::sleep(pause.saturating_sub(began.elapsed())) => {
                let crew = crew.upgrade()?;
                return Some((Arc::clone(&crew.shared), crew.run()));
            }
            changed = changes.changed() => changed.ok()?,
        }
    }
}

async fn measure(line: &Arc<Line>, run: &Arc<Run>, settings: Recycle, shares: &RandomState) -> Facts {
    let run = Arc::clone(run);
    let rss = match settings.max_rss.and(line.pid) {
        // Reads many files.
        Some(pid) => tokio::task::spawn_blocking(move || run.resident_bytes(pid)).await.ok().flatten(),
        None => None,
    };
    Facts { age: line.age(), rss, share: (shares.hash_one(line.life) % 1000) as f64 / 1000.0 }
}

/// An age has a jitter of 10 % either way, so that a pool does not renew itself all at once.
fn due(facts: Facts, settings: Recycle) -> Option<RecycleReason> {
    let ttl = settings
        .ttl
        .map(|ttl| Duration::try_from_secs_f64(ttl.as_secs_f64() * (0.9 + 0.2 * facts.share)).unwrap_or(ttl));
    if ttl.is_some_and(|ttl| facts.age >= ttl) {
        return Some(RecycleReason::Ttl);
    }
    let is_large = facts.rss.zip(settings.max_rss).is_some_and(|(rss, limit)| rss >= limit);
    is_large.then_some(RecycleReason::MaxRss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_says_of_its_health_is_a_message_of_a_bounded_length_or_a_shape() {
        let said = |details: serde_json::Value| in_words(details.as_object().cloned());
        assert_eq!(said(serde_json::json!({ "message": "the disk is full", "disk": "sda" })), "the disk is full");
        let long = said(serde_json::json!({ "message": "ä".repeat(1 << 20) }));
        assert!(long.len() <= MAX_MESSAGE && long.starts_with('ä'), "{}", long.len());
        assert_eq!(
            said(serde_json::json!({ "losses": [1, 2], "token": "hunter2" })),
            "{losses: list of 2, token: text of 7}"
        );
        assert_eq!(in_words(None), "it says no more than that");
    }

    #[test]
    fn who_is_old_or_large_is_due() {
        let ttl = Recycle { ttl: Some(Duration::from_secs(100)), ..Recycle::default() };
        let large = Recycle { max_rss: Some(1000), ..Recycle::default() };
        let facts = |seconds, rss, share| Facts { age: Duration::from_secs(seconds), rss, share };
        assert_eq!(due(facts(1_000_000, Some(1 << 40), 0.0), Recycle::default()), None);
        assert_eq!(due(facts(89, None, 0.0), ttl), None);
        assert_eq!(due(facts(90, None, 0.0), ttl), Some(RecycleReason::Ttl));
        assert_eq!(due(facts(108, None, 0.999), ttl), None);
        assert_eq!(due(facts(110, None, 0.999), ttl), Some(RecycleReason::Ttl));
        assert_eq!(due(facts(0, Some(999), 0.0), large), None);
        assert_eq!(due(facts(0, None, 0.0), large), None, "what cannot be measured is not large");
        assert_eq!(due(facts(0, Some(1000), 0.0), large), Some(RecycleReason::MaxRss));
    }
}
