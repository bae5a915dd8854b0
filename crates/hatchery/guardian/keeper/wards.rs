//! The guardians that the keeper has started, and those whose remains it has still to clear away.

use crate::sys::processes::{self, SIGKILL, reap};
use crate::sys::{Errno, Result};

const CAPACITY: usize = 64;

pub(super) struct Wards {
    wards: [Option<Ward>; CAPACITY],
    had_any: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Ward {
    pub(super) guardian: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not reaped.
    Alive(i32),
    /// Gone, but not yet all that was below it.
    Fallen { rounds: u32 },
}

/// How many rounds a folder may be busy that should be empty. Then it is left to the sweep.
const MAX_BUSY: u32 = 64;

impl Wards {
    pub(super) fn new() -> Wards {
        Wards { wards: [None; CAPACITY], had_any: false }
    }

    pub(super) fn had_any(&self) -> bool {
        self.had_any
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    pub(super) fn any_alive(&self) -> bool {
        self.all().any(|ward| matches!(ward.state, State::Alive(_)))
    }

    pub(super) fn any_fallen(&self) -> bool {
        self.fallen().next().is_some()
    }

    /// The process of a guardian that was not reaped.
    pub(super) fn first_alive(&self) -> Option<i32> {
        self.all().find_map(|ward| match ward.state {
            State::Alive(pid) => Some(pid),
            State::Fallen { .. } => None,
        })
    }

    pub(super) fn is_alive(&self, pid: i32) -> bool {
        self.all().any(|ward| ward.state == State::Alive(pid))
    }

    /// Of whom something may be left.
    pub(super) fn fallen(&self) -> impl Iterator<Item = u32> {
        self.all().filter(|ward| matches!(ward.state, State::Fallen { .. })).map(|ward| ward.guardian)
    }

    pub(super) fn has_room_for(&self, guardian: u32) -> Result<()> {
        match self.all().any(|ward| ward.guardian == guardian) {
            true => Err(Errno::EXIST),
            false if self.wards.iter().all(Option::is_some) => Err(Errno::NOSPC),
            false => Ok(()),
        }
    }

    pub(super) fn add(&mut self, guardian: u32, pid: i32) {
        self.had_any = true;
        if let Some(place) = self.wards.iter_mut().find(|place| place.is_none()) {
            *place = Some(Ward { guardian, state: State::Alive(pid) });
        }
    }

    pub(super) fn kill(&self, wanted: impl Fn(&Ward) -> bool) {
        for ward in self.all().filter(|ward| wanted(ward)) {
            if let State::Alive(pid) = ward.state {
                let _has_ended = processes::signal_child(pid, SIGKILL);
            }
        }
    }

    pub(super) fn reap_dead(&mut self) {
        for ward in self.wards.iter_mut().flatten() {
            if let State::Alive(pid) = ward.state
                && reap(pid).is_some()
            {
                ward.state = State::Fallen { rounds: 0 };
            }
        }
    }

    /// Those whose folder is gone, too.
    pub(super) fn forget_fallen(&mut self, remove_folder: impl Fn(u32) -> bool) {
        for place in &mut self.wards {
            let Some(Ward { guardian, state: State::Fallen { rounds } }) = place else { continue };
            *rounds += 1;
            if remove_folder(*guardian) || *rounds > MAX_BUSY {
                *place = None;
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Ward> {
        self.wards.iter().flatten()
    }
}
