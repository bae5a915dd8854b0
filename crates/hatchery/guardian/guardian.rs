//! The guardian: starts workers, and ends them with all that is left of them. When its host or its keeper is gone, it ends
//! everything; a worker that is kept goes on without a host.

mod adopting;
mod ending;
mod keeping;
mod table;

use crate::birth::{Home, give_birth};
use crate::cgroup::{Leaves, Place, RunFolder, patiently};
use crate::channel::{Channel, Heard};
use crate::lineage::{Lineage, pause};
use crate::marks::Marks;
use crate::memory::Room;
use crate::message::{Fact, Layers, MAX_HEAD, MAX_INLINE, OnEscape, Order, Spawn, Step, Strings};
use crate::origins::Origins;
use crate::outcome::{Failure, Teller, at};
use crate::pids::Pids;
use crate::sys::files::{self, Mapping, Open};
use crate::sys::processes::{self, signal_group};
use crate::sys::sockets::{Descriptors, READABLE, Watch, child_events, is_readable, wait};
use crate::sys::{Errno, Fd, Result, errno_of};
use keeping::Keeping;
use table::Table;

/// Arguments and variables of an ordinary worker.
const FEW_WORDS: usize = 1024;

/// How many orders are obeyed before what they began is carried on.
const MAX_ORDERS: u32 = 64;

static TABLE: Room<Table> = Room::new(Table::new());
static CHILDREN: Room<Pids> = Room::new(Pids::new());
static FAMILY: Room<Pids> = Room::new(Pids::new());
static WORDS: Room<[usize; FEW_WORDS]> = Room::new([0; FEW_WORDS]);
static BUFFER: Room<[u8; MAX_HEAD + MAX_INLINE]> = Room::new([0; MAX_HEAD + MAX_INLINE]);

/// What the keeper gives its guardian.
pub(crate) struct Post {
    pub(crate) socket: Fd,
    pub(crate) starts: Fd,
    /// Pidfds.
    pub(crate) host: Fd,
    pub(crate) keeper: Fd,
    pub(crate) number: u32,
    pub(crate) run_folder: Option<RunFolder>,
    pub(crate) marks: Marks,
    pub(crate) layers: Layers,
    pub(crate) origins: Origins,
    pub(crate) namespace: Namespace,
}

/// Where the guardian was born.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    Keepers,
    /// As process 1 of a namespace of its own.
    Own,
    /// And in a user namespace, where it may mount `/proc`.
    OwnWithUsers {
        user: u32,
        group: u32,
    },
}

/// The life of the process that the keeper has just forked.
pub(crate) fn run(post: Post, teller: Teller) -> ! {
    processes::set_name(c"hatchery-guard");
    let _only_for_speed = processes::run_promptly();
    match Guardian::prepare(post) {
        Err(failure) => teller.failed(failure),
        Ok(mut guardian) => {
            teller.ready();
            drop(teller);
            guardian.serve();
            guardian.end_everything();
            guardian.clear_for_the_keeper();
        }
    }
    processes::exit(0)
}

struct Guardian {
    channel: Channel,
    /// Another socket to the host, if there is one: orders to start something, and their answers.
    starts: Option<Fd>,
    child_events: Fd,
    lineage: Lineage,
    table: &'static mut Table,
    home: Home,
    layers: Layers,
    number: u32,
    run_folder: Option<RunFolder>,
    leaves: Option<Leaves>,
    keeping: Option<Keeping>,
    /// For each birth anew.
    words: &'static mut [usize; FEW_WORDS],
}

/// On which of its sockets the host has said something.
struct Woken {
    by_order: bool,
    by_start: bool,
    /// And the keeper, that there is another host.
    by_keeper: bool,
}

/// The host or the keeper is gone, or the host is not what it should be.
struct Masterless;

impl From<Errno> for Masterless {
    fn from(_: Errno) -> Masterless {
        Masterless
    }
}

impl Guardian {
    fn prepare(post: Post) -> core::result::Result<Guardian, Failure> {
        enter(post.namespace, &post.keeper)?;
        at(Step::Session, processes::new_session())?;
        at(Step::Prctl, processes::adopt_orphans())?;
        let child_events = at(Step::Descriptors, child_events())?;
        let (lineage, has_files) = Lineage::new(post.marks, CHILDREN.take(), FAMILY.take());
        let layers = Layers { children_file: errno_of(&has_files), ..post.layers };
        let home =
            Home { own_pid: lineage.own_pid(), marks: post.marks, marks_hold: layers.mark == 0, origins: post.origins };
        let Post { number, run_folder, .. } = post;
        let leaves = run_folder.as_ref().map(|run| run.leaves(number, layers.clone_into_cgroup == 0)).transpose();
        let leaves = at(Step::Leaf, leaves)?;
        let channel = Channel { socket: Some(post.socket), masters: [Some(post.host), Some(post.keeper)] };
        let (table, words) = (TABLE.take(), WORDS.take());
        let (starts, keeping) = (Some(post.starts), None);
        Ok(Guardian {
            channel,
            starts,
            child_events,
            lineage,
            table,
            home,
            layers,
            number,
            run_folder,
            leaves,
            keeping,
            words,
        })
    }

    fn serve(&mut self) {
        let buffer = BUFFER.take();
        let mut went = self.channel.say(&Fact::Ready(self.layers), &[]).map_err(Masterless::from);
        while went.is_ok() || self.goes_on_alone(buffer) {
            went = self.go_on(buffer);
        }
    }

    fn go_on(&mut self, buffer: &mut [u8]) -> core::result::Result<(), Masterless> {
        let woken = self.sleep()?;
        if woken.by_order {
            self.hear_out(buffer)?;
        }
        if woken.by_start {
            self.hear_start(buffer)?;
        }
        if woken.by_keeper {
            self.hear_of_a_host(buffer)?;
        }
        if !self.channel.has_host() {
            self.end_what_has_ended();
        }
        self.carry_on()?;
        self.is_of_use()
    }

    /// Many ends that come at once are one round of ending.
    fn hear_out(&mut self, buffer: &mut [u8]) -> core::result::Result<(), Masterless> {
        for _ in 0..MAX_ORDERS {
            match self.channel.hear(buffer) {
                Heard::Nothing => return Ok(()),
                Heard::End => return Err(Masterless),
                Heard::Message(message, descriptors) => {
                    self.obey(Order::decode(message).ok_or(Masterless)?, descriptors)?;
                }
            }
        }
        Ok(())
    }

    /// One at a time: it may take its time.
    fn hear_start(&mut self, buffer: &mut [u8]) -> core::result::Result<(), Masterless> {
        let Some(starts) = &self.starts else { return Ok(()) };
        match self.channel.hear_from(starts, buffer) {
            Heard::Nothing => Ok(()),
            Heard::End => Err(Masterless),
            Heard::Message(message, descriptors) => match Order::decode(message) {
                Some(Order::Spawn(spawn)) => Ok(self.spawn(&spawn, descriptors)?),
                Some(Order::Adopt(adopt)) => Ok(self.adopt(&adopt)?),
                _ => Err(Masterless),
            },
        }
    }

    /// Until an order, a child's end, a master's end, or the next round of ending something.
    fn sleep(&mut self) -> core::result::Result<Woken, Masterless> {
        let [host, keeper] = self.channel.watch_masters();
        let starts = Watch::of(self.starts.as_ref(), READABLE);
        let children = Watch::new(&self.child_events, READABLE);
        let relay = Watch::of(self.keeping.as_ref().map(Keeping::relay), READABLE);
        let pause = self.table.rounds_of_youngest_ending().map(pause);
        let mut watches = [self.channel.watch(), starts, children, host, keeper, relay];
        wait(&mut watches, pause)?;
        let [by_order, by_start, by_child, host_is_gone, keeper_is_gone, by_keeper] =
            watches.each_ref().map(Watch::came);
        if host_is_gone || keeper_is_gone {
            return Err(Masterless);
        }
        if by_child {
            drain(&self.child_events);
        }
        Ok(Woken { by_order, by_start, by_keeper })
    }

    fn obey(&mut self, order: Order<'_>, descriptors: Descriptors) -> Result<()> {
        match order {
            // They have sockets of their own.
            Order::Spawn(_) | Order::Adopt(_) | Order::Attach => Err(Errno::INVAL),
            Order::Keep { worker, has_input } => self.keep(worker, has_input, descriptors),
            Order::CloseInput { worker } => {
                self.close_input(worker);
                Ok(())
            }
            Order::Signal { worker, signal } => {
                if let Some(slot) = self.table.find(worker) {
                    let _nobody_there = signal_group(slot.pid, signal);
                }
                Ok(())
            }
            Order::End { worker } => {
                self.table.begin_ending(worker);
                Ok(())
            }
            Order::Ask => self.channel.say(&Fact::Alive, &[]),
        }
    }

    fn spawn(&mut self, spawn: &Spawn<'_>, descriptors: Descriptors) -> Result<()> {
        let worker = spawn.worker;
        // What came with the order is put away after the answer.
        match self.start(spawn, &descriptors) {
            Ok((pid, pidfd)) => {
                let fact = Fact::Spawned { worker, pid: pid.cast_unsigned() };
                self.answer(&fact, &[&pidfd])?;
                processes::give_way();
                self.leaves.iter_mut().for_each(|leaves| leaves.foresee_after(worker));
                Ok(())
            }
            Err(Failure { step, errno }) => {
                let fact = Fact::Failed { worker, step, errno: errno.0 };
                self.answer(&fact, &[])
            }
        }
    }

    /// To an order to start something.
    fn answer(&self, fact: &Fact, descriptors: &[&Fd]) -> Result<()> {
        self.starts.as_ref().map_or(Ok(()), |starts| self.channel.say_through(starts, fact, descriptors))
    }

    fn start(&mut self, spawn: &Spawn<'_>, descriptors: &Descriptors) -> core::result::Result<(i32, Fd), Failure> {
        at(Step::Order, check_descriptors(spawn, descriptors))?;
        self.check_number(spawn.worker)?;
        let place = at(Step::Leaf, self.place(spawn))?;
        let child = match self.start_at(spawn, descriptors, place.as_ref()) {
            Ok(child) => child,
            Err(failure) => {
                self.remove_leaf(spawn.worker);
                return Err(failure);
            }
        };
        self.table.add(spawn.worker, child.pid, spawn.on_escape, spawn.worker);
        Ok((child.pid, child.pidfd))
    }

    /// It is nobody's, and there is room for one more.
    fn check_number(&self, worker: u32) -> core::result::Result<(), Failure> {
        match self.table.find(worker) {
            Some(_) => Err(Failure { step: Step::Order, errno: Errno::EXIST }),
            None if self.table.is_full() => Err(Failure { step: Step::Table, errno: Errno::NOSPC }),
            None => Ok(()),
        }
    }

    fn start_at(
        &mut self,
        spawn: &Spawn<'_>,
        descriptors: &Descriptors,
        place: Option<&Place>,
    ) -> core::result::Result<processes::Child, Failure> {
        let masters = self.channel.watch_masters();
        match spawn.strings {
            Strings::Inline(strings) => give_birth(&self.home, spawn, strings, descriptors, place, masters, self.words),
            Strings::Memfd { length } => {
                let file = at(Step::Order, descriptors.iter().last().ok_or(Errno::INVAL))?;
                let strings = at(Step::Memory, Mapping::of_sealed(file, length as usize))?;
                give_birth(&self.home, spawn, strings.bytes(), descriptors, place, masters, self.words)
            }
        }
    }

    /// A worker whose remains may outlive the run is not born in the run's folder: whoever ends the run kills that.
    fn place(&mut self, spawn: &Spawn<'_>) -> Result<Option<Place>> {
        let place = |leaves: &mut Leaves| match spawn.on_escape {
            OnEscape::Adopt => leaves.outside(),
            OnEscape::Kill | OnEscape::Report => leaves.make(spawn.worker),
        };
        self.leaves.as_mut().map(place).transpose()
    }

    fn remove_leaf(&self, worker: u32) {
        if let Some(leaves) = &self.leaves {
            let _keeper_removes_it = leaves.remove(worker);
        }
    }

    /// The run's end. What was released stays.
    fn end_everything(&mut self) {
        let mut rounds = 0;
        loop {
            self.leaves.iter().for_each(Leaves::kill_all);
            if self.lineage.end_all(|_| false) {
                return;
            }
            let _looks_again = wait(&mut [Watch::new(&self.child_events, READABLE)], Some(pause(rounds)));
            drain(&self.child_events);
            rounds += 1;
        }
    }

    /// The keeper removes the folders, if it can.
    fn clear_for_the_keeper(self) {
        let [_, keeper] = &self.channel.masters;
        let keeper_is_gone = keeper.as_ref().is_some_and(is_readable);
        if let Some(run) = self.run_folder.filter(|_| keeper_is_gone) {
            let _the_sweep_does = patiently(|| run.remove(self.number));
            run.leave();
        }
    }
}

/// In its own namespace it dies with the keeper, and everything in the namespace with it.
fn enter(namespace: Namespace, keeper: &Fd) -> core::result::Result<(), Failure> {
    if let Namespace::OwnWithUsers { user, group } = namespace {
        at(Step::Credentials, map_users(user, group))?;
    }
    if namespace == Namespace::Keepers {
        return Ok(());
    }
    at(Step::Prctl, processes::die_with_parent())?;
    if is_readable(keeper) {
        return Err(Failure { step: Step::Parent, errno: Errno::OWNERDEAD });
    }
    at(Step::Mount, files::mount_fresh_proc())
}

/// The same numbers inside as outside, and no others.
fn map_users(user: u32, group: u32) -> Result<()> {
    let map = |id| crate::text::Text::new().number(id).text(" ").number(id).text(" 1");
    let write = |path, text: &[u8]| files::write(&files::open(path, Open::Write)?, text);
    write(c"/proc/self/uid_map", map(user).bytes())?;
    write(c"/proc/self/setgroups", b"deny")?;
    write(c"/proc/self/gid_map", map(group).bytes())
}

fn check_descriptors(spawn: &Spawn<'_>, descriptors: &Descriptors) -> Result<()> {
    let memfd = usize::from(matches!(spawn.strings, Strings::Memfd { .. }));
    let wanted = usize::from(spawn.fds) + usize::from(spawn.joins) + memfd;
    match descriptors.len() == wanted {
        _ if descriptors.cut => Err(Errno::MFILE),
        true => Ok(()),
        false => Err(Errno::INVAL),
    }
}

/// What it says is of no use: several ends may be one event.
pub(crate) fn drain(child_events: &Fd) {
    let mut events = [0; 4 * 128];
    while files::read(child_events, &mut events).is_ok_and(|read| !read.is_empty()) {}
}
