//! How the keeper comes to be: apart from its host, out of harm's way, and told whom it serves.

use super::wards::Wards;
use super::{Keeper, LOWEST, Master};
use crate::cgroup::RunFolder;
use crate::channel::{Channel, Heard};
use crate::lineage::Lineage;
use crate::marks::Marks;
use crate::memory::Room;
use crate::message::{KeeperFact, KeeperOrder, Layers, MAX_FDS, MAX_HEAD, Mark};
use crate::origins::Origins;
use crate::pids::Pids;
use crate::sys::sockets::{Descriptors, child_events, wait};
use crate::sys::{Errno, Fd, Result, errno_of, files, processes};

static CHILDREN: Room<Pids> = Room::new(Pids::new());
static FAMILY: Room<Pids> = Room::new(Pids::new());

/// How often to see whether the host still lives, before it has told us by what.
const LOOK_MS: u64 = 1000;

/// Nothing of the host's is left here but descriptors 0 to 2. Those up to [`LOWEST`] are taken, for the workers.
pub(super) fn settle() -> [Option<Fd>; MAX_FDS] {
    files::close_from(3);
    let _leads_one_already = processes::new_session();
    processes::block_all_signals();
    processes::reset_signals();
    processes::set_name(c"hatchery-keeper");
    let dev_null = Fd::own(1);
    let mut reserved = [const { None }; MAX_FDS];
    for place in &mut reserved[3..LOWEST] {
        *place = files::copy_above(&dev_null, 3).ok();
    }
    core::mem::forget(dev_null);
    reserved
}

/// `None` if there is nobody to serve.
pub(super) fn begin(origins: Origins) -> Option<Keeper> {
    let parent = processes::parent_pid();
    let channel = Channel { socket: Some(Fd::own(0)), masters: [None, None] };
    let (order, mut descriptors) = first_order(&channel, parent)?;
    let (KeeperOrder::Begin { mark, host, grace_ms, cgroup }, Some(pidfd)) = (order, descriptors.take(0)) else {
        return None;
    };
    let channel = Channel { masters: [Some(pidfd), None], ..channel };
    if processes::parent_pid().cast_unsigned() != host || channel.is_orphaned() {
        return None;
    }
    let master = Master::Serving { host };
    let keeper = prepare(channel, master, mark, grace_ms, descriptors.take(1).filter(|_| cgroup), origins).ok()?;
    keeper.channel.say(&KeeperFact::Kept(keeper.layers), &[]).ok()?;
    Some(keeper)
}

fn first_order(channel: &Channel, parent: i32) -> Option<(KeeperOrder, Descriptors)> {
    let mut buffer = [0; MAX_HEAD];
    loop {
        wait(&mut [channel.watch()], Some(LOOK_MS)).ok()?;
        match channel.hear(&mut buffer) {
            Heard::Nothing if processes::parent_pid() == parent => {}
            Heard::Message(message, descriptors) => return Some((KeeperOrder::decode(message)?, descriptors)),
            Heard::Nothing | Heard::End => return None,
        }
    }
}

fn prepare(
    channel: Channel,
    master: Master,
    mark: Mark,
    grace_ms: u32,
    folder: Option<Fd>,
    mut origins: Origins,
) -> Result<Keeper> {
    processes::adopt_orphans()?;
    let marks = Marks::new(mark);
    let marked = marks.put_on_self(0);
    let protected = origins.protect_from_out_of_memory();
    let run_folder = folder.ok_or(Errno::NOENT).and_then(RunFolder::enter);
    let birth = run_folder.as_ref().map_err(|errno| *errno).and_then(RunFolder::probe_birth);
    let (lineage, has_files) = Lineage::new(marks, CHILDREN.take(), FAMILY.take());
    let layers = Layers {
        cgroup: errno_of(&run_folder),
        clone_into_cgroup: errno_of(&birth),
        mark: errno_of(&marked),
        children_file: errno_of(&has_files),
        oom_protection: errno_of(&protected),
    };
    Ok(Keeper {
        channel,
        child_events: child_events()?,
        own_pidfd: processes::open_pidfd(processes::own_pid())?,
        lineage,
        run_folder: run_folder.ok(),
        layers,
        origins,
        grace_ms: u64::from(grace_ms),
        wards: Wards::new(),
        keeping: None,
        master,
        rounds: 0,
    })
}
