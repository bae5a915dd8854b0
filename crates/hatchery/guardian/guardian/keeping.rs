//! A worker that is kept: it goes on when the host ends, and is the next host's from when that comes.
//!
//! There is one at most, and nobody else is below such a guardian. While there is no host, what the host would have done is done here:
//! a leader that has ended is not waited for.

use super::table::{Slot, State};
use super::{Guardian, Masterless};
use crate::channel::Heard;
use crate::message::{Fact, MAX_FDS, Order};
use crate::sys::sockets::{Descriptors, is_readable};
use crate::sys::{Errno, Fd, Result, files, processes};
use crate::text::Text;

/// More orders than a socket holds.
const LAST_WORDS: u32 = 1024;

pub(super) struct Keeping {
    worker: u32,
    /// To the keeper, which sends the next host.
    relay: Fd,
    /// Where the worker's end is written down, once.
    exit: Option<Fd>,
    /// The writing end of its stdin.
    input: Option<Fd>,
    /// For the next host.
    held: Descriptors,
}

impl Keeping {
    pub(super) fn relay(&self) -> &Fd {
        &self.relay
    }
}

impl Guardian {
    pub(super) fn keep(&mut self, worker: u32, has_input: bool, mut descriptors: Descriptors) -> Result<()> {
        let [relay, exit] = [0, 1].map(|index| descriptors.take(index).ok_or(Errno::INVAL));
        let (relay, exit) = (relay?, Some(exit?));
        let input = if has_input { Some(descriptors.take(2).ok_or(Errno::INVAL)?) } else { None };
        let is_alone = self.table.count() == 1 && self.table.find(worker).is_some();
        if descriptors.cut || !is_alone || self.keeping.is_some() {
            return Err(Errno::INVAL);
        }
        let keeping = self.keeping.insert(Keeping { worker, relay, exit, input, held: descriptors });
        self.channel.say_through(&keeping.relay, &Fact::Keeping, &[])
    }

    pub(super) fn close_input(&mut self, worker: u32) {
        if let Some(keeping) = self.keeping.as_mut().filter(|keeping| keeping.worker == worker) {
            keeping.input = None;
        }
    }

    /// Now that the host is gone: whether there is somebody to keep, and a keeper to keep him with. What the host has said last is
    /// heard: it may have ordered the end.
    pub(super) fn goes_on_alone(&mut self, buffer: &mut [u8]) -> bool {
        let [_, keeper] = &self.channel.masters;
        let has_keeper = !keeper.as_ref().is_some_and(is_readable);
        if !self.channel.has_host() || self.keeping.is_none() || !has_keeper {
            return false;
        }
        for _ in 0..LAST_WORDS {
            let Heard::Message(message, _) = self.channel.hear(buffer) else { break };
            if let Some(Order::End { worker }) = Order::decode(message) {
                self.table.begin_ending(worker);
            }
        }
        self.channel.forget_host();
        self.starts = None;
        self.end_what_has_ended();
        self.is_of_use().is_ok()
    }

    /// An error: there is no host, and nobody is left to be kept for the next one.
    pub(super) fn is_of_use(&self) -> core::result::Result<(), Masterless> {
        if self.channel.has_host() || self.table.count() > 0 { Ok(()) } else { Err(Masterless) }
    }

    /// In the place of the host.
    pub(super) fn end_what_has_ended(&mut self) {
        for index in 0..self.table.count() {
            let Slot { worker, pid, state, .. } = *self.table.slot(index);
            if let State::Running = state
                && processes::has_ended(pid).is_some()
            {
                self.table.begin_ending(worker);
            }
        }
    }

    /// Before the leader is reaped. One write, of what has its place on the disk already.
    pub(super) fn write_down_the_end_of(&mut self, slot: &Slot) {
        let exit = self.keeping.as_mut().filter(|keeping| keeping.worker == slot.worker);
        let Some(exit) = exit.and_then(|keeping| keeping.exit.take()) else { return };
        if let Some(ended) = processes::has_ended(slot.pid) {
            let [code, status] = [ended.code, ended.status].map(i32::cast_unsigned);
            let text = Text::new().number(code).text(" ").number(status).text("\n");
            let _unknown_then = files::write(&exit, text.bytes());
        }
    }

    /// The keeper has let one in. Whoever was the host before is it no longer.
    pub(super) fn hear_of_a_host(&mut self, buffer: &mut [u8]) -> core::result::Result<(), Masterless> {
        let Some(keeping) = &self.keeping else { return Ok(()) };
        match self.channel.hear_from(&keeping.relay, buffer) {
            Heard::Nothing => Ok(()),
            Heard::End => Err(Masterless),
            Heard::Message(message, mut descriptors) => {
                let sockets = [0, 1, 2].map(|index| descriptors.take(index));
                let (Some(Order::Attach), [Some(host), Some(line), Some(starts)]) = (Order::decode(message), sockets)
                else {
                    return Err(Masterless);
                };
                (self.channel.socket, self.channel.masters[0], self.starts) = (Some(line), Some(host), Some(starts));
                Ok(self.introduce()?)
            }
        }
    }

    /// What the next host has to know, and what it gets.
    fn introduce(&self) -> Result<()> {
        self.channel.say(&Fact::Ready(self.layers), &[])?;
        let Some(keeping) = &self.keeping else { return Ok(()) };
        // An error: it was the last thing to be kept, and we are on our way out.
        let slot = self.table.find(keeping.worker).ok_or(Errno::NOENT)?;
        let (worker, pid) = (slot.worker, slot.pid.cast_unsigned());
        let others = keeping.held.iter().count() as u32;
        let fact = Fact::Held { worker, pid, has_input: keeping.input.is_some(), others };
        let pidfd = processes::open_pidfd(slot.pid)?;
        let mut descriptors = [&pidfd; MAX_FDS];
        let given = [&pidfd].into_iter().chain(&keeping.input).chain(keeping.held.iter());
        let count = descriptors.iter_mut().zip(given).map(|(place, given)| *place = given).count();
        self.channel.say(&fact, &descriptors[..count])
    }
}
