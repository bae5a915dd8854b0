//! Whether a worker still answers: asks, waits, counts. Decides; `life.rs` asks and listens.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a worker still answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Default: yes.
    pub enabled: bool,
    /// From one answer to the next question. Default: 2 s.
    pub interval: Duration,
    /// How long an answer may take until it counts as missed. Default: 10 s.
    pub timeout: Duration,
    /// So many in a row are too many. Default: 3.
    pub max_missed: u32,
    /// From ready to the first question. Default: none.
    pub initial_delay: Duration,
    /// Whether a worker that misses too many is replaced; else it is only told of. Default: yes.
    pub dependent: bool,
    /// Whether misses count while the worker has a call: a tool in C code may hold the interpreter. A process that is stopped
    /// counts always. Default: no.
    pub while_busy: bool,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat {
            enabled: true,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_missed: 3,
            initial_delay: Duration::ZERO,
            dependent: true,
            while_busy: false,
        }
    }
}

/// The questions to one worker, from ready to its end.
#[derive(Debug)]
pub(super) struct Beat {
    settings: Heartbeat,
    /// `None`: as long as the clock can tell, never.
    due: Option<Instant>,
    /// The question that waits for its answer, and since when.
    asked: Option<(u64, Instant)>,
    /// Questions so far.
    count: u64,
    missed: u32,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Ask(u64),
    /// The answer did not come in time, so many times in a row; and the next question is to be asked.
    Missed(u32, u64),
    /// That was one too many.
    GiveUp(u32),
}

impl Beat {
    /// `None`: nobody asks.
    pub(super) fn new(settings: Heartbeat, now: Instant) -> Option<Beat> {
        settings.enabled.then(|| Beat {
            settings,
            due: now.checked_add(settings.initial_delay),
            asked: None,
            count: 0,
            missed: 0,
        })
    }

    /// When [`Beat::act`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// To be called when it is due. One who `is_excused` has missed nothing.
    pub(super) fn act(&mut self, now: Instant, is_excused: bool) -> Act {
        if self.asked.take().is_some() && !is_excused {
            self.missed += 1;
            if self.missed >= self.settings.max_missed && self.settings.dependent {
                self.due = None;
                return Act::GiveUp(self.missed);
            }
            return Act::Missed(self.missed, self.ask(now));
        }
        Act::Ask(self.ask(now))
    }

    /// An answer, on time or late: whoever sends it lives. Says how long it took, if it is the one that was waited for.
    pub(super) fn answered(&mut self, id: u64, now: Instant) -> Option<Duration> {
        if id == 0 || id > self.count {
            return None;
        }
        self.missed = 0;
        let (_, since) = self.asked.take_if(|(asked, _)| *asked == id)?;
        self.due = now.checked_add(self.settings.interval);
        Some(now.saturating_duration_since(since))
    }

    fn ask(&mut self, now: Instant) -> u64 {
        self.count += 1;
        self.asked = Some((self.count, now));
        self.due = now.checked_add(self.settings.timeout);
        self.count
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// `act`, `excused act`, `answer 1`; each says what follows and when, in seconds from the start.
    #[track_caller]
    fn check(settings: Heartbeat, script: &str, expected: &str) {
        let start = Instant::now();
        let mut beat = Beat::new(settings, start).unwrap();
        let (mut now, mut told) = (start, String::new());
        for order in script.split(';').map(str::trim) {
            match order.split_once(' ') {
                Some(("answer", id)) => {
                    now += Duration::from_secs(1);
                    match beat.answered(id.parse().unwrap(), now) {
                        Some(took) => write!(told, "took {took:?}").unwrap(),
                        None => write!(told, "late").unwrap(),
                    }
                }
                excused => {
                    now = beat.due().unwrap();
                    match beat.act(now, excused.is_some()) {
                        Act::Ask(id) => write!(told, "ask {id}").unwrap(),
                        Act::Missed(missed, id) => write!(told, "missed {missed}, ask {id}").unwrap(),
                        Act::GiveUp(missed) => write!(told, "give up after {missed}").unwrap(),
                    }
                }
            }
            match beat.due() {
                Some(due) => write!(told, " until {}; ", (due - start).as_secs()).unwrap(),
                None => write!(told, "; ").unwrap(),
            }
        }
        assert_eq!(told.trim_end_matches("; "), expected, "{script}");
    }

    #[test]
    fn one_that_answers_is_asked_again_after_the_interval() {
        let settings = Heartbeat { initial_delay: Duration::from_secs(5), ..Heartbeat::default() };
        check(settings, "act; answer 1; act", "ask 1 until 15; took 1s until 8; ask 2 until 18");
    }

    #[test]
    fn misses_in_a_row_are_too_many_at_last() {
        let script = "act; act; act; act";
        let expected = "ask 1 until 10; missed 1, ask 2 until 20; missed 2, ask 3 until 30; give up after 3";
        check(Heartbeat::default(), script, expected);
        let alone = Heartbeat { dependent: false, max_missed: 1, ..Heartbeat::default() };
        check(alone, "act; act; act", "ask 1 until 10; missed 1, ask 2 until 20; missed 2, ask 3 until 30");
    }

    #[test]
    fn a_late_answer_shows_that_it_lives() {
        let script = "act; act; act; answer 1; act; act; act";
        let expected = "ask 1 until 10; missed 1, ask 2 until 20; missed 2, ask 3 until 30; late until 30; \
                        missed 1, ask 4 until 40; missed 2, ask 5 until 50; give up after 3";
        check(Heartbeat::default(), script, expected);
    }

    #[test]
    fn one_that_is_excused_misses_nothing() {
        let script = "act; excused act; excused act; act";
        check(Heartbeat::default(), script, "ask 1 until 10; ask 2 until 20; ask 3 until 30; missed 1, ask 4 until 40");
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_nothing() {
        check(
            Heartbeat::default(),
            "act; answer 7; answer 0; act",
            "ask 1 until 10; late until 10; late until 10; missed 1, ask 2 until 20",
        );
    }
}
