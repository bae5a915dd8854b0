//! From an order to a running program: what the child does between `clone` and `execve`.

use core::ffi::CStr;

use crate::cgroup::Place;
use crate::marks::Marks;
use crate::message::{Spawn, Step};
use crate::origins::Origins;
use crate::outcome::{self, Failure, Outcome, Teller, at};
use crate::sys::files::{self, Mapping};
use crate::sys::processes::{self, Child, Fork, Limit, RLIMIT_AS, RLIMIT_NOFILE, SIGKILL, Vector};
use crate::sys::sockets::{Descriptors, Watch};
use crate::sys::{Errno, Result};

/// A child that takes longer is given up: a folder on a dead network disk must not stop the guardian, which obeys nobody
/// else meanwhile. A busy machine must not look like one.
const PATIENCE_MS: u64 = 5000;

/// What is the same for every worker of a guardian.
pub(crate) struct Home {
    pub(crate) own_pid: i32,
    pub(crate) marks: Marks,
    /// The mark could be put on ourselves, so it can be put on workers.
    pub(crate) marks_hold: bool,
    pub(crate) origins: Origins,
}

/// Starts the program; the order must have been checked against the descriptors that came with it.
pub(crate) fn give_birth(
    home: &Home,
    spawn: &Spawn<'_>,
    strings: &[u8],
    fds: &Descriptors,
    place: Option<&Place>,
    masters: [Watch; 2],
) -> core::result::Result<Child, Failure> {
    let mut arguments = at(Step::Memory, Mapping::of_words(spawn.args as usize + 1))?;
    let mut environment = at(Step::Memory, Mapping::of_words(spawn.env as usize + 1))?;
    let program = Program::cut(spawn, strings, arguments.words(), environment.words());
    let program = at(Step::Order, program.ok_or(Errno::INVAL))?;
    Birth { home, spawn, fds, place, masters, program: &program }.attempts()
}

/// The strings of an order, each at its place.
struct Program<'s> {
    path: &'s CStr,
    directory: &'s CStr,
    arguments: Vector<'s>,
    environment: Vector<'s>,
}

impl<'s> Program<'s> {
    fn cut(
        spawn: &Spawn<'_>,
        strings: &'s [u8],
        arguments: &'s mut [usize],
        environment: &'s mut [usize],
    ) -> Option<Program<'s>> {
        let (path, rest) = cut_string(strings)?;
        let (directory, rest) = cut_string(rest)?;
        let (arguments, rest) = Vector::cut(arguments, rest, spawn.args as usize)?;
        let (environment, rest) = Vector::cut(environment, rest, spawn.env as usize)?;
        rest.is_empty().then_some(Program { path, directory, arguments, environment })
    }
}

fn cut_string(strings: &[u8]) -> Option<(&CStr, &[u8])> {
    let text = CStr::from_bytes_until_nul(strings).ok()?;
    Some((text, &strings[text.count_bytes() + 1..]))
}

struct Birth<'a> {
    home: &'a Home,
    spawn: &'a Spawn<'a>,
    fds: &'a Descriptors,
    place: Option<&'a Place>,
    /// Without whom there is nobody to start it for.
    masters: [Watch; 2],
    program: &'a Program<'a>,
}

/// What came of one attempt that did not succeed.
enum Miscarriage {
    Failed(Failure),
    /// Killed before it could say anything: perhaps by the kernel's mistake with births in a cgroup.
    Killed,
}

impl Birth<'_> {
    /// A second time, by the slow way, if the first was killed at birth.
    fn attempts(&self) -> core::result::Result<Child, Failure> {
        let inside = self.place.filter(|place| place.born_inside);
        let mut result = self.attempt(inside);
        if inside.is_some() && matches!(result, Err(Miscarriage::Killed)) {
            result = self.attempt(None);
        }
        result.map_err(|miscarriage| match miscarriage {
            Miscarriage::Failed(failure) => failure,
            Miscarriage::Killed => Failure { step: Step::Clone, errno: Errno::CANCELED },
        })
    }

    fn attempt(&self, born_inside: Option<&Place>) -> core::result::Result<Child, Miscarriage> {
        let failed = |errno| Miscarriage::Failed(Failure { step: Step::Clone, errno });
        let (listener, teller) = outcome::pipe().map_err(failed)?;
        match born_inside.map_or_else(|| processes::fork(0), |place| processes::fork_into(place.folder())) {
            Ok(Fork::Child) => self.live(&teller, born_inside.is_some()),
            Ok(Fork::Parent(child)) => {
                drop(teller);
                judge(child, listener.listen(PATIENCE_MS, self.masters))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// In the child.
    fn live(&self, teller: &Teller, is_inside: bool) -> ! {
        let failure = match self.prepare(is_inside) {
            Err(failure) => failure,
            Ok(()) => {
                teller.ready();
                let Program { path, arguments, environment, .. } = self.program;
                Failure { step: Step::Exec, errno: processes::execute(path, arguments, environment) }
            }
        };
        teller.failed(failure);
        processes::exit(125)
    }

    /// The order matters. The cgroups first, so that nothing runs outside of them. What `/proc` allows only to the
    /// old user comes before the change of user, and the death signal after it, because the change clears it.
    fn prepare(&self, is_inside: bool) -> core::result::Result<(), Failure> {
        at(Step::Join, self.join_cgroups(is_inside))?;
        at(Step::Session, processes::new_session())?;
        if self.home.marks_hold {
            at(Step::Mark, self.home.marks.put_on_self(self.spawn.worker))?;
        }
        at(Step::Limits, self.limit())?;
        if let Some((user, group)) = self.spawn.user {
            at(Step::Credentials, processes::become_user(user, group))?;
        }
        at(Step::Prctl, self.control())?;
        if processes::parent_pid() != self.home.own_pid {
            return Err(Failure { step: Step::Parent, errno: Errno::OWNERDEAD });
        }
        processes::block_no_signal();
        at(Step::Directory, self.change_directory())?;
        at(Step::Descriptors, self.arrange_descriptors())
    }

    fn join_cgroups(&self, is_inside: bool) -> Result<()> {
        if let Some(place) = self.place.filter(|_| !is_inside) {
            place.enter()?;
        }
        let mut joins = self.fds.iter().skip(usize::from(self.spawn.fds)).take(usize::from(self.spawn.joins));
        joins.try_for_each(|procs| files::write(procs, b"0"))
    }

    fn limit(&self) -> Result<()> {
        self.home.origins.restore()?;
        let limits = [(RLIMIT_NOFILE, self.spawn.open_files), (RLIMIT_AS, self.spawn.address_space)];
        let mut wanted = limits.into_iter().filter(|(_, limit)| *limit != 0);
        wanted.try_for_each(|(resource, limit)| processes::set_limit(0, resource, Limit { soft: limit, hard: limit }))
    }

    fn control(&self) -> Result<()> {
        if self.spawn.no_new_privileges {
            processes::no_new_privileges()?;
        }
        processes::die_with_parent()
    }

    fn change_directory(&self) -> Result<()> {
        match self.program.directory.is_empty() {
            true => Ok(()),
            false => files::change_directory(self.program.directory),
        }
    }

    /// The low numbers are ours and never those of a source, so none is overwritten before it is copied.
    fn arrange_descriptors(&self) -> Result<()> {
        let count = usize::from(self.spawn.fds);
        let mut copies = self.fds.iter().take(count).enumerate();
        copies.try_for_each(|(target, source)| files::copy_to(source, target))?;
        files::close_from_on_exec(count);
        Ok(())
    }
}

fn judge(child: Child, outcome: Outcome) -> core::result::Result<Child, Miscarriage> {
    match outcome {
        Outcome::Ready => Ok(child),
        Outcome::Failed(failure) => {
            processes::wait_and_reap(child.pid);
            Err(Miscarriage::Failed(failure))
        }
        Outcome::Silent => {
            processes::wait_and_reap(child.pid);
            Err(Miscarriage::Killed)
        }
        // It is reaped like any other child, when it has ended.
        Outcome::Late => {
            let _has_ended = processes::signal_child(child.pid, SIGKILL);
            Err(Miscarriage::Failed(Failure { step: Step::Exec, errno: Errno::TIMEDOUT }))
        }
    }
}
