//! What holds whatever happens.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;

#[derive(Clone, Debug)]
enum Order {
    Call {
        tool: Option<u8>,
        session: Option<u8>,
        affinity: Affinity,
        priority: Priority,
        tenant: Option<u8>,
        until: Option<u8>,
        seat: Option<usize>,
    },
    Done(usize),
    GiveUp(usize),
    Back(usize),
    /// Everything behind the first call.
    Return(usize),
    Ready(usize, bool),
    Retire(usize),
    Bar(usize, bool),
    Gone(usize),
    Later,
    /// Microseconds.
    Pass(u64),
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let affinity = prop_oneof![Just(Affinity::Hint), Just(Affinity::StrictQueue), Just(Affinity::StrictFailFast)];
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)];
    let some = |n: u8| prop::option::of(0..n);
    let order = prop_oneof![
        6 => (some(2), some(3), affinity, priority, some(3), prop::option::weighted(0.2, 0..9u8), prop::option::weighted(0.2, 0..3usize)).prop_map(
            |(tool, session, affinity, priority, tenant, until, seat)| {
                // One or the other.
                let session = session.filter(|_| seat.is_none());
                Order::Call { tool, session, affinity, priority, tenant, until, seat }
            }),
        4 => any::<usize>().prop_map(Order::Done),
        1 => any::<usize>().prop_map(Order::GiveUp),
        1 => any::<usize>().prop_map(Order::Back),
        1 => (0usize..3).prop_map(Order::Return),
        2 => (0usize..3, any::<bool>()).prop_map(|(seat, takes_ahead)| Order::Ready(seat, takes_ahead)),
        1 => (0usize..3).prop_map(Order::Retire),
        1 => (0usize..3, any::<bool>()).prop_map(|(seat, is_barred)| Order::Bar(seat, is_barred)),
        1 => (0usize..3).prop_map(Order::Gone),
        1 => Just(Order::Later),
        2 => (0..700u64).prop_map(Order::Pass),
    ];
    prop::collection::vec(order, 0..250)
}

/// What a call asked for, as the one who watches remembers it.
#[derive(Clone)]
struct Asked {
    session: Option<u8>,
    affinity: Affinity,
    until: Option<Instant>,
    seat: Option<usize>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 5 } else { 512 }))]

    /// Whatever happens: no call is sent twice unless its worker gave it back, none after it was given up or its time was over, each
    /// that was taken in comes to one end, no worker has more than its share, a strict call runs where its session lives, one for a worker runs there, calls
    /// of a session with one affinity start in order, nothing waits for any worker while one has room, and what is sent ahead is
    /// of no session, goes to one that takes it, and only while nobody is free.
    #[test]
    fn the_roster_keeps_its_promises(orders in orders(), per_worker in 1usize..3) {
        let mut roster: Roster<CallId, LifeId> = Roster::new(Config { per_worker, max_queue: 20, max_requests: None });
        let (start, mut now) = { let now = Instant::now(); (now, now) };
        let mut lives: [Option<u64>; 3] = [None; 3];
        let mut generation = 0;
        let (mut asked, mut ended): (HashMap<CallId, Asked>, HashSet<CallId>) = Default::default();
        let mut runs: HashMap<CallId, LifeId> = HashMap::new();
        let mut sent: HashMap<LifeId, Vec<CallId>> = HashMap::new();
        let mut takers: HashSet<LifeId> = HashSet::new();
        let mut last_of: HashMap<(u8, bool), CallId> = HashMap::new();
        let (mut given_back, mut given_up): (HashSet<CallId>, HashSet<CallId>) = Default::default();
        for order in orders {
            let next_id = roster.next_id;
            let pick = |n: usize| (n as u64 % next_id).max(1);
            let life = |seat: usize| LifeId { seat, generation: lives[seat].unwrap_or(0) };
            let mut first = None;
            match order {
                Order::Call { tool, session, affinity, priority, tenant, until, seat } => {
                    let until = until.map(|seconds| start + Duration::from_secs(seconds.into()));
                    let id = roster.next_id;
                    let wants = Wants {
                        priority,
                        tenant: tenant.map(|n| n.to_string().into()),
                        session: session.map(|n| SessionWants { id: n.to_string().into(), birth: 0, affinity }),
                        seat,
                        tool: tool.map(|n| roster.number_of(&n.to_string().into())),
                        expires: until,
                    };
                    let (admission, step) = roster.admit(id, wants, now);
                    if matches!(admission, Admission::Admitted { .. }) {
                        asked.insert(id, Asked { session, affinity, until, seat });
                    }
                    first = step;
                }
                Order::Done(n) => {
                    if let Some(life) = runs.remove(&pick(n)) {
                        let _done = roster.done(life, &[pick(n)], now);
                        ended.insert(pick(n));
                    }
                }
                Order::GiveUp(n) => match roster.give_up(pick(n)) {
                    Whereabouts::Queue(call) => {
                        prop_assert_eq!(call, pick(n));
                        prop_assert!(ended.insert(call));
                    }
                    Whereabouts::Worker(_) => { given_up.insert(pick(n)); }
                    Whereabouts::Nowhere => {}
                },
                Order::Back(n) => if runs.remove(&pick(n)).is_some() {
                    given_back.insert(pick(n));
                    let _retired = roster.take_back(pick(n), pick(n), now);
                    if given_up.contains(&pick(n)) { ended.insert(pick(n)); }
                },
                Order::Return(seat) => {
                    let mut back = sent.get(&life(seat)).cloned().unwrap_or_default();
                    back.retain(|id| runs.get(id) == Some(&life(seat)));
                    let back: Vec<CallId> = back.into_iter().skip(1).collect();
                    roster.give_back(life(seat), back.iter().map(|id| (*id, *id)).collect(), now);
                    for id in back {
                        runs.remove(&id);
                        given_back.insert(id);
                        if given_up.contains(&id) { ended.insert(id); }
                    }
                }
                Order::Ready(seat, takes_ahead) => {
                    generation += 1;
                    lives[seat] = Some(generation);
                    let life = LifeId { seat, generation };
                    takers.extend(takes_ahead.then_some(life));
                    roster.ready(life, life, takes_ahead, now);
                }
                Order::Retire(seat) => { let _retired = roster.retire(life(seat)); }
                Order::Bar(seat, is_barred) => roster.bar(life(seat), is_barred),
                Order::Gone(seat) => {
                    let gone = life(seat);
                    let _was_ready = roster.gone(gone);
                    let lost: Vec<CallId> = runs.iter().filter(|(_, at)| **at == gone).map(|(id, _)| *id).collect();
                    for id in lost { runs.remove(&id); ended.insert(id); }
                }
                Order::Later => now += Duration::from_secs(1),
                Order::Pass(micros) => now += Duration::from_micros(micros),
            }
            while let Some(step) = first.take().or_else(|| roster.next(now)) {
                match step {
                    Step::Send { id, call, worker } => {
                        prop_assert_eq!(id, call);
                        prop_assert!(!ended.contains(&id), "call {} ran after its end", id);
                        prop_assert!(runs.insert(id, worker).is_none(), "call {} was sent twice", id);
                        let Asked { session, affinity, until, seat } = asked[&id].clone();
                        prop_assert!(seat.is_none_or(|seat| seat == worker.seat), "a call for one worker ran elsewhere");
                        sent.entry(worker).or_default().push(id);
                        if runs.values().filter(|at| **at == worker).count() > per_worker {
                            prop_assert!(takers.contains(&worker) && per_worker == 1 && session.is_none());
                            prop_assert_eq!(roster.available(), 0, "call {} was sent ahead though somebody is free", id);
                        }
                        // What goes out at once has no need to be looked at.
                        prop_assert!(until.is_none_or(|until| until > now) || roster.totals().requests == id);
                        if let Some(session) = session {
                            let is_strict = affinity != Affinity::Hint;
                            let bound = roster.bound(&session.to_string(), 0);
                            prop_assert!(!is_strict || bound == Some(worker), "a strict call ran elsewhere");
                            if !given_back.contains(&id) && affinity != Affinity::StrictFailFast {
                                let last = last_of.insert((session, is_strict), id).unwrap_or(0);
                                prop_assert!(last < id, "call {} overtook call {}", id, last);
                            }
                        }
                    }
                    Step::Drop(id, refusal) => {
                        prop_assert!(!runs.contains_key(&id) && ended.insert(id), "call {} came to two ends", id);
                        if refusal == Refusal::Expired {
                            prop_assert!(asked[&id].until.is_some_and(|until| until <= now));
                        }
                    }
                }
            }
            let has_room = |it: &Occupant<'_, LifeId>| matches!(it.state, "idle" | "busy") && !it.is_barred && it.load < per_worker;
            let room = roster.occupants().any(|it| has_room(&it));
            prop_assert!(roster.common.is_empty() || !room, "a call waits although a worker has room");
            for it in roster.occupants() {
                let most = if takers.contains(&it.life) { 33 } else { per_worker };
                prop_assert!(it.load <= most);
                prop_assert_eq!(it.load, runs.values().filter(|at| **at == it.life).count());
            }
            prop_assert_eq!(roster.running(), runs.len());
            prop_assert_eq!(asked.len(), ended.len() + runs.len() + roster.queued(), "a call was lost");
        }
    }
}
