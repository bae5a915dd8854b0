//! A keeper that stays when its host ends, and lets the next one in. One at a time.

use super::{Keeper, Master, PATIENCE_MS};
use crate::channel::{Channel, Heard};
use crate::message::{Encode, Fact, KeeperFact, MAX_HEAD, Order, SPEECH};
use crate::sys::processes::{open_pidfd, own_user_and_group};
use crate::sys::sockets::{self, Peer, READABLE, Watch, now, wait};
use crate::sys::{Errno, Fd, Result};

pub(super) struct Keeping {
    /// Held for as long as we live: whoever finds it held leaves the run alone.
    _lock: Fd,
    /// Where the next host comes in.
    door: Fd,
    /// To the guardian.
    relay: Fd,
}

impl Keeper {
    /// Only with a guardian that keeps as well: else one of us would stay for nothing.
    pub(super) fn keep(&mut self, lock: Fd, door: Fd, relay: Fd) -> Result<()> {
        if self.keeping.is_some() || !self.wards.any_alive() {
            return Err(Errno::INVAL);
        }
        self.hear_that_the_guardian_keeps(&relay)?;
        self.keeping = Some(Keeping { _lock: lock, door, relay });
        self.channel.say(&KeeperFact::Keeping, &[])
    }

    fn hear_that_the_guardian_keeps(&self, relay: &Fd) -> Result<()> {
        let deadline = now() + PATIENCE_MS;
        let mut buffer = [0; MAX_HEAD];
        loop {
            match self.channel.hear_from(relay, &mut buffer) {
                Heard::Message(message, _) if Fact::decode(message) == Some(Fact::Keeping) => return Ok(()),
                Heard::Nothing if now() < deadline && !self.channel.is_orphaned() => {}
                _ => return Err(Errno::CANCELED),
            }
            let [host, _] = self.channel.watch_masters();
            wait(&mut [Watch::new(relay, READABLE), host], Some(deadline.saturating_sub(now())))?;
        }
    }

    /// Now that the host is gone: whether we are to stay.
    pub(super) fn stays_without_a_host(&mut self) -> bool {
        let stays = self.keeping.is_some() && self.wards.any_alive();
        if stays {
            self.channel.forget_host();
            self.master = Master::Absent;
        }
        stays
    }

    pub(super) fn watch_the_door(&self) -> Watch {
        Watch::of(self.keeping.as_ref().map(|keeping| &keeping.door), READABLE)
    }

    /// To one of those who wait, if any does.
    pub(super) fn open_the_door(&mut self) {
        const MOMENT_MS: u64 = 10;
        let Some(keeping) = self.keeping.as_ref().filter(|_| !matches!(self.master, Master::Gone { .. })) else {
            return;
        };
        match sockets::accept(&keeping.door) {
            Ok(socket) => {
                let _was_a_stranger_or_has_left = self.receive(socket);
            }
            Err(Errno::AGAIN) => {}
            // It is still there, and so is the shortage.
            Err(_) => drop(wait(&mut [], Some(MOMENT_MS))),
        }
    }

    /// The same user's, or root's. What it says is heard only after our welcome.
    fn receive(&mut self, socket: Fd) -> Result<()> {
        let Peer { pid, user, .. } = sockets::peer(&socket)?;
        if pid == 0 || (user != 0 && user != own_user_and_group().0) {
            return Err(Errno::PERM);
        }
        // Whoever was the host may be gone by now.
        if let Master::Serving { .. } = self.master {
            self.attend();
        }
        match self.master {
            Master::Serving { host } => return tell(&socket, &KeeperFact::Hosted { host }),
            Master::Gone { .. } => return Err(Errno::OWNERDEAD),
            Master::Absent => {}
        }
        // Before Linux 6.5, one that has died already may be taken for whoever has its number now: until its socket closes.
        let host = sockets::peer_pidfd(&socket).or_else(|_| open_pidfd(pid))?;
        tell(&socket, &KeeperFact::Welcome { speech: SPEECH })?;
        self.channel = Channel { socket: Some(socket), masters: [Some(host), None] };
        self.master = Master::Serving { host: pid.cast_unsigned() };
        Ok(())
    }

    /// The guardian is told first: it says what it has on the host's own sockets.
    pub(super) fn attach(&self, [line, starts]: [Fd; 2]) -> Result<()> {
        let (Some(keeping), [Some(host), _]) = (&self.keeping, &self.channel.masters) else { return Err(Errno::INVAL) };
        let pid = self.wards.first_alive().ok_or(Errno::NOENT)?;
        let guardian = open_pidfd(pid)?;
        self.channel.say_through(&keeping.relay, &Order::Attach, &[host, &line, &starts])?;
        let [keeper, pid] = [self.lineage.own_pid(), pid].map(i32::cast_unsigned);
        let fact = KeeperFact::Attached { keeper, guardian: pid, layers: self.layers };
        self.channel.say(&fact, &[&self.own_pidfd, &guardian])
    }
}

/// Whoever has just come in: there is room for it.
fn tell(socket: &Fd, fact: &KeeperFact) -> Result<()> {
    let mut buffer = [0; MAX_HEAD];
    sockets::send(socket, fact.encode(&mut buffer).ok_or(Errno::INVAL)?, &[])
}
