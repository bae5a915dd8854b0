//! How a process that a template has forked becomes a worker.

use super::Guardian;
use super::table::Slot;
use crate::message::{Adopt, Fact, Step};
use crate::outcome::{Failure, at};
use crate::sys::processes::{self, SIGKILL, signal_child};
use crate::sys::{Errno, Fd, Result};

impl Guardian {
    pub(super) fn adopt(&mut self, adopt: &Adopt) -> Result<()> {
        let Adopt { worker, pid, .. } = *adopt;
        match self.take_in(adopt) {
            Ok(pidfd) => self.answer(&Fact::Spawned { worker, pid }, &[&pidfd]),
            Err(Failure { step, errno }) => {
                let fact = Fact::Failed { worker, step, errno: errno.0 };
                self.answer(&fact, &[])
            }
        }
    }

    /// It waits for the host's word meanwhile, and has started nothing yet: whoever it will start carries its new mark.
    fn take_in(&mut self, adopt: &Adopt) -> core::result::Result<Fd, Failure> {
        self.check_number(adopt.worker)?;
        let template = self.table.find(adopt.template).copied().filter(Slot::is_running);
        let template = at(Step::Order, template.ok_or(Errno::NOENT))?;
        let pid = adopt.pid.cast_signed();
        at(Step::Parent, self.check_fork(&template, pid))?;
        self.settle(adopt, &template, pid).inspect_err(|_| {
            let _ended_with_its_template = signal_child(pid, SIGKILL);
        })
    }

    /// The number was told by the template, in which code of others runs: it may be anybody's.
    fn check_fork(&self, template: &Slot, pid: i32) -> Result<()> {
        let is_fork = pid > 1
            && processes::is_child(pid)
            && !self.table.is_leader(pid)
            && processes::group_of(pid) == Ok(pid)
            && self.lineage.marks.number_of(pid) == Some(template.worker);
        if is_fork { Ok(()) } else { Err(Errno::PERM) }
    }

    /// The mark comes last: from then on it is no longer the template's.
    fn settle(&mut self, adopt: &Adopt, template: &Slot, pid: i32) -> core::result::Result<Fd, Failure> {
        let pidfd = at(Step::Clone, processes::open_pidfd(pid))?;
        if adopt.own_leaf {
            at(Step::Join, self.move_into_leaf(adopt.worker, pid))?;
        }
        at(Step::Mark, self.lineage.marks.put(pid, adopt.worker))?;
        let leaf = if adopt.own_leaf { adopt.worker } else { template.leaf };
        self.table.add(adopt.worker, pid, adopt.on_escape, leaf);
        Ok(pidfd)
    }

    /// If it fails half-way, the leaf stays, and the keeper removes it.
    fn move_into_leaf(&mut self, worker: u32, pid: i32) -> Result<()> {
        let Some(leaves) = &mut self.leaves else { return Ok(()) };
        leaves.make(worker)?.take_in(pid)
    }
}
