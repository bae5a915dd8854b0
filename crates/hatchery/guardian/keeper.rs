//! The keeper: the host's only child. Forks the guardians, and does their work when they cannot: what a guardian leaves behind
//! becomes the keeper's child.

mod begin;
mod keeping;
mod wards;

use crate::cgroup::{RunFolder, is_gone};
use crate::channel::{Channel, Heard};
use crate::guardian::{self, Namespace, Post};
use crate::lineage::{Lineage, pause};
use crate::message::{KeeperFact, KeeperOrder, Layers, MAX_HEAD, Step};
use crate::origins::Origins;
use crate::outcome::{self, Failure, Outcome, Teller, at};
use crate::sys::files;
use crate::sys::processes::{self, Child, Fork, NEW_PROCESSES_AND_MOUNTS, NEW_USERS};
use crate::sys::sockets::{Descriptors, READABLE, Watch, now, wait};
use crate::sys::{Errno, Fd, Result};
use keeping::Keeping;
use wards::Wards;

/// How long a guardian may take to set itself up: milliseconds, unless the machine is very busy. The host waits longer.
const PATIENCE_MS: u64 = 10_000;

/// The lowest number of a descriptor that is not a worker's: the workers' are below, so that no source is ever overwritten.
const LOWEST: usize = crate::message::MAX_FDS;

/// The life of the process that the host has just started.
pub(crate) fn run() -> ! {
    // Kept open for as long as the process lives: that is what they are for.
    // First, for what is kept open may be more than the host itself could have.
    let origins = Origins::change();
    let _reserved = begin::settle();
    if let Some(mut keeper) = origins.ok().and_then(begin::begin) {
        keeper.serve();
        keeper.leave();
    }
    processes::exit(0)
}

struct Keeper {
    channel: Channel,
    child_events: Fd,
    /// A pidfd of ourselves, for the guardians.
    own_pidfd: Fd,
    lineage: Lineage,
    run_folder: Option<RunFolder>,
    layers: Layers,
    origins: Origins,
    grace_ms: u64,
    wards: Wards,
    keeping: Option<Keeping>,
    master: Master,
    rounds: u32,
}

/// The host, as it concerns the keeper.
#[derive(Clone, Copy)]
enum Master {
    Serving {
        /// Its process id.
        host: u32,
    },
    /// There is none, and the next one is waited for.
    Absent,
    /// The guardians have until then to end everything.
    Gone { deadline: u64 },
}

impl Keeper {
    /// Until there is nobody to keep any more.
    fn serve(&mut self) {
        while !self.is_over() {
            self.sleep();
            if let Master::Serving { .. } = self.master {
                self.attend();
            }
            self.open_the_door();
            self.press();
            self.bury();
        }
    }

    /// A keeper whose guardians are all gone is of no use: the host starts a new one.
    fn is_over(&self) -> bool {
        let nobody_comes = matches!(self.master, Master::Gone { .. }) || self.wards.had_any();
        nobody_comes && self.wards.is_empty()
    }

    fn sleep(&mut self) {
        let [host, _] = self.channel.watch_masters();
        let children = Watch::new(&self.child_events, READABLE);
        let mut watches = match self.master {
            Master::Serving { .. } | Master::Absent => [children, self.channel.watch(), host, self.watch_the_door()],
            Master::Gone { .. } => [children, Watch::NOTHING, Watch::NOTHING, Watch::NOTHING],
        };
        let _looks_again = wait(&mut watches, self.patience());
        guardian::drain(&self.child_events);
    }

    /// Forever, if nothing is ending.
    fn patience(&self) -> Option<u64> {
        let round = self.wards.any_fallen().then(|| pause(self.rounds));
        let deadline = match self.master {
            Master::Gone { deadline } if self.wards.any_alive() => Some(deadline.saturating_sub(now()).max(1)),
            _ => None,
        };
        round.into_iter().chain(deadline).min()
    }

    fn attend(&mut self) {
        let mut buffer = [0; MAX_HEAD];
        let well = !self.channel.is_orphaned()
            && match self.channel.hear(&mut buffer) {
                Heard::Nothing => true,
                Heard::Message(message, descriptors) => self.obey(KeeperOrder::decode(message), descriptors).is_ok(),
                Heard::End => false,
            };
        if !well && !self.stays_without_a_host() {
            self.master = Master::Gone { deadline: now() + self.grace_ms };
        }
    }

    /// An error: the host is gone, or is not what it should be.
    fn obey(&mut self, order: Option<KeeperOrder>, mut descriptors: Descriptors) -> Result<()> {
        match (order, [0, 1, 2].map(|index| descriptors.take(index))) {
            (Some(KeeperOrder::Guard { guardian, pidns }), [Some(line), Some(starts), None]) => {
                self.guard(guardian, pidns, [line, starts])
            }
            (Some(KeeperOrder::Replace { guardian }), [None, None, None]) => {
                self.wards.kill(|ward| ward.guardian == guardian);
                Ok(())
            }
            (Some(KeeperOrder::Keep), [Some(lock), Some(door), Some(relay)]) => self.keep(lock, door, relay),
            (Some(KeeperOrder::Attach), [Some(line), Some(starts), None]) => self.attach([line, starts]),
            _ => Err(Errno::INVAL),
        }
    }

    fn guard(&mut self, guardian: u32, pidns: bool, sockets: [Fd; 2]) -> Result<()> {
        match self.fork_guardian(guardian, pidns, sockets) {
            Ok(Child { pid, pidfd }) => {
                self.wards.add(guardian, pid);
                let pid = pid.cast_unsigned();
                self.channel.say(&KeeperFact::Guarding { guardian, pid }, &[&pidfd])
            }
            Err(Failure { step, errno }) => {
                self.channel.say(&KeeperFact::Refused { guardian, step, errno: errno.0 }, &[])
            }
        }
    }

    fn fork_guardian(&self, number: u32, pidns: bool, sockets: [Fd; 2]) -> core::result::Result<Child, Failure> {
        at(Step::Table, self.wards.has_room_for(number))?;
        let post = self.post(number, sockets)?;
        let (listener, teller) = at(Step::Clone, outcome::pipe())?;
        match at(Step::Clone, fork_in(pidns))? {
            (Fork::Child, namespace) => self.become_guardian(Post { namespace, ..post }, teller),
            (Fork::Parent(child), _) => {
                drop((post, teller));
                let judged = judge(child, listener.listen(PATIENCE_MS, self.channel.watch_masters()));
                self.remove_folder_if_failed(number, &judged);
                judged
            }
        }
    }

    fn remove_folder_if_failed(&self, guardian: u32, judged: &core::result::Result<Child, Failure>) {
        if let (Err(_), Some(run)) = (judged, &self.run_folder) {
            let _not_made_yet = run.remove(guardian);
        }
    }

    fn post(&self, number: u32, [socket, starts]: [Fd; 2]) -> core::result::Result<Post, Failure> {
        let copy = |fd: Option<&Fd>| {
            at(Step::Descriptors, fd.ok_or(Errno::INVAL).and_then(|fd| files::copy_above(fd, LOWEST)))
        };
        let run_folder = self.run_folder.as_ref().map(RunFolder::copy).transpose();
        Ok(Post {
            socket,
            starts,
            host: copy(self.channel.masters[0].as_ref())?,
            keeper: copy(Some(&self.own_pidfd))?,
            number,
            run_folder: at(Step::Descriptors, run_folder)?,
            marks: self.lineage.marks,
            layers: self.layers,
            origins: self.origins,
            namespace: Namespace::Keepers,
        })
    }

    /// In the child. The keeper's socket must not live on in it, or the host would not see the keeper's death.
    fn become_guardian(&self, post: Post, teller: Teller) -> ! {
        match files::copy_to(&Fd::own(1), 0) {
            Ok(()) => guardian::run(post, teller),
            Err(errno) => teller.failed(Failure { step: Step::Descriptors, errno }),
        }
        processes::exit(125)
    }

    /// Guardians that have had their time are killed; their work is then ours.
    fn press(&mut self) {
        if let Master::Gone { deadline } = self.master
            && now() >= deadline
        {
            self.wards.kill(|_| true);
        }
    }

    /// Ends what dead guardians have left. A child of ours that is no guardian is always that.
    fn bury(&mut self) {
        self.wards.reap_dead();
        if let Some(run) = &self.run_folder {
            self.wards.fallen().for_each(|guardian| run.kill(guardian));
        }
        let nothing_left = self.lineage.end_all(|pid| self.wards.is_alive(pid));
        self.rounds = if self.wards.any_fallen() { self.rounds + 1 } else { 0 };
        let run_folder = self.run_folder.as_ref();
        if nothing_left {
            self.wards.forget_fallen(|guardian| run_folder.is_none_or(|run| is_gone(&run.remove(guardian))));
        }
    }

    fn leave(self) {
        if let Some(run) = self.run_folder {
            run.leave();
        }
    }
}

/// In a namespace of its own if so asked; in a user namespace only if it cannot be had otherwise.
fn fork_in(pidns: bool) -> Result<(Fork, Namespace)> {
    if !pidns {
        return processes::fork(0).map(|fork| (fork, Namespace::Keepers));
    }
    match processes::fork(NEW_PROCESSES_AND_MOUNTS) {
        Err(Errno::PERM) => {
            let (user, group) = processes::own_user_and_group();
            let fork = processes::fork(NEW_PROCESSES_AND_MOUNTS | NEW_USERS)?;
            Ok((fork, Namespace::OwnWithUsers { user, group }))
        }
        fork => Ok((fork?, Namespace::Own)),
    }
}

fn judge(child: Child, outcome: Outcome) -> core::result::Result<Child, Failure> {
    let failure = match outcome {
        Outcome::Ready => return Ok(child),
        Outcome::Failed(failure) => failure,
        Outcome::Silent => Failure { step: Step::Clone, errno: Errno::CANCELED },
        Outcome::Late => Failure { step: Step::Clone, errno: Errno::TIMEDOUT },
    };
    let _has_ended = processes::signal_child(child.pid, processes::SIGKILL);
    processes::wait_and_reap(child.pid);
    Err(failure)
}
