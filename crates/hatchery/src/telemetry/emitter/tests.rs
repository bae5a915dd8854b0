use super::*;
use crate::telemetry::{CallEvent, PoolEvent};

fn draining(pool: &str) -> Event {
    Event::Pool(PoolEvent::Draining { pool: pool.into() })
}

fn queued(correlation_id: &str) -> Event {
    let correlation_id = correlation_id.into();
    Event::Call(CallEvent::Queued { pool: "p".into(), tool: "t".into(), session: None, correlation_id, queued: 1 })
}

fn filter(text: &str) -> EventFilter {
    text.parse().unwrap()
}

const QUEUED: Kind = Kind::named("call.queued");

#[tokio::test]
async fn each_hears_what_it_asked_for_in_order_and_then_the_end() {
    let emitter = Emitter::new(16);
    let mut pools = emitter.subscribe(filter("pool.*"));
    let mut one_pool = emitter.subscribe(filter("pool.* pool=b"));
    let mut calls = emitter.subscribe(filter("call.*"));
    for event in [draining("a"), queued("1"), draining("b"), queued("2")] {
        emitter.emit(event);
    }
    drop(emitter);
    assert_eq!(pools.next().await, Some(draining("a")));
    assert_eq!(pools.next().await, Some(draining("b")));
    assert_eq!(pools.next().await, None);
    assert_eq!((one_pool.next().await, one_pool.next().await), (Some(draining("b")), None));
    assert_eq!((calls.next().await, calls.next().await), (Some(queued("1")), Some(queued("2"))));
}

#[test]
fn an_event_that_nobody_wants_is_not_made() {
    let emitter = Emitter::new(16);
    let never = || -> Event { panic!("nobody wants it") };
    emitter.emit_with(QUEUED, never);
    let all_but_calls: Vec<Events> = (0..1000).map(|_| emitter.subscribe(EventFilter::new())).collect();
    emitter.emit_with(QUEUED, never);
    assert_eq!(emitter.line_count(), 1, "who wants the same reads from the same line");
    drop(all_but_calls);
    assert_eq!(emitter.line_count(), 0);
    emitter.emit_with(Kind::named("pool.draining"), never);
}

#[tokio::test]
async fn all_who_hear_of_an_event_share_it() {
    let emitter = Emitter::new(4);
    let mut all = ["pool.*", "pool.*", "pool.draining"].map(|wish| emitter.subscribe(filter(wish)));
    emitter.emit(draining("a"));
    let mut heard = Vec::new();
    for events in &mut all {
        heard.push(events.hear().await.unwrap());
    }
    assert_eq!((emitter.line_count(), heard[0].event == draining("a")), (2, true));
    assert!(Arc::ptr_eq(&heard[0], &heard[1]) && Arc::ptr_eq(&heard[0], &heard[2]));
}

#[tokio::test]
async fn who_is_slow_loses_the_oldest_and_is_told_how_many() {
    let emitter = Emitter::new(4);
    let (mut told, mut untold) = (emitter.subscribe(filter("pool.*")), emitter.subscribe(filter("pool.*")));
    (0..7).for_each(|number| emitter.emit(draining(&number.to_string())));
    assert_eq!(told.hear().await.unwrap().to_json()["lost"], 3);
    assert_eq!(told.hear().await.unwrap().event, draining("3"));
    assert_eq!(told.lost(), 3);
    assert_eq!(untold.next().await, Some(draining("3")));
    assert_eq!(untold.lost(), 3);
}

#[tokio::test]
async fn wishes_beyond_the_most_lines_are_heard_all_the_same() {
    let emitter = Emitter::new(16);
    let names: Vec<&str> = Kind::all().map(|(_, kind)| kind.name).filter(|name| !name.starts_with("pool.d")).collect();
    let _others: Vec<Events> = names.iter().take(MOST_LINES).map(|name| emitter.subscribe(filter(name))).collect();
    assert_eq!(emitter.line_count(), MOST_LINES);
    let mut late: Vec<Events> = (0..3).map(|_| emitter.subscribe(filter("pool.draining"))).collect();
    assert_eq!(emitter.line_count(), MOST_LINES + 1, "one that has everything");
    emitter.emit(queued("1"));
    emitter.emit(draining("a"));
    for events in &mut late {
        assert_eq!(events.next().await, Some(draining("a")));
    }
}

/// What an event costs of which nobody wants the kind. To be looked at, not judged: `cargo test -p hatchery --lib -- --ignored
/// --nocapture what_an_unwanted`.
#[test]
#[ignore = "measures"]
fn what_an_unwanted_event_costs_beside_a_thousand_subscribers() {
    let emitter = Emitter::new(16);
    for (count, events) in [(0, ""), (1000, "pool.draining"), (1, "call.queued")] {
        let _subscribers: Vec<Events> = (0..count).map(|_| emitter.subscribe(filter(events))).collect();
        let began = std::time::Instant::now();
        (0..1_000_000).for_each(|_| emitter.emit_with(std::hint::black_box(QUEUED), || queued("1")));
        eprintln!("{count} subscribers to {events:?}: {:?} for each event", began.elapsed() / 1_000_000);
    }
}
