//! Script in, text out: one place touches the API, everything else is words.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use super::*;

mod ahead;
mod promises;

/// `each 2` (calls a worker), `queue 1`, `at 5` (seconds), `pass 50` (microseconds), `ready 0`, `ready 0 ahead`, `call a high of t in s
/// strict until 9 does echo for 0`, `done a b`, `give up a`, `back a` (its worker refuses it), `return 0 a b` (it has not begun them), `bar 0`, `let 0`, `lease 0`, `retire 0`, `retire elder 0` (of two in one seat), `hold 0`, `gone 0`, `drain`, `close`. A worker is
/// called by its seat; whoever is ready there again is another one: `0'`.
struct Stage {
    roster: Roster<String, String>,
    ids: BTreeMap<String, CallId>,
    generations: BTreeMap<usize, u64>,
    start: Instant,
    now: Instant,
    births: HashMap<String, u64>,
    told: String,
}

impl Stage {
    fn new() -> Stage {
        let now = Instant::now();
        let roster = Roster::new(Config { per_worker: 1, max_queue: usize::MAX, max_requests: None });
        let (ids, generations, births) = Default::default();
        Stage { roster, ids, generations, start: now, now, births, told: String::new() }
    }

    fn obey(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = self.roster.config;
        change(&mut config);
        self.roster.obey(config);
    }

    fn life(&self, seat: &str) -> LifeId {
        let seat = seat.parse().unwrap();
        LifeId { seat, generation: self.generations.get(&seat).copied().unwrap_or(0) }
    }

    fn play(&mut self, order: &str) {
        let words: Vec<&str> = order.split_whitespace().collect();
        match words[..] {
            ["each", n] => self.obey(|config| config.per_worker = n.parse().unwrap()),
            ["queue", n] => self.obey(|config| config.max_queue = n.parse().unwrap()),
            ["at", seconds] => self.now = self.start + Duration::from_secs(seconds.parse().unwrap()),
            ["requests", n] => self.obey(|config| config.max_requests = n.parse().ok()),
            ["pass", micros] => self.now += Duration::from_micros(micros.parse().unwrap()),
            ["ready", seat, ref ahead @ ..] => {
                let number = seat.parse().unwrap();
                let generation = *self.generations.entry(number).and_modify(|n| *n += 1).or_insert(1);
                let name = format!("{seat}{}", "'".repeat(generation as usize - 1));
                self.roster.ready(LifeId { seat: number, generation }, name, ahead == ["ahead"], self.now);
            }
            ["call", name, ref wants @ ..] => self.call(name, wants),
            ["done", ref names @ ..] => {
                let ids: Vec<CallId> = names.iter().map(|name| self.ids[*name]).collect();
                let life = self.roster.running.get(&ids[0]).map(|running| running.life);
                let done = life.and_then(|life| self.roster.done(life, &ids, self.now));
                if let Some(Done { life, is_drained: true, .. }) = done {
                    writeln!(self.told, "{} is drained", life.seat).unwrap();
                }
            }
            ["return", seat, ref names @ ..] => {
                let calls = names.iter().map(|name| (self.ids[*name], (*name).to_owned())).collect();
                if self.roster.give_back(self.life(seat), calls, self.now) {
                    writeln!(self.told, "{seat} is drained").unwrap();
                }
            }
            ["give", "up", name] => match self.roster.give_up(self.ids[name]) {
                Whereabouts::Queue(call) => writeln!(self.told, "{call} never runs").unwrap(),
                Whereabouts::Worker(worker) => writeln!(self.told, "tell {worker} to cancel {name}").unwrap(),
                Whereabouts::Nowhere => writeln!(self.told, "{name} is over").unwrap(),
            },
            ["back", name] => drop(self.roster.take_back(self.ids[name], name.to_owned(), self.now)),
            ["bar", seat] => self.roster.bar(self.life(seat), true),
            ["let", seat] => self.roster.bar(self.life(seat), false),
            ["lease", seat] => {
                let lease = self.roster.lease(self.life(seat));
                writeln!(self.told, "{}", if lease.is_some() { "leased" } else { "no lease" }).unwrap();
                self.ids.extend(lease.map(|id| ("lease".to_owned(), id)));
            }
            ["retire", "elder", seat] => {
                let LifeId { seat, generation } = self.life(seat);
                let _drained = self.roster.retire(LifeId { seat, generation: generation - 1 });
            }
            ["retire", seat] => {
                let is_drained = self.roster.retire(self.life(seat)).is_drained;
                writeln!(self.told, "{seat} {}", if is_drained { "is drained" } else { "leaves" }).unwrap();
            }
            ["hold", seat] => self.roster.hold(self.life(seat)),
            ["gone", seat] => drop(self.roster.gone(self.life(seat))),
            ["forget", session] => *self.births.entry(session.to_owned()).or_default() += 1,
            ["drain"] => self.roster.drain(),
            ["close"] => self.roster.close(),
            ["nobody", "comes"] => self.roster.refuse_waiting(Refusal::NoWorkers),
            _ => panic!("no such order: {order}"),
        }
        while let Some(step) = self.roster.next(self.now) {
            self.tell(step);
        }
    }

    fn call(&mut self, name: &str, words: &[&str]) {
        let mut wants = Wants::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "does" => wants.tool = words.next().map(|tool| self.roster.number_of(&(*tool).into())),
                "high" => wants.priority = Priority::High,
                "low" => wants.priority = Priority::Low,
                "of" => wants.tenant = words.next().map(|tenant| (*tenant).into()),
                "until" => {
                    let seconds = words.next().unwrap().parse().unwrap();
                    wants.expires = Some(self.start + Duration::from_secs(seconds));
                }
                "in" => {
                    let id = *words.next().unwrap();
                    let birth = self.births.get(id).copied().unwrap_or(0);
                    wants.session = Some(SessionWants { id: id.into(), birth, affinity: Affinity::Hint });
                }
                "for" => wants.seat = words.next().map(|seat| seat.parse().unwrap()),
                "strict" => wants.session.as_mut().unwrap().affinity = Affinity::StrictQueue,
                "fast" => wants.session.as_mut().unwrap().affinity = Affinity::StrictFailFast,
                word => panic!("no such wish: {word}"),
            }
        }
        self.ids.insert(name.to_owned(), self.roster.next_id);
        let (admission, step) = self.roster.admit(name.to_owned(), wants, self.now);
        match admission {
            Admission::Admitted { waits: true, .. } if step.is_none() => writeln!(self.told, "{name} waits").unwrap(),
            Admission::Admitted { .. } => {}
            Admission::Refused(call, refusal) => writeln!(self.told, "{call} refused: {}", words_for(refusal)).unwrap(),
        }
        step.into_iter().for_each(|step| self.tell(step));
    }

    fn tell(&mut self, step: Step<String, String>) {
        match step {
            Step::Send { id, call, worker } => {
                assert_eq!(self.ids[&call], id);
                writeln!(self.told, "{call} -> {worker}").unwrap();
            }
            Step::Drop(call, refusal) => writeln!(self.told, "{call} dropped: {}", words_for(refusal)).unwrap(),
        }
    }
}

fn words_for(refusal: Refusal) -> String {
    match refusal {
        Refusal::Full => "full".to_owned(),
        Refusal::Closed { draining } => if draining { "draining" } else { "closed" }.to_owned(),
        Refusal::Busy(life) => format!("{} is busy", life.seat),
        Refusal::Tainted(life) => format!("{} is tainted", life.seat),
        Refusal::StateLost(life) => format!("{} is gone", life.seat),
        Refusal::NamedTainted(life) => format!("{}, which it is for, is tainted", life.seat),
        Refusal::NamedAbsent(seat) => format!("{seat}, which it is for, is not there"),
        Refusal::Expired => "expired".to_owned(),
        Refusal::NoWorkers => "nobody comes".to_owned(),
    }
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let mut stage = Stage::new();
    script.split(';').for_each(|order| stage.play(order.trim()));
    let expected: String = expected.split(';').map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(stage.told, expected, "\nscript: {script}");
}

#[test]
fn a_call_for_one_worker_is_for_whoever_follows_it_in_its_seat() {
    check(
        "ready 0; call a for 0; call b for 0; call c for 0; call d high for 0; ready 0; call e for 0; call f for 0; \
         retire elder 0; done e; done d; done b; done c",
        "a -> 0; b waits; c waits; d waits; e -> 0'; f waits; d -> 0'; b -> 0'; c -> 0'; f -> 0'",
    );
    check("ready 0; call a for 0; call b for 0; ready 0; retire elder 0", "a -> 0; b waits; b -> 0'");
    check("ready 0; call a for 0; call b in s strict; ready 0; retire elder 0", "a -> 0; b waits; b -> 0'");
}

#[test]
fn what_it_is_to_obey_may_change_at_any_time() {
    check("ready 0; queue 0; call a; call b; queue 1; call c", "a -> 0; b refused: full; c waits");
    check("ready 0; call a; call b; each 2", "a -> 0; b waits; b -> 0");
    check("each 2; ready 0; call a; each 1; call b; done a", "a -> 0; b waits; b -> 0");
}

#[test]
fn a_call_goes_to_an_idle_worker_at_once() {
    check("ready 0; call a", "a -> 0");
}

#[test]
fn calls_wait_in_order_until_a_worker_is_free() {
    check("ready 0; call a; call b; call c; done a; done b", "a -> 0; b waits; c waits; b -> 0; c -> 0");
}

#[test]
fn calls_wait_for_the_first_worker_to_come_up() {
    check("call a; call b; call c; ready 1; ready 0", "a waits; b waits; c waits; a -> 1; b -> 0");
}

#[test]
fn the_least_loaded_worker_is_chosen_and_the_lowest_among_equals() {
    check(
        "each 2; ready 2; ready 0; ready 1; call a; call b; call c; done b; call d; call e",
        "a -> 0; b -> 1; c -> 2; d -> 1; e -> 0",
    );
}

#[test]
fn a_ready_worker_takes_as_many_waiting_calls_as_it_has_room_for() {
    check("each 2; call a; call b; call c; ready 0", "a waits; b waits; c waits; a -> 0; b -> 0");
}

#[test]
fn a_full_queue_refuses_and_forgets_the_call() {
    check("queue 1; ready 0; call a; call b; call c; done a; done b", "a -> 0; b waits; c refused: full; b -> 0");
}

#[test]
fn a_queue_of_zero_still_serves_idle_workers() {
    check("queue 0; ready 0; call a; call b; done a; call c", "a -> 0; b refused: full; c -> 0");
}

#[test]
fn a_queued_call_that_is_given_up_never_runs() {
    check("ready 0; call a; call b; call c; give up b; done a", "a -> 0; b waits; c waits; b never runs; c -> 0");
}

#[test]
fn a_running_call_that_is_given_up_keeps_its_worker_busy_until_it_answers() {
    check("ready 0; call a; give up a; call b; done a", "a -> 0; tell 0 to cancel a; b waits; b -> 0");
}

#[test]
fn giving_up_twice_or_after_the_end_is_nothing() {
    check("ready 0; call a; done a; give up a; done a", "a -> 0; a is over");
}

#[test]
fn one_whose_time_is_over_is_not_handed_out_whoever_notices_first() {
    check(
        "ready 0; call a; call b until 5; call c until 7; at 6; done a; done c",
        "a -> 0; b waits; c waits; b dropped: expired; c -> 0",
    );
}

#[test]
fn higher_priorities_go_first() {
    check(
        "ready 0; call a; call b low; call c; call d high; done a; done d; done c",
        "a -> 0; b waits; c waits; d waits; d -> 0; c -> 0; b -> 0",
    );
}

#[test]
fn tenants_take_turns_however_much_one_has_waiting() {
    check(
        "ready 0; call a of x; call b of x; call c of x; call d of y; call e; done a; done b; done d; done e",
        "a -> 0; b waits; c waits; d waits; e waits; b -> 0; d -> 0; e -> 0; c -> 0",
    );
}

#[test]
fn a_session_goes_to_its_worker_if_that_has_room_and_else_anywhere() {
    check(
        "ready 1; call a in s; ready 0; done a; call b in s; call c in s; call d in s",
        "a -> 1; b -> 1; c -> 0; d waits",
    );
}

#[test]
fn a_strict_session_waits_for_its_worker() {
    check(
        "ready 0; ready 1; call a in s; call b in s strict; call c; done c; done a",
        "a -> 0; b waits; c -> 1; b -> 0",
    );
}

#[test]
fn a_call_for_one_worker_waits_for_its_turn_there() {
    check(
        "ready 0; ready 1; call a for 1; call b for 1; call c; call d for 1 high; done c; done a; done d",
        "a -> 1; b waits; c -> 0; d waits; d -> 1; b -> 1",
    );
    check(
        "each 2; ready 0; ready 1; call a for 1; call b for 1; call c for 1; done a",
        "a -> 1; b -> 1; c waits; c -> 1",
    );
}

#[test]
fn a_call_for_one_worker_is_refused_where_that_is_not_to_be_had() {
    check(
        "ready 0; call a for 1; call b for 7",
        "a refused: 1, which it is for, is not there; b refused: 7, which it is for, is not there",
    );
    check("ready 0; bar 0; call a for 0", "a refused: 0, which it is for, is tainted");
    check("queue 0; ready 0; call a; call b for 0", "a -> 0; b refused: full");
}

#[test]
fn a_call_for_one_worker_does_not_go_to_its_successor() {
    check(
        "ready 0; ready 1; call a; call b for 0; gone 0; ready 0; call c for 0",
        "a -> 0; b waits; b dropped: 0, which it is for, is not there; c -> 0'",
    );
    check(
        "ready 0; ready 1; call a for 0; back a; call b for 1; back b",
        "a -> 0; a dropped: 0, which it is for, is not there; b -> 1; b dropped: 1, which it is for, is not there",
    );
}

#[test]
fn a_worker_takes_the_better_of_what_waits_for_it_and_what_waits_for_any() {
    check(
        "ready 0; call a in s; call b; call c in s strict; call d high; done a; done d; done b",
        "a -> 0; b waits; c waits; d waits; d -> 0; b -> 0; c -> 0",
    );
}

#[test]
fn what_waits_for_one_worker_is_passed_over_by_the_others() {
    check(
        "ready 0; ready 1; call a in s; call x; call b in s strict; call c; done x",
        "a -> 0; x -> 1; b waits; c waits; c -> 1",
    );
}

#[test]
fn one_that_does_not_wait_is_told_that_its_worker_is_busy() {
    check(
        "ready 0; ready 1; call a in s; call b in s fast; done a; call c in s fast",
        "a -> 0; b refused: 0 is busy; c -> 0",
    );
}

#[test]
fn a_lost_state_is_said_every_time_until_the_session_starts_over() {
    check(
        "ready 0; call a in s strict; call b in s strict; gone 0; ready 0; call c in s strict; call d in s fast; forget s; call e in s strict",
        "a -> 0; b waits; b dropped: 0 is gone; c refused: 0 is gone; d refused: 0 is gone; e -> 0'",
    );
}

#[test]
fn a_hint_outlives_its_worker_and_finds_another() {
    check("ready 0; call a in s; gone 0; ready 1; call b in s; done b; ready 0; call c in s", "a -> 0; b -> 1; c -> 1");
}

#[test]
fn a_tainted_worker_takes_nothing_until_it_is_let_in_again() {
    check(
        "ready 0; ready 1; call a in s; done a; bar 0; call b; call c in s strict; call d in s; call e; let 0",
        "a -> 0; b -> 1; c refused: 0 is tainted; d waits; e waits; d -> 0",
    );
}

#[test]
fn calls_of_a_session_never_overtake_each_other() {
    check(
        "ready 0; call x; call a in s; call b in s high; call c high; done x; done c; done a",
        "x -> 0; a waits; b waits; c waits; c -> 0; a -> 0; b -> 0",
    );
}

#[test]
fn strict_calls_that_waited_for_any_worker_follow_the_first_of_them() {
    check(
        "call a in s strict; call b in s strict; call c in s fast; call d; ready 0; ready 1; done a",
        "a waits; b waits; c waits; d waits; a -> 0; c dropped: 0 is busy; d -> 1; b -> 0",
    );
}

#[test]
fn a_call_that_its_worker_never_saw_is_the_first_again() {
    check(
        "ready 0; ready 1; call a; call x; call b; back a; done x; done a; ready 0",
        "a -> 0; x -> 1; b waits; a -> 1; b -> 1",
    );
    check(
        "ready 0; call a in s; done a; call b in s strict; back b; call c in s strict",
        "a -> 0; b -> 0; b dropped: 0 is gone; c refused: 0 is gone",
    );
    check("ready 0; ready 1; call a in s; call x; back a; done x", "a -> 0; x -> 1; a -> 1");
}

#[test]
fn a_call_that_was_given_up_and_never_seen_never_runs() {
    check("ready 0; ready 1; call a; give up a; back a; call b", "a -> 0; tell 0 to cancel a; b -> 1");
    let mut stage = Stage::new();
    for order in ["ready 0", "call a", "give up a"] {
        stage.play(order);
    }
    assert!(stage.roster.is_given_up(stage.ids["a"]), "whoever writes it now has to tell the worker");
}

#[test]
fn a_call_whose_time_is_over_when_it_comes_back_is_refused() {
    check("ready 0; call a until 5; at 6; back a", "a -> 0; a dropped: expired");
    check("ready 0; call a until 5; at 4; back a; ready 0", "a -> 0; a -> 0'");
}

#[test]
fn a_late_call_of_a_deleted_session_does_not_bind_the_new_one() {
    check(
        "ready 0; ready 1; call a0 in s strict; call a in s strict; forget s; call b in s strict; done a0; done a; done b; call c in s strict",
        "a0 -> 0; a waits; b -> 1; a -> 0; c -> 1",
    );
}

#[test]
fn a_retired_worker_takes_no_more_but_finishes() {
    check(
        "ready 0; ready 1; call a; retire 0; call b; call c; done a; done b; retire 1; done c",
        "a -> 0; 0 leaves; b -> 1; c waits; 0 is drained; c -> 1; 1 leaves; 1 is drained",
    );
    check("ready 0; retire 0; retire 0", "0 is drained; 0 is drained");
}

#[test]
fn one_replaces_another_in_the_same_seat() {
    check("ready 0; call a; ready 0; call b; gone 0; call c; ready 0; done b", "a -> 0; b -> 0'; c waits; c -> 0''");
}

#[test]
fn a_retired_worker_is_told_to_cancel_too() {
    check("ready 0; call a; retire 0; give up a", "a -> 0; 0 leaves; tell 0 to cancel a");
}

#[test]
fn one_that_is_held_gets_nothing_and_its_calls_are_lost() {
    check(
        "ready 0; ready 1; call a; hold 0; done a; call b; call c; gone 0; ready 0",
        "a -> 0; b -> 1; c waits; c -> 0'",
    );
    let mut roster: Roster<String, usize> = Roster::new(Config { per_worker: 1, max_queue: 0, max_requests: None });
    roster.hold(LifeId { seat: 3, generation: 1 });
    assert!(roster.occupants().all(|it| it.state == "unkillable" && it.worker.is_none() && it.life.seat == 3));
    roster.gone(LifeId { seat: 3, generation: 1 });
    assert_eq!(roster.occupants().count(), 0);
}

#[test]
fn a_dead_worker_takes_only_its_own_calls_down() {
    check(
        "ready 0; ready 1; call a; call b; call c; gone 0; done a; give up a; done b; ready 0; call d",
        "a -> 0; b -> 1; c waits; a is over; c -> 1; d -> 0'",
    );
}

#[test]
fn a_lease_takes_the_place_of_a_call_and_only_where_nothing_is_done() {
    check("ready 0; call a; lease 0; done a; lease 0; call b; done lease", "a -> 0; no lease; leased; b waits; b -> 0");
}

#[test]
fn a_draining_roster_serves_what_waits_and_takes_no_more() {
    check("ready 0; call a; call b; drain; call c; done a", "a -> 0; b waits; c refused: draining; b -> 0");
}

#[test]
fn a_closed_roster_refuses_the_waiting_and_the_new_and_lets_the_running_end() {
    check(
        "ready 0; call a; call b; close; call c; done a; ready 1",
        "a -> 0; b waits; b dropped: closed; c refused: closed",
    );
}

#[test]
fn where_nobody_comes_those_that_wait_are_told_and_new_ones_may_wait() {
    check(
        "call a; call b; nobody comes; call c; ready 0",
        "a waits; b waits; a dropped: nobody comes; b dropped: nobody comes; c waits; c -> 0",
    );
}

#[test]
fn sessions_of_which_nobody_knows_are_forgotten() {
    let mut stage = Stage::new();
    for order in ["ready 0", "call a in s", "call b in t", "call c in t"] {
        stage.play(order);
    }
    assert_eq!(stage.roster.sessions(), [("s".into(), 0)]);
    stage.roster.forget_session(&"s".into(), 1);
    assert!(stage.roster.bound("s", 0).is_some(), "that was another one");
    stage.roster.forget_session(&"s".into(), 0);
    stage.roster.forget_session(&"t".into(), 0);
    assert_eq!((stage.roster.bound("s", 0), stage.roster.bound("t", 0)), (None, None));
    assert_eq!(stage.roster.queued(), 2, "what waits goes on waiting");
    stage.play("done a");
    assert_eq!(stage.roster.bound("t", 0), Some(LifeId { seat: 0, generation: 1 }));
}

#[test]
fn churn_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage.play("ready 0");
    stage.play("call a");
    for n in 0..1000 {
        stage.play(&format!("call x{n} of t{n} in s{n} strict"));
        stage.play(&format!("give up x{n}"));
    }
    assert_eq!(stage.roster.queued(), 0);
    assert!(stage.roster.common.is_empty());
    assert_eq!(format!("{:?}", stage.roster.talks), "Talks({})");
}
