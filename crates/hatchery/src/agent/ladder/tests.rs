use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ALL: Means = Means { has_interrupt: true, has_stdin: true };
const NONE: Means = Means { has_interrupt: false, has_stdin: false };
const INT: Step = Step::Signal(libc::SIGINT);
const TERM: Step = Step::Signal(libc::SIGTERM);

fn plan(rungs: &[(Step, u32)], total: u32) -> StopLadder {
    let rung = |(step, seconds): &(Step, u32)| Rung { step: *step, grace: SECOND * *seconds };
    StopLadder { rungs: rungs.iter().map(rung).collect(), total: SECOND * total }
}

/// Climbs to the top, and says what is done in which second.
fn climbed(ladder: &mut Ladder, means: Means, began: Instant, mut now: Instant) -> Vec<(u64, Action)> {
    let mut taken = Vec::new();
    loop {
        match ladder.next(means, now) {
            Next::Take { rung, action } => {
                assert_eq!(rung, ladder.taken);
                taken.push((now.duration_since(began).as_secs(), action));
            }
            Next::Wait(Some(until)) => now = until,
            Next::Wait(None) => return taken,
        }
    }
}

#[test]
fn each_step_has_its_grace_and_the_last_is_the_kill() {
    let now = Instant::now();
    let steps = climbed(&mut Ladder::new(&StopLadder::default(), now), ALL, now, now);
    let [word, end, int, term] = [Step::Interrupt, Step::CloseStdin, INT, TERM].map(Action::Step);
    assert_eq!(steps, [(0, word), (2, end), (3, int), (6, term), (8, Action::Kill)]);
}

#[test]
fn what_there_is_nothing_for_is_skipped_with_its_grace() {
    let now = Instant::now();
    let mut ladder = Ladder::new(&StopLadder::default(), now);
    let steps = climbed(&mut ladder, NONE, now, now);
    assert_eq!(steps, [(0, Action::Step(INT)), (3, Action::Step(TERM)), (5, Action::Kill)]);
    assert_eq!(ladder.taken, 3);
}

#[test]
fn all_of_it_together_has_a_bound() {
    let now = Instant::now();
    let steps = climbed(&mut Ladder::new(&plan(&[(INT, 5), (TERM, 5)], 7), now), ALL, now, now);
    assert_eq!(steps, [(0, Action::Step(INT)), (5, Action::Step(TERM)), (7, Action::Kill)]);
    let at_once = climbed(&mut Ladder::new(&plan(&[(INT, 5)], 0), now), ALL, now, now);
    assert_eq!(at_once, [(0, Action::Kill)]);
    let bare = climbed(&mut Ladder::new(&plan(&[], 7), now), ALL, now, now);
    assert_eq!(bare, [(0, Action::Kill)]);
}

#[test]
fn a_kill_comes_at_any_time_and_once() {
    let now = Instant::now();
    let mut ladder = Ladder::new(&StopLadder::default(), now);
    ladder.next(ALL, now);
    ladder.kill();
    assert_eq!(ladder.next(ALL, now), Next::Take { rung: 2, action: Action::Kill });
    ladder.kill();
    assert_eq!(ladder.next(ALL, now), Next::Wait(None));
}

#[test]
fn the_same_stop_again_changes_nothing() {
    let now = Instant::now();
    let [mut one, mut many] = [(); 2].map(|()| Ladder::new(&StopLadder::default(), now));
    for _stop in 0..50 {
        many.join(&StopLadder::default(), ALL, now);
    }
    many.next(ALL, now);
    many.join(&StopLadder::default(), ALL, now + SECOND);
    one.next(ALL, now);
    assert_eq!(climbed(&mut many, ALL, now, now), climbed(&mut one, ALL, now, now));
}

#[test]
fn a_harder_one_shortens_and_repeats_nothing() {
    let now = Instant::now();
    let mut ladder = Ladder::new(&plan(&[(INT, 60), (TERM, 60)], 200), now);
    ladder.next(ALL, now);
    ladder.join(&plan(&[(INT, 1), (TERM, 2)], 10), ALL, now + SECOND);
    let rest = climbed(&mut ladder, ALL, now, now + SECOND);
    assert_eq!(rest, [(1, Action::Step(TERM)), (3, Action::Kill)]);
}

#[test]
fn a_time_that_never_comes_is_never_reached() {
    let now = Instant::now();
    let forever = StopLadder { rungs: vec![Rung { step: INT, grace: Duration::MAX }], total: Duration::MAX };
    let mut ladder = Ladder::new(&forever, now);
    ladder.next(ALL, now);
    assert_eq!(ladder.next(ALL, now + SECOND * 1000), Next::Wait(None));
    ladder.join(&StopLadder::default(), NONE, now + SECOND);
    assert_eq!(climbed(&mut ladder, NONE, now, now + SECOND), [(3, Action::Step(TERM)), (5, Action::Kill)]);
}

fn any_plan() -> impl Strategy<Value = StopLadder> {
    let step = prop_oneof![Just(Step::Interrupt), Just(Step::CloseStdin), Just(INT), Just(TERM)];
    (proptest::collection::vec((step, 0..20u32), 0..6), 0..60u32).prop_map(|(rungs, total)| plan(&rungs, total))
}

proptest! {
    #[test]
    fn a_join_never_makes_it_longer(mine in any_plan(), theirs in any_plan(), after in 0..40u32, interrupt: bool) {
        let began = Instant::now();
        let means = Means { has_interrupt: interrupt, has_stdin: true };
        let mut alone = Ladder::new(&mine, began);
        let mut steps = Vec::new();
        let mut now = began;
        // Climb until the other one comes.
        while let next = alone.next(means, now) && next != Next::Wait(None) {
            match next {
                Next::Take { action, .. } => steps.push(action),
                Next::Wait(Some(until)) if until <= began + SECOND * after => now = until,
                Next::Wait(_) => break,
            }
        }
        let came = now.max(began + SECOND * after);
        let mut joined = alone.clone();
        joined.join(&theirs, means, came);
        let (rest, other_rest) = (climbed(&mut alone, means, began, came), climbed(&mut joined, means, began, came));
        let end = |taken: &[(u64, Action)]| taken.last().map(|(second, _)| *second);
        prop_assert!(end(&other_rest) <= end(&rest), "{rest:?} {other_rest:?}");
        let kills = steps.iter().chain(other_rest.iter().map(|(_, action)| action)).filter(|action| **action == Action::Kill);
        prop_assert_eq!(kills.count(), 1);
    }
}
