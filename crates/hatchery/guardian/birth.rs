//! From an order to a running program: what the child does between `clone` and `execve`.

use core::cell::Cell;
use core::ffi::CStr;

use crate::cgroup::Place;
use crate::marks::Marks;
use crate::message::{Spawn, Step};
use crate::origins::Origins;
use crate::outcome::{self, Failure, Outcome, at};
use crate::sys::files::{self, Mapping};
use crate::sys::processes::{self, Child, Fork, Limit, RLIMIT_AS, RLIMIT_NOFILE, SIGKILL, Vector};
use crate::sys::sockets::{Descriptors, Watch};
use crate::sys::{Errno, Result};

/// For how long the guardian stands still for a child that gets ready, and sees nobody die.
const QUICK_MS: u64 = 1000;

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

/// Starts the program; the order must have been checked against the descriptors that came with it. `few_words` is room for
/// the pointers to its strings, unless they are many.
pub(crate) fn give_birth(
    home: &Home,
    spawn: &Spawn<'_>,
    strings: &[u8],
    fds: &Descriptors,
    place: Option<&Place>,
    masters: [Watch; 2],
    few_words: &mut [usize],
) -> core::result::Result<Child, Failure> {
    let (args, env) = (spawn.args as usize + 1, spawn.env as usize + 1);
    let needed = at(Step::Order, args.checked_add(env).ok_or(Errno::INVAL))?;
    let mut many_words = None;
    let words = match few_words.get_mut(..needed) {
        Some(words) => words,
        None => many_words.insert(at(Step::Memory, Mapping::of_words(needed))?).words(),
    };
    let (arguments, environment) = words.split_at_mut(args);
    let program = Program::cut(spawn, strings, arguments, environment);
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
    /// Killed before its program ran: by the kernel's mistake with births in a cgroup, or because it took its time.
    Killed,
}

impl Birth<'_> {
    /// The quick way, if nothing can hang, and if that does not lead there, the patient one. Whoever changes its user in memory
    /// that it shares with us would take our own files in `/proc` from us.
    fn attempts(&self) -> core::result::Result<Child, Failure> {
        let quick = (self.spawn.is_quick && self.spawn.user.is_none()).then(|| self.quickly());
        let result = match quick {
            None | Some(Err(Miscarriage::Killed)) => self.patiently(),
            Some(result) => result,
        };
        result.map_err(|miscarriage| match miscarriage {
            Miscarriage::Failed(failure) => failure,
            Miscarriage::Killed => Failure { step: Step::Clone, errno: Errno::CANCELED },
        })
    }

    /// With a child that shares our memory, in its cgroup from the first moment.
    fn quickly(&self) -> core::result::Result<Child, Miscarriage> {
        let inside = self.place.filter(|place| place.born_inside);
        let child = Unborn { birth: self, is_inside: inside.is_some(), outcome: Cell::new(Outcome::Silent) };
        let born = processes::bear(inside.map(Place::folder), &child, Unborn::live);
        let born = born.map_err(|errno| Miscarriage::Failed(Failure { step: Step::Clone, errno }))?;
        // One that was killed in the midst of its last call is a worker that died: nobody runs a program twice.
        judge(born, child.outcome.replace(Outcome::Silent))
    }

    /// With a copy of ourselves, which has time while we see our masters die.
    fn patiently(&self) -> core::result::Result<Child, Miscarriage> {
        let failed = |errno| Miscarriage::Failed(Failure { step: Step::Clone, errno });
        let (listener, teller) = outcome::pipe().map_err(failed)?;
        match processes::fork(0) {
            Ok(Fork::Child) => {
                let failure = self.begin(false, || teller.ready());
                teller.failed(failure);
                processes::exit(125)
            }
            Ok(Fork::Parent(child)) => {
                drop(teller);
                judge(child, listener.listen(PATIENCE_MS, self.masters))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// In the child. Comes back if it failed.
    fn begin(&self, is_inside: bool, ready: impl FnOnce()) -> Failure {
        match self.prepare(is_inside) {
            Err(failure) => failure,
            Ok(()) => {
                ready();
                let Program { path, arguments, environment, .. } = self.program;
                Failure { step: Step::Exec, errno: processes::execute(path, arguments, environment) }
            }
        }
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

/// A child that shares our memory, and what it leaves in it.
struct Unborn<'a> {
    birth: &'a Birth<'a>,
    is_inside: bool,
    outcome: Cell<Outcome>,
}

impl Unborn<'_> {
    fn live(&self) -> ! {
        let deadline = processes::Deadline::set(QUICK_MS);
        let ready = || {
            self.outcome.set(Outcome::Ready);
            let _stays_as_it_was = deadline.map(|deadline| deadline.put_off(PATIENCE_MS));
        };
        let failure = self.birth.begin(self.is_inside, ready);
        self.outcome.set(Outcome::Failed(failure));
        processes::exit(125)
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
