//! Calls that are sent to a worker behind others.

use super::{Stage, check};

/// Worker 0 has been seen to take 50 us for a call that does e.
const SEEN: &str = "ready 0 ahead; call s does e; pass 50; done s; ";
const TOLD: &str = "s -> 0; ";

#[track_caller]
fn check_seen(script: &str, expected: &str) {
    check(&format!("{SEEN}{script}"), &format!("{TOLD}{expected}"));
}

#[test]
fn a_call_goes_behind_another_once_such_calls_were_seen_to_be_short() {
    check("ready 0 ahead; call a does e; call b does e; done a", "a -> 0; b waits; b -> 0");
    check_seen("call a does e; call b does e; call c does e", "a -> 0; b -> 0; c -> 0");
    check_seen("call a does e; call b does f", "a -> 0; b waits");
    check_seen("call a does f; call b does e", "a -> 0; b waits");
    check_seen("call a does e; call b", "a -> 0; b waits");
}

#[test]
fn those_that_wait_when_a_call_turns_out_to_be_short_go_together() {
    check(
        "ready 0 ahead; call a does e; call b does e; call c does e; pass 50; done a",
        "a -> 0; b waits; c waits; b -> 0; c -> 0",
    );
}

#[test]
fn only_to_a_worker_that_keeps_a_ledger_and_has_shown_what_it_can() {
    check("ready 0; call a does e; pass 50; done a; call b does e; call c does e", "a -> 0; b -> 0; c waits");
    check_seen("ready 1 ahead; call a does e; call b does e; call c does e", "a -> 0; b -> 1; c -> 0");
    check_seen("retire 0; ready 1 ahead; call a does e; call b does e", "0 is drained; a -> 1; b waits");
}

#[test]
fn only_while_nobody_is_free() {
    check_seen(
        "ready 1 ahead; call a does e; call b does e; done b; call c does e; call d does e; call e does e",
        "a -> 0; b -> 1; c -> 1; d -> 0; e -> 1",
    );
}

#[test]
fn no_more_than_a_worker_does_in_a_millisecond() {
    check(
        "ready 0 ahead; call s does e; pass 400; done s; call a does e; call b does e; call c does e; call d does e; pass 400; done a",
        "s -> 0; a -> 0; b -> 0; c -> 0; d waits; d -> 0",
    );
    check("ready 0 ahead; call s does e; pass 1000; done s; call a does e; call b does e", "s -> 0; a -> 0; b waits");
}

#[test]
fn no_more_than_32() {
    let mut stage = Stage::new();
    for order in ["ready 0 ahead", "call s does e", "pass 1", "done s"] {
        stage.play(order);
    }
    for n in 0..40 {
        stage.play(&format!("call a{n} does e"));
    }
    assert_eq!((stage.roster.running(), stage.roster.queued()), (33, 7));
}

#[test]
fn nothing_behind_one_that_takes_longer_than_it_should() {
    check_seen("call a does e; pass 1001; call b does e; done a; call c does e", "a -> 0; b waits; b -> 0; c -> 0");
    check_seen(
        "call a does e; pass 1001; call b does e; ready 1 ahead; done b; call c does e; call d does e",
        "a -> 0; b waits; b -> 1; c -> 1; d -> 1",
    );
}

#[test]
fn one_slow_call_ends_it_and_many_short_ones_begin_it_again() {
    let mut stage = Stage::new();
    for order in ["ready 0 ahead", "call s does e", "pass 50", "done s", "call t does e", "pass 5000", "done t"] {
        stage.play(order);
    }
    let depth = |stage: &mut Stage, n: u32| {
        for call in ["a", "b"] {
            stage.play(&format!("call {call}{n} does e"));
        }
        let depth = stage.roster.running();
        for call in ["a", "b"] {
            stage.play("pass 50");
            stage.play(&format!("done {call}{n}"));
        }
        depth
    };
    let depths: Vec<usize> = (0..20).map(|n| depth(&mut stage, n)).collect();
    assert_eq!((depths[0], depths[19]), (1, 2), "{depths:?}");
}

#[test]
fn no_call_of_a_session_and_nobody_past_one() {
    check_seen("call a does e; call b does e in s", "a -> 0; b waits");
    check_seen("call a does e; call b does e in s; call c does e; done a", "a -> 0; b waits; c waits; b -> 0; c -> 0");
}

#[test]
fn nothing_goes_ahead_to_a_worker_for_which_a_call_waits() {
    check_seen(
        "call a does e in t; call b does e in t strict; call c does e; done a",
        "a -> 0; b waits; c waits; b -> 0; c -> 0",
    );
}

#[test]
fn higher_priorities_are_first_here_too() {
    check(
        "ready 0 ahead; call s does e; call a does e low; call b does e; call c does e high; pass 400; done s",
        "s -> 0; a waits; b waits; c waits; c -> 0; b -> 0; a -> 0",
    );
}

#[test]
fn what_comes_back_is_first_again_in_its_order() {
    check_seen(
        "call a does e; call b does e; call c does e; pass 2000; call d does e; return 0 b c; done a; ready 1",
        "a -> 0; b -> 0; c -> 0; d waits; b -> 0; c -> 1",
    );
}

#[test]
fn what_comes_back_goes_to_who_is_free() {
    check_seen(
        "ready 1 ahead; call a does e; call x does e; call b does e; done x; return 0 b",
        "a -> 0; x -> 1; b -> 0; b -> 1",
    );
}

#[test]
fn a_worker_whose_calls_came_back_gets_none_ahead_until_it_answers() {
    check_seen(
        "call a does e; call b does e; return 0 b; call c does e; pass 10; done a",
        "a -> 0; b -> 0; c waits; b -> 0; c -> 0",
    );
}

#[test]
fn one_that_was_given_up_does_not_come_back() {
    check_seen("call a does e; call b does e; give up b; return 0 b; done a", "a -> 0; b -> 0; tell 0 to cancel b");
}

#[test]
fn one_whose_time_is_over_when_it_comes_back_is_refused() {
    check_seen(
        "call a does e; call b does e until 5; call c does e; at 6; return 0 b c",
        "a -> 0; b -> 0; c -> 0; b dropped: expired",
    );
}

#[test]
fn the_calls_of_a_dead_worker_that_it_had_not_begun_run_elsewhere() {
    check_seen(
        "ready 1; call a does e; call x does e; call b does e; call y; retire 0; return 0 b; gone 0; done x; done b",
        "a -> 0; x -> 1; b -> 0; y waits; 0 leaves; b -> 1; y -> 1",
    );
}

#[test]
fn a_worker_that_leaves_is_drained_when_all_are_answered_or_back() {
    check_seen("call a does e; call b does e; retire 0; done a; done b", "a -> 0; b -> 0; 0 leaves; 0 is drained");
    check_seen("call a does e; call b does e; retire 0; done a; return 0 b", "a -> 0; b -> 0; 0 leaves; 0 is drained");
}

#[test]
fn what_comes_back_to_a_closed_roster_is_refused() {
    check_seen("call a does e; call b does e; close; return 0 b", "a -> 0; b -> 0; b dropped: closed");
}

#[test]
fn a_worker_that_is_to_be_replaced_soon_is_sent_no_more_than_it_has_left() {
    check_seen(
        "requests 4; call a does e; call b does e; call c does e; call d does e; done a; done b; done c",
        "a -> 0; b -> 0; c -> 0; d waits; d -> 0",
    );
}

#[test]
fn a_lease_has_nothing_behind_it() {
    check_seen("lease 0; call a does e", "leased; a waits");
}
