//! How a pool stands as a whole: how many of its workers are ready, and if none is, whether any is to be expected.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::restarts::CrashLoop;
use super::settings::Restarts;
use crate::error::{Error, ErrorKind};

pub(super) struct Standing {
    state: watch::Sender<State>,
    /// Deaths before ready.
    crashes: Mutex<CrashLoop>,
}

#[derive(Clone, Debug, Default)]
struct State {
    ready: usize,
    was_ready: bool,
    /// Seats whose first start has not come to an end.
    undecided: usize,
    /// Set until the first seats are decided.
    starting_since: Option<Instant>,
    /// Why the last worker ended, until one is ready again.
    last_end: Option<Error>,
    /// Why nobody is to be expected soon, until somebody comes.
    verdict: Option<Error>,
    /// That nobody is ready nor to be expected was told.
    is_told: bool,
    is_closed: bool,
}

impl State {
    /// The reason why nobody is ready nor to be expected, if that is news.
    fn news(&mut self) -> Option<Error> {
        let verdict = self.verdict.as_ref().filter(|_| self.ready == 0 && !self.is_closed);
        let was_told = std::mem::replace(&mut self.is_told, verdict.is_some());
        verdict.filter(|_| !was_told).cloned()
    }
}

impl Standing {
    pub(super) fn new() -> Standing {
        let state = State { starting_since: Some(Instant::now()), ..State::default() };
        Standing { state: watch::Sender::new(state), crashes: Mutex::default() }
    }

    /// So many seats are to be filled for the first time.
    pub(super) fn expect(&self, seats: usize) {
        self.state.send_modify(|state| state.undecided += seats);
    }

    /// A seat's first start has come to an end, or will not come to one. Says also how many are ready, and after how long, if that was
    /// the last of the first seats.
    pub(super) fn decided(&self) -> (Option<Error>, Option<(usize, Duration)>) {
        let mut started = None;
        let news = self.change(|state| {
            state.undecided = state.undecided.saturating_sub(1);
            if state.undecided == 0 {
                started = state.starting_since.take().map(|since| (state.ready, since.elapsed()));
            }
            // Every start has failed: whoever waits need not wait longer.
            if state.undecided == 0 && !state.was_ready {
                state.verdict = state.verdict.take().or_else(|| state.last_end.clone());
            }
        });
        (news, started)
    }

    /// A worker is ready. True if it was told that nobody was to be expected.
    pub(super) fn came(&self, settings: Restarts) -> bool {
        let _was_loop = self.lock_crashes().succeeded(settings);
        let mut was_told = false;
        self.state.send_modify(|state| {
            was_told = std::mem::take(&mut state.is_told);
            (state.verdict, state.last_end) = (None, None);
            (state.ready, state.was_ready) = (state.ready + 1, true);
        });
        was_told
    }

    /// One that was ready takes no more calls.
    pub(super) fn left(&self) -> Option<Error> {
        self.change(|state| state.ready = state.ready.saturating_sub(1))
    }

    /// A worker died before it was ready. From now on nobody is to be expected soon if the app itself is wrong, or if that was one
    /// too many.
    pub(super) fn failed(&self, error: &Error, is_first_start: bool, settings: Restarts) -> Option<Error> {
        let is_loop = self.lock_crashes().failed(settings);
        let is_hopeless = is_first_start && error.kind() == ErrorKind::Validation;
        self.change(|state| {
            state.last_end = Some(error.clone());
            if is_loop || is_hopeless {
                state.verdict = Some(error.clone());
            }
        })
    }

    /// Says why nobody is ready nor to be expected, if that is news.
    fn change(&self, change: impl FnOnce(&mut State)) -> Option<Error> {
        let mut news = None;
        self.state.send_modify(|state| {
            change(state);
            news = state.news();
        });
        news
    }

    /// Why a worker ended, for those who wait for the next.
    pub(super) fn ended(&self, error: &Error) {
        self.state.send_modify(|state| state.last_end = Some(error.clone()));
    }

    /// Nobody comes any more.
    pub(super) fn close(&self) {
        self.state.send_modify(|state| state.is_closed = true);
    }

    pub(super) fn verdict(&self) -> Option<Error> {
        self.state.borrow().verdict.clone()
    }

    pub(super) fn verdict_if_nobody_is_ready(&self) -> Option<Error> {
        let state = self.state.borrow();
        if state.ready > 0 { None } else { state.verdict.clone() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().is_closed
    }

    pub(super) fn was_ready(&self) -> bool {
        self.state.borrow().was_ready
    }

    /// Puts the reason behind an error of one who has waited for a worker, if there was none.
    pub(super) fn explain(&self, error: Error) -> Error {
        let state = self.state.borrow();
        match &state.last_end {
            Some(end) if state.ready == 0 => error.because(format_args!("no worker is ready: {end}"), end),
            _ => error,
        }
    }

    /// Waits until a worker is ready, or none is to be expected: then, with the reason. Cancel safe.
    pub(super) async fn one_ready(&self) -> Result<(), Option<Error>> {
        self.once(|state| state.ready > 0 || state.verdict.is_some()).await
    }

    /// Waits until each seat's first start has come to an end: as [`Standing::one_ready`]. Cancel safe.
    pub(super) async fn all_decided(&self) -> Result<(), Option<Error>> {
        self.once(|state| state.undecided == 0 || (state.verdict.is_some() && state.ready == 0)).await
    }

    async fn once(&self, holds: impl Fn(&State) -> bool) -> Result<(), Option<Error>> {
        let mut state = self.state.subscribe();
        let Ok(state) = state.wait_for(|state| state.is_closed || holds(state)).await else { return Err(None) };
        match &state.verdict {
            Some(verdict) if state.ready == 0 => Err(Some(verdict.clone())),
            _ if state.is_closed => Err(None),
            _ => Ok(()),
        }
    }

    /// How the pool stands, in a word.
    pub(super) fn word(&self) -> &'static str {
        let state = self.state.borrow();
        match &*state {
            State { is_closed: true, .. } => "closed",
            State { ready: 0, verdict: Some(_), .. } => "unavailable",
            State { ready: 0, was_ready: false, .. } => "starting",
            State { ready: 0, .. } => "restarting",
            _ => "serving",
        }
    }

    fn lock_crashes(&self) -> MutexGuard<'_, CrashLoop> {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
