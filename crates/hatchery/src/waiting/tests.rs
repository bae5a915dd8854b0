use proptest::prelude::*;

use super::*;

fn life(worker: &str) -> Life {
    Life { worker: WorkerId::read(worker), generation: 1 }
}

fn call(worker: &str, call: u64) -> Occupant {
    Occupant { life: life(worker), call }
}

/// A pool that stays as it is.
struct Fixed(Staff);

impl Staffed for Fixed {
    fn staff(&self) -> Staff {
        self.0.clone()
    }
}

/// Pools of one worker each, which has one place.
fn lonely(pools: &[&str]) -> (Waiting, Vec<Arc<Fixed>>) {
    let waiting = Waiting::default();
    let staff = |pool: &str| Staff { ready: vec![life(&format!("{pool}-1"))], wanted: 1, places: 1 };
    let fixed: Vec<Arc<Fixed>> = pools.iter().map(|pool| Arc::new(Fixed(staff(pool)))).collect();
    for (pool, fixed) in pools.iter().zip(&fixed) {
        let weak: Weak<dyn Staffed> = Arc::downgrade(&(Arc::clone(fixed) as Arc<dyn Staffed>));
        waiting.know((*pool).into(), weak);
    }
    (waiting, fixed)
}

#[test]
fn a_circle_is_refused_with_its_names_and_a_wait_that_is_dropped_is_over() {
    let (waiting, _pools) = lonely(&["a", "b"]);
    let first = waiting.errand(call("a-1", 1)).wait_for(&"b".into(), None).unwrap();
    first.mark().runs_in(&WorkerId::read("b-1"), 1, 7);
    let errand = waiting.errand(call("b-1", 7));
    let refused = errand.wait_for(&"a".into(), None).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.message().contains("(b-1 → a-1 → b-1)"), "{refused}");
    assert_eq!(refused.details().unwrap()["cycle"], json!(["b-1", "a-1", "b-1"]));
    let late = first.mark();
    drop(first);
    assert!(errand.wait_for(&"a".into(), None).is_ok());
    late.runs_in(&WorkerId::read("b-1"), 1, 7);
    assert!(waiting.graph().pools().is_empty(), "what nobody waits for leaves nothing");
}

#[test]
fn a_worker_that_asks_its_own_pool_of_one_waits_for_itself() {
    let (waiting, _pools) = lonely(&["a"]);
    let refused = waiting.errand(call("a-1", 1)).wait_for(&"a".into(), None).err().unwrap();
    assert_eq!(refused.details().unwrap()["cycle"], json!(["a-1", "a-1"]));
    let gone = waiting.errand(call("a-1", 1)).wait_for(&"a".into(), Some("a-7"));
    assert!(gone.is_ok(), "that there is no such worker is the pool's to say");
}

#[test]
fn a_call_in_line_behind_one_that_does_not_wait_is_none_of_our_business() {
    let (waiting, _pools) = lonely(&["a", "b"]);
    let _queued = waiting.errand(call("a-1", 1)).wait_for(&"b".into(), None).unwrap();
    let waits_for_nobody = waiting.errand(call("c-1", 1)).wait_for(&"b".into(), None);
    assert!(waits_for_nobody.is_ok());
}

/// Calls that run, and what they wait for, played out by the letter.
#[derive(Clone, Default)]
struct World {
    running: Vec<Occupant>,
    waits: Vec<(EdgeId, Occupant, Goal)>,
}

#[derive(Clone)]
enum Goal {
    Line { pool: usize, only: Option<usize> },
    Call(Occupant),
}

const WORKERS: usize = 2;

fn name(pool: usize, worker: usize) -> String {
    format!("{pool}-{worker}")
}

impl World {
    fn is_free(&self, worker: &str, places: usize) -> bool {
        self.running.iter().filter(|occupant| occupant.life.worker.as_str() == worker).count() < places
    }

    fn waits(&self, occupant: &Occupant) -> bool {
        self.waits.iter().any(|(_, from, _)| from == occupant)
    }

    /// A place for what is in a line, if there is one.
    fn seat_of(&self, goal: &Goal, places: &[usize]) -> Option<String> {
        let Goal::Line { pool, only } = goal else { return None };
        let workers = (0..WORKERS).filter(|worker| only.is_none_or(|only| only == *worker));
        workers.map(|worker| name(*pool, worker)).find(|worker| self.is_free(worker, places[*pool]))
    }

    fn seat(&mut self, at: usize, number: u64, places: &[usize]) -> Option<Occupant> {
        let occupant = call(&self.seat_of(&self.waits[at].2, places)?, number);
        self.running.push(occupant.clone());
        self.waits[at].2 = Goal::Call(occupant.clone());
        Some(occupant)
    }

    /// A call that waits for nothing ends, and with it the wait for it.
    fn end(&mut self, at: usize) -> Vec<EdgeId> {
        let ended = self.running.remove(at);
        let is_for = |goal: &Goal| matches!(goal, Goal::Call(occupant) if *occupant == ended);
        let over = self.waits.iter().filter(|(_, _, goal)| is_for(goal)).map(|(edge, _, _)| *edge).collect();
        self.waits.retain(|(_, _, goal)| !is_for(goal));
        over
    }

    /// Whether this wait is over one day, if nobody asks for anything more.
    fn comes_to_an_end(mut self, edge: EdgeId, places: &[usize]) -> bool {
        let mut number = 1_000_000;
        loop {
            if let Some(at) = (0..self.running.len()).find(|at| !self.waits(&self.running[*at])) {
                self.end(at);
                continue;
            }
            number += 1;
            if !(0..self.waits.len()).any(|at| self.seat(at, number, places).is_some()) {
                return self.waits.iter().all(|(left, _, _)| *left != edge);
            }
        }
    }
}

proptest! {
    /// What is refused would never have ended; what is let through does.
    #[test]
    fn exactly_what_would_never_end_is_refused(
        places in proptest::collection::vec(1..3usize, 3),
        steps in proptest::collection::vec((0..6u8, any::<prop::sample::Index>(), 0..3usize, 0..WORKERS), 1..80),
    ) {
        let (mut world, mut graph) = (World::default(), Graph::default());
        let staff = |pool: usize| Staff {
            ready: (0..WORKERS).map(|worker| life(&name(pool, worker))).collect(),
            wanted: WORKERS,
            places: places[pool],
        };
        let staffs = (0..3).map(|pool| (Arc::from(pool.to_string()), staff(pool))).collect();
        for (number, (what, which, pool, worker)) in (1..).zip(steps) {
            match what {
                0 if world.is_free(&name(pool, worker), places[pool]) => world.running.push(call(&name(pool, worker), number)),
                1..=3 if !world.running.is_empty() => {
                    let from = which.get(&world.running).clone();
                    let only = (what == 3).then_some(worker);
                    let only_name = only.map(|worker| name(pool, worker));
                    let edge = graph.begin(from.clone(), pool.to_string().into(), only_name.as_deref());
                    world.waits.push((edge, from.clone(), Goal::Line { pool, only }));
                    let circle = graph.circle(edge, &staffs);
                    prop_assert_eq!(circle.is_none(), world.clone().comes_to_an_end(edge, &places));
                    match circle {
                        None => {
                            let at = world.waits.len() - 1;
                            if let Some(occupant) = world.seat(at, number, &places) {
                                graph.runs(edge, occupant);
                            }
                        }
                        Some(circle) => {
                            prop_assert_eq!(circle.first(), Some(&from.life.worker));
                            prop_assert_eq!(circle.first(), circle.last());
                            graph.end(edge);
                            world.waits.pop();
                        }
                    }
                }
                4 => {
                    let idle: Vec<usize> = (0..world.running.len()).filter(|at| !world.waits(&world.running[*at])).collect();
                    if !idle.is_empty() {
                        world.end(*which.get(&idle)).into_iter().for_each(|edge| graph.end(edge));
                    }
                    for at in 0..world.waits.len() {
                        if let Some(occupant) = world.seat(at, number * 1000 + at as u64, &places) {
                            graph.runs(world.waits[at].0, occupant);
                        }
                    }
                }
                5 if !world.waits.is_empty() => {
                    let given_up = which.index(world.waits.len());
                    graph.end(world.waits.remove(given_up).0);
                }
                _ => {}
            }
        }
    }
}
