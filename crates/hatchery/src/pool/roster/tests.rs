//! Script in, text out: one place touches the API, everything else is words.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// `workers 2; ready 0; call a; done a; give up b; gone 0; retire 1; close`
#[track_caller]
fn check(script: &str, expected: &str) {
    let mut told = String::new();
    let mut ids: BTreeMap<String, CallId> = BTreeMap::new();
    let mut roster: Roster<String, usize> = Roster::new(Config { seats: 2, per_worker: 1, max_queue: usize::MAX });
    for order in script.split(';').map(str::trim) {
        let words: Vec<&str> = order.split_whitespace().collect();
        let mut sends = Vec::new();
        match words[..] {
            ["workers", n, "each", k] => {
                let config =
                    Config { seats: n.parse().unwrap(), per_worker: k.parse().unwrap(), max_queue: usize::MAX };
                roster = Roster::new(config);
            }
            ["queue", n] => roster.config.max_queue = n.parse().unwrap(),
            ["ready", seat] => sends = roster.ready(seat.parse().unwrap(), seat.parse().unwrap()),
            ["call", name] => {
                ids.insert(name.to_owned(), roster.next_id);
                match roster.admit(name.to_owned()) {
                    Admission::Send(send) => sends.push(send),
                    Admission::Queued(_) => writeln!(told, "{name} waits").unwrap(),
                    Admission::Full(call) => writeln!(told, "{call} refused: full").unwrap(),
                    Admission::Closed(call) => writeln!(told, "{call} refused: closed").unwrap(),
                }
            }
            ["done", name] => sends.extend(roster.done(ids[name])),
            ["give", "up", name] => match roster.give_up(ids[name]) {
                Place::Queue(call) => writeln!(told, "{call} never runs").unwrap(),
                Place::Worker(worker) => writeln!(told, "tell {worker} to cancel {name}").unwrap(),
                Place::Nowhere => writeln!(told, "{name} is over").unwrap(),
            },
            ["retire", seat] => roster.retire(seat.parse().unwrap()),
            ["hold", seat] => roster.hold(seat.parse().unwrap()),
            ["gone", seat, ref lived @ ..] => {
                let lived = lived.first().map_or(0, |seconds| seconds.parse().unwrap());
                let pause = roster.gone(seat.parse().unwrap(), Duration::from_secs(lived));
                writeln!(told, "start {seat} in {pause:?}").unwrap();
            }
            ["close"] => writeln!(told, "closed, {:?} refused", roster.close()).unwrap(),
            _ => panic!("no such order: {order}"),
        }
        for send in sends {
            writeln!(told, "{} -> {}", send.call, send.worker).unwrap();
        }
    }
    let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(told, expected, "\nscript: {script}");
}

#[test]
fn a_call_goes_to_an_idle_worker_at_once() {
    check("ready 0; call a", "a -> 0");
}

#[test]
fn calls_wait_in_order_until_a_worker_is_free() {
    check("ready 0; call a; call b; call c; done a; done b", "a -> 0\nb waits\nc waits\nb -> 0\nc -> 0");
}

#[test]
fn calls_wait_for_the_first_worker_to_come_up() {
    check("call a; call b; call c; ready 1; ready 0", "a waits\nb waits\nc waits\na -> 1\nb -> 0");
}

#[test]
fn the_least_loaded_worker_is_chosen_and_the_lowest_among_equals() {
    check(
        "workers 3 each 2; ready 2; ready 0; ready 1; call a; call b; call c; done b; call d; call e",
        "a -> 0\nb -> 1\nc -> 2\nd -> 1\ne -> 0",
    );
}

#[test]
fn a_ready_worker_takes_as_many_waiting_calls_as_it_has_room_for() {
    check("workers 1 each 2; call a; call b; call c; ready 0", "a waits\nb waits\nc waits\na -> 0\nb -> 0");
}

#[test]
fn a_full_queue_refuses_and_forgets_the_call() {
    check("queue 1; ready 0; call a; call b; call c; done a; done b", "a -> 0\nb waits\nc refused: full\nb -> 0");
}

#[test]
fn a_queue_of_zero_still_serves_idle_workers() {
    check("queue 0; ready 0; call a; call b; done a; call c", "a -> 0\nb refused: full\nc -> 0");
}

#[test]
fn a_queued_call_that_is_given_up_never_runs() {
    check("ready 0; call a; call b; call c; give up b; done a", "a -> 0\nb waits\nc waits\nb never runs\nc -> 0");
}

#[test]
fn a_running_call_that_is_given_up_keeps_its_worker_busy_until_it_answers() {
    check("ready 0; call a; give up a; call b; done a", "a -> 0\ntell 0 to cancel a\nb waits\nb -> 0");
}

#[test]
fn giving_up_twice_or_after_the_end_is_nothing() {
    check("ready 0; call a; done a; give up a; done a", "a -> 0\na is over");
}

#[test]
fn a_retired_worker_takes_no_more_but_finishes() {
    check("ready 0; ready 1; call a; retire 0; call b; call c; done a; done b", "a -> 0\nb -> 1\nc waits\nc -> 1");
}

#[test]
fn a_held_seat_is_given_to_nobody_until_its_worker_is_gone() {
    check(
        "ready 0; ready 1; call a; hold 0; done a; call b; call c; gone 0; ready 0",
        "a -> 0\nb -> 1\nc waits\nstart 0 in 0ns\nc -> 0",
    );
}

#[test]
fn a_seat_is_held_by_one_that_was_never_ready_too() {
    let config = Config { seats: 1, per_worker: 1, max_queue: usize::MAX };
    let mut roster: Roster<String, usize> = Roster::new(config);
    assert_eq!(roster.seat(0).state, "starting");
    roster.hold(0);
    assert_eq!((roster.seat(0).state, roster.seat(0).worker), ("unkillable", None));
    roster.gone(0, Duration::ZERO);
    assert_eq!(roster.seat(0).state, "starting");
}

#[test]
fn a_retired_worker_is_told_to_cancel_too() {
    check("ready 0; call a; retire 0; give up a", "a -> 0\ntell 0 to cancel a");
}

#[test]
fn a_long_life_without_a_call_was_no_failure() {
    check("gone 0; gone 0; gone 0 60; gone 0", "start 0 in 0ns\nstart 0 in 100ms\nstart 0 in 0ns\nstart 0 in 100ms");
}

#[test]
fn a_dead_worker_takes_only_its_own_calls_down() {
    check(
        "ready 0; ready 1; call a; call b; call c; gone 0; done a; give up a; done b; ready 0; call d",
        "a -> 0\nb -> 1\nc waits\nstart 0 in 0ns\na is over\nc -> 1\nd -> 0",
    );
}

#[test]
fn restarts_back_off_until_a_call_ends_well() {
    check(
        "gone 0; gone 0; gone 0; ready 0; gone 0; ready 0; call a; done a; gone 0",
        "start 0 in 0ns\nstart 0 in 100ms\nstart 0 in 200ms\nstart 0 in 400ms\na -> 0\nstart 0 in 0ns",
    );
}

#[test]
fn a_closed_roster_refuses_the_waiting_and_the_new_and_lets_the_running_end() {
    check(
        "ready 0; call a; call b; close; call c; done a; ready 1",
        "a -> 0\nb waits\nclosed, [\"b\"] refused\nc refused: closed",
    );
}

#[test]
fn backoff_never_overflows_and_is_capped() {
    assert_eq!(backoff(u32::MAX), Duration::from_secs(30));
}

#[derive(Clone, Debug)]
enum Order {
    Call,
    Done(usize),
    GiveUp(usize),
    Ready(usize),
    Retire(usize),
    Gone(usize),
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let order = prop_oneof![
        4 => Just(Order::Call),
        3 => any::<usize>().prop_map(Order::Done),
        1 => any::<usize>().prop_map(Order::GiveUp),
        2 => (0usize..3).prop_map(Order::Ready),
        1 => (0usize..3).prop_map(Order::Retire),
        1 => (0usize..3).prop_map(Order::Gone),
    ];
    prop::collection::vec(order, 0..200)
}

proptest! {
    /// Whatever happens: no call is sent twice, none runs after it was given up, no worker has more than its share,
    /// and nothing waits while a worker has room.
    #[test]
    fn the_roster_keeps_its_promises(orders in orders(), per_worker in 1usize..3) {
        let mut roster: Roster<CallId, usize> = Roster::new(Config { seats: 3, per_worker, max_queue: 20 });
        let mut up = [false; 3];
        let mut sent: HashSet<CallId> = HashSet::new();
        let mut given_up: HashSet<CallId> = HashSet::new();
        let pick = |roster: &Roster<CallId, usize>, n: usize| (n as u64 % roster.next_id).max(1);
        for order in orders {
            let mut sends = Vec::new();
            match order {
                Order::Call => if let Admission::Send(send) = roster.admit(roster.next_id) { sends.push(send) },
                Order::Done(n) => sends.extend(roster.done(pick(&roster, n))),
                Order::GiveUp(n) => {
                    let id = pick(&roster, n);
                    if let Place::Queue(call) = roster.give_up(id) { given_up.insert(call); }
                }
                Order::Ready(seat) if !up[seat] => { up[seat] = true; sends = roster.ready(seat, seat) }
                Order::Ready(_) => {}
                Order::Retire(seat) => roster.retire(seat),
                Order::Gone(seat) => { up[seat] = false; roster.gone(seat, Duration::ZERO); }
            }
            for send in sends {
                prop_assert_eq!(send.id, send.call);
                prop_assert!(sent.insert(send.id), "call {} was sent twice", send.id);
                prop_assert!(!given_up.contains(&send.id), "call {} ran after it was given up", send.id);
            }
            let room = (0..3).any(|seat| roster.ready_worker(seat).is_some() && roster.seat(seat).load < per_worker);
            prop_assert!(roster.queued() == 0 || !room, "a call waits although a worker has room");
            for seat in 0..3 {
                prop_assert!(roster.seat(seat).load <= per_worker);
            }
        }
    }
}
