use super::open::MOST_DEATHS;
use super::*;
use crate::error::ErrorKind;

fn opening(credit: u32, is_kept: bool) -> Opening {
    let (life, now) = (crate::id::LifeId { seat: 0, generation: 1 }, Instant::now());
    Opening { credit, is_kept, given: Given { life, made: now, at: now, is_serial: true } }
}

fn unary(inflight: &Inflight, id: WireId) -> oneshot::Receiver<Answer> {
    let (sink, reply) = oneshot::channel();
    assert!(!matches!(inflight.open(id, id + 10, call(Sink::Unary(sink)), opening(0, true)), Opened::Dying(_)));
    reply
}

fn stream(inflight: &Inflight, id: WireId, credit: u32) -> mpsc::UnboundedReceiver<Item> {
    let (sink, items) = mpsc::unbounded_channel();
    assert!(!matches!(inflight.open(id, id + 10, call(Sink::Stream(sink)), opening(credit, false)), Opened::Dying(_)));
    items
}

fn call(sink: Sink) -> Call {
    let (tool, correlation_id) = ("t".into(), "c".into());
    let (session, handles, trace_parent, deadline, made, deaths) = (None, false, None, None, Instant::now(), 0);
    let (arguments, mark) = (payload(), None);
    let metadata = None;
    Call {
        tool,
        arguments,
        correlation_id,
        session,
        handles,
        trace_parent,
        metadata,
        deadline,
        sink,
        made,
        deaths,
        mark,
    }
}

fn payload() -> Payload {
    Payload::encode(&1).unwrap()
}

#[test]
fn an_answer_comes_once() {
    let inflight = Inflight::default();
    let mut reply = unary(&inflight, 1);
    let ended = inflight.result(1, payload()).unwrap();
    assert_eq!(ended.id, 11);
    assert!(!inflight.is_open(1) && reply.try_recv().is_err(), "closed first, told then");
    ended.tell();
    assert!(reply.try_recv().unwrap().result.is_ok());
    assert_eq!(inflight.result(1, payload()).err(), Some(Mismatch::NotOpen));
}

#[test]
fn answers_are_counted_and_failures_among_them() {
    let inflight = Inflight::default();
    let (_one, _two) = (unary(&inflight, 1), unary(&inflight, 2));
    assert!(inflight.result(1, payload()).is_ok());
    assert!(inflight.error(2, Error::new(ErrorKind::Remote, "raised")).is_ok());
    assert!(inflight.result(2, payload()).is_err());
    assert_eq!(inflight.answered(), Answered { calls: 2, errors: 1 });
}

#[test]
fn frames_that_do_not_fit_the_call_are_mismatches() {
    let inflight = Inflight::default();
    let _reply = unary(&inflight, 1);
    let _items = stream(&inflight, 2, 10);
    assert_eq!(inflight.chunk(1, payload(), 1), Err(Mismatch::NotAStream));
    assert_eq!(inflight.end(1, payload()).err(), Some(Mismatch::NotAStream));
    assert_eq!(inflight.result(2, payload()).err(), Some(Mismatch::IsAStream));
    assert_eq!(inflight.chunk(3, payload(), 1), Err(Mismatch::NotOpen));
    assert!(inflight.is_open(1) && inflight.is_open(2));
}

#[test]
fn a_stream_may_overdraw_its_credit_once() {
    let inflight = Inflight::default();
    let _items = stream(&inflight, 1, 10);
    assert_eq!(inflight.chunk(1, payload(), 100), Ok(()));
    assert_eq!(inflight.chunk(1, payload(), 1), Err(Mismatch::NoCredit));
    assert_eq!(inflight.grant(11, 91), Some(1));
    assert_eq!(inflight.chunk(1, payload(), 1), Ok(()));
}

#[test]
fn closing_fails_what_is_open_and_refuses_the_rest() {
    let inflight = Inflight::default();
    let mut reply = unary(&inflight, 1);
    assert!(inflight.close(&died(), None).is_empty());
    assert_eq!(reply.try_recv().unwrap().result.unwrap_err().kind(), ErrorKind::WorkerDied);
    let (sink, _reply) = oneshot::channel();
    assert!(matches!(inflight.open(2, 12, call(Sink::Unary(sink)), opening(0, true)), Opened::Dying(_)));
}

fn died() -> Error {
    Error::new(ErrorKind::WorkerDied, "died")
}

fn ids(calls: &[(CallId, Call)]) -> Vec<CallId> {
    calls.iter().map(|(id, _)| *id).collect()
}

#[test]
fn a_dead_worker_takes_along_what_it_had_begun() {
    let inflight = Inflight::default();
    let mut replies: Vec<_> = (1..=4).map(|wire| unary(&inflight, wire)).collect();
    inflight.result(1, payload()).unwrap().tell();
    let untouched = inflight.close(&died(), Some(2));
    assert_eq!(ids(&untouched), [13, 14]);
    assert!(replies[1].try_recv().unwrap().result.is_err() && replies[2].try_recv().is_err());
}

#[test]
fn a_ledger_that_says_less_than_what_was_answered_says_nothing() {
    let inflight = Inflight::default();
    let _replies: Vec<_> = (1..=3).map(|wire| unary(&inflight, wire)).collect();
    inflight.result(2, payload()).unwrap().tell();
    assert!(inflight.close(&died(), Some(1)).is_empty());
}

#[test]
fn a_call_over_which_worker_after_worker_dies_is_not_tried_for_ever() {
    let (sink, mut reply) = oneshot::channel();
    let mut first = Some(call(Sink::Unary(sink)));
    for _ in 0..MOST_DEATHS {
        let inflight = Inflight::default();
        assert!(matches!(inflight.open(1, 11, first.take().unwrap(), opening(0, true)), Opened::First));
        let _behind = unary(&inflight, 2);
        let mut untouched = inflight.close(&died(), Some(0));
        assert_eq!(ids(&untouched), [11, 12]);
        assert_eq!(untouched[1].1.deaths, 0, "the one behind it is no suspect");
        first = Some(untouched.swap_remove(0).1);
    }
    let inflight = Inflight::default();
    assert!(matches!(inflight.open(1, 11, first.take().unwrap(), opening(0, true)), Opened::First));
    assert!(inflight.close(&died(), Some(0)).is_empty());
    assert!(reply.try_recv().unwrap().result.is_err());
}

#[test]
fn a_call_that_is_given_up_behind_another_has_waited_and_not_run() {
    let inflight = Inflight::default();
    let _replies: Vec<_> = (1..=2).map(|wire| unary(&inflight, wire)).collect();
    let ran = |id| inflight.journey(id).unwrap().ran.is_some();
    assert_eq!((ran(11), ran(12)), (true, false));
    assert!(inflight.journey(12).unwrap().queued.is_some());
    inflight.result(1, payload()).unwrap().tell();
    assert!(ran(12), "it has begun");
}

#[test]
fn of_what_dies_with_a_worker_only_the_first_has_run() {
    let inflight = Inflight::default();
    let mut replies: Vec<_> = (1..=2).map(|wire| unary(&inflight, wire)).collect();
    assert!(inflight.close(&died(), None).is_empty());
    let ran: Vec<bool> = replies.iter_mut().map(|reply| reply.try_recv().unwrap().journey.ran.is_some()).collect();
    assert_eq!(ran, [true, false]);
}

#[test]
fn what_is_behind_the_first_can_be_asked_for_once_at_a_time() {
    let inflight = Inflight::default();
    let _first = unary(&inflight, 1);
    assert_eq!((inflight.recall(), inflight.ended_before_those_behind()), (None, None));
    let _replies: Vec<_> = (2..=4).map(|wire| unary(&inflight, wire)).collect();
    assert_eq!(inflight.ended_before_those_behind(), Some(0));
    assert_eq!((inflight.recall(), inflight.recall()), (Some(2..5), None));
    let _late = unary(&inflight, 5);
    let back = inflight.recalled(3, 2).unwrap();
    assert_eq!(ids(&back), [13, 14]);
    assert!(inflight.is_first(1) && inflight.is_open(2) && !inflight.is_open(3) && inflight.is_open(5));
    assert_eq!(inflight.recall(), Some(5..6), "3 and 4 were given back, so 2 was begun");
    assert!(inflight.recalled(6, 0).unwrap().is_empty());
}

#[test]
fn what_was_given_back_is_not_asked_for_again() {
    let inflight = Inflight::default();
    let _replies: Vec<_> = (1..=3).map(|wire| unary(&inflight, wire)).collect();
    assert_eq!(inflight.recall(), Some(2..4));
    assert_eq!(ids(&inflight.recalled(3, 1).unwrap()), [13]);
    assert_eq!(inflight.recall(), None, "it has begun what is left");
    let _late = unary(&inflight, 4);
    assert_eq!(inflight.recall(), Some(4..5));
}

#[test]
fn a_question_of_our_own_is_for_its_worker_only() {
    let (sink, _reply) = oneshot::channel();
    let somebodys = call(Sink::Unary(sink));
    assert!(somebodys.may_be_sent_ahead());
    assert!(!Call { tool: HEALTH_TOOL.into(), ..somebodys }.may_be_sent_ahead());
}

#[test]
fn a_worker_gives_back_only_what_it_has_and_was_asked_for() {
    let refused = |first, count| {
        let inflight = Inflight::default();
        let _replies: Vec<_> = (1..=4).map(|wire| unary(&inflight, wire)).collect();
        inflight.recall().unwrap();
        inflight.result(2, payload()).unwrap().tell();
        inflight.recalled(first, count).is_err()
    };
    assert!(!refused(3, 2) && !refused(4, 1) && !refused(5, 0));
    for (first, count) in [(2, 3), (1, 4), (3, 1), (3, 3), (0, u32::MAX), (u64::MAX, u32::MAX), (5, 1)] {
        assert!(refused(first, count), "{first} {count}");
    }
    let inflight = Inflight::default();
    let _replies: Vec<_> = (1..=2).map(|wire| unary(&inflight, wire)).collect();
    assert!(inflight.recalled(2, 1).is_err(), "nobody asked");
}
