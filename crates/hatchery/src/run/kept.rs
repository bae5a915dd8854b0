//! A process that goes on when its supervisor ends, and is taken over by the next one: never by two.
//!
//! It is a run of its own, with a record, a mark, a keeper and a guardian. Its owner is first this program and then the keeper, so that a sweep
//! leaves it alone as long as that lives, and ends what is left when it does not.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::id::RunId;
use crate::process::{
    AttachError, Attached, Child, Guardian, Moment, Pair, Plan, Provisions, Spawned, Spec, Status, Watcher,
    remove_groups_of,
};
use crate::registry::{Instance, KEPT_NUMBER, KeptRecord, KeptStanding, RuntimeBase};

#[cfg(test)]
mod tests;

/// How long a keeper that has nothing more to keep may take to leave.
const LEAVING: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Where the records of kept runs are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) instance: Instance,
    pub(crate) data_dir: PathBuf,
    pub(crate) runtime: RuntimeBase,
}

/// What a process is called in its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    pub(crate) worker: &'a str,
    pub(crate) pool: &'a str,
}

/// The pair of a process that goes on without this program. Dropped, it ends with its process: to go on is for a program that is killed,
/// or that says so ([`Kept::leave`]).
pub(crate) struct Kept {
    guardian: Guardian,
}

/// A run that is written down as kept.
#[derive(Debug)]
pub(crate) struct KeptRun(KeptRecord);

/// What became of it.
#[derive(Debug)]
pub(crate) enum Attachment {
    /// This program is its supervisor from now on.
    Attached(Box<TakenOver>),
    /// It has ended by itself. Its record stays until [`KeptRun::forget`].
    Ended { status: Status, run: KeptRun },
    /// That process is its supervisor.
    Hosted { pid: u32 },
    /// Its keeper or its guardian was killed, or the machine has been started since: nothing is left of it, at the latest after a sweep,
    /// which removes the record as well.
    Lost,
}

/// All that the last supervisor had.
#[derive(Debug)]
pub(crate) struct TakenOver {
    pub(crate) kept: Kept,
    /// May have ended.
    pub(crate) child: Child,
    /// The writing end of its stdin, if that is a pipe.
    pub(crate) input: Option<OwnedFd>,
    /// What was to be held, in the same order.
    pub(crate) held: Vec<OwnedFd>,
}

impl Kept {
    /// Starts a process that is kept: when this returns, and not before, it outlives this program. What is to be held for the next supervisor
    /// besides the writing end of its stdin (locks, for instance), the guardian holds as long as the process lives. Its output should go to
    /// files: a pipe has no reader while nobody is there. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// `validation` if the run cannot be written down, or the program not be started; `unavailable` if the pair cannot. Nothing is left then.
    pub(crate) fn start(
        place: &Place,
        id: RunId,
        label: Label<'_>,
        spec: Spec,
        held: Vec<OwnedFd>,
    ) -> Result<(Spawned, Kept)> {
        Kept::start_step_by_step(place, id, label, spec, held, |_| ())
    }

    fn start_step_by_step(
        place: &Place,
        id: RunId,
        label: Label<'_>,
        spec: Spec,
        held: Vec<OwnedFd>,
        mut reached: impl FnMut(Step),
    ) -> Result<(Spawned, Kept)> {
        let record = KeptRecord::begin(id, place.instance.clone(), &place.data_dir, &place.runtime)?;
        let scribe = Scribe::of(record);
        let guardian = Guardian::start(scribe.plan(id)).map_err(|error| {
            scribe.forget();
            unavailable(id, &error)
        })?;
        let command = super::words(&spec.program, &spec.args);
        scribe.with(|record| record.reserve(label.worker, label.pool));
        let spawned = guardian.spawn(KEPT_NUMBER, spec);
        let spawned = spawned.map_err(|error| Error::new(super::kind(&error), error.to_string()))?;
        scribe.with(|record| record.note_started(*spawned.child.identity(), &command));
        reached(Step::Started);
        // From an error on everything is dropped: the child ends, then the pair, and with it the record.
        let provisions = scribe.try_with(|record| provisions(record, &spawned, held))?;
        scribe.try_with(|record| record.hand_over(*spawned.child.keeper()))?;
        reached(Step::HandedOver);
        let folder = scribe.try_with(|record| open(record))?;
        let kept = spawned.child.keep(&folder, &provisions, |moment| reached(Step::Keeping(moment)));
        kept.map_err(|error| unavailable(id, &error))?;
        reached(Step::Kept);
        Ok((spawned, Kept { guardian }))
    }

    /// Every run of the instance that is written down as kept, in the order of their ids: those that go on and those that have ended since.
    ///
    /// # Errors
    /// `unavailable` if there are records, and they cannot be listed.
    pub(crate) fn find(place: &Place) -> Result<Vec<KeptRun>> {
        let all = KeptRecord::all(&place.instance, &place.data_dir, &place.runtime)?;
        Ok(all.into_iter().map(KeptRun).collect())
    }

    /// This program leaves, and the process goes on until the next one comes. False: it was on its way out already.
    pub(crate) fn leave(self, child: Child) -> bool {
        child.leave()
    }

    /// When the child has ended, or is to end now: the pair goes, and the record. False: something is still there after `patience`.
    pub(crate) async fn closed(self, patience: Duration) -> bool {
        self.guardian.closed(patience).await
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl KeptRun {
    pub(crate) fn id(&self) -> RunId {
        self.0.run()
    }

    /// What its process was called when it was started.
    pub(crate) fn worker(&self) -> &str {
        self.0.worker().unwrap_or("?")
    }

    /// Becomes its supervisor, if it goes on and has none. Blocks for a few milliseconds; for seconds, if it is just ending.
    ///
    /// # Errors
    /// `unavailable` if that cannot be told, or if its keeper is of another version of this library. It is as it was then.
    pub(crate) fn attach(self) -> Result<Attachment> {
        match self.0.standing()? {
            KeptStanding::Kept => self.take_over(),
            KeptStanding::Ended { code, status } => {
                Ok(Attachment::Ended { status: Status::of(code, status), run: self })
            }
            KeptStanding::Lost => Ok(Attachment::Lost),
        }
    }

    fn take_over(self) -> Result<Attachment> {
        let id = self.id();
        let folder = open(&self.0)?;
        let Some(&keeper) = self.0.keeper() else { return Ok(Attachment::Lost) };
        let cgroup = self.0.cgroup();
        let scribe = Scribe::of(self.0);
        let attached = Guardian::attach(scribe.plan(id), &folder, &keeper, cgroup.as_deref());
        match attached {
            Ok(Attached { guardian, child, input, held }) => {
                Ok(Attachment::Attached(Box::new(TakenOver { kept: Kept { guardian }, child, input, held })))
            }
            Err(AttachError::Hosted(pid)) => Ok(Attachment::Hosted { pid }),
            Err(AttachError::Gone) => scribe.take().map_or(Ok(Attachment::Lost), |record| KeptRun(record).see_it_end()),
            Err(error) => Err(unavailable(id, &error)),
        }
    }

    /// Nobody opens: the keeper is on its way out, and then the end is written down.
    fn see_it_end(self) -> Result<Attachment> {
        let began = Instant::now();
        while self.0.standing()? == KeptStanding::Kept {
            if began.elapsed() > LEAVING {
                return Err(unavailable(self.id(), &"its keeper lives, and lets nobody in"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.attach()
    }

    /// Of one that has ended: its record goes.
    pub(crate) fn forget(self) {
        remove_groups_of(self.id());
        self.0.remove();
    }
}

/// How far a start has come. For whoever wants to see what becomes of it if this program ends then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Started,
    HandedOver,
    Keeping(Moment),
    Kept,
}

/// Writes down what becomes of the pair, and takes the record away when nothing is left.
struct Scribe {
    run: RunId,
    record: Mutex<Option<KeptRecord>>,
}

impl Scribe {
    fn of(record: KeptRecord) -> Arc<Scribe> {
        Arc::new(Scribe { run: record.run(), record: Mutex::new(Some(record)) })
    }

    fn plan(self: &Arc<Scribe>, id: RunId) -> Plan {
        let mark = self.with(|record| record.mark());
        let watcher = Arc::clone(self) as Arc<dyn Watcher>;
        let unmarked = Plan::unrecorded();
        Plan { mark: mark.unwrap_or(unmarked.mark), name: id.to_string(), watcher, ..unmarked }
    }

    fn with<T>(&self, what: impl FnOnce(&mut KeptRecord) -> T) -> Option<T> {
        // No panic leaves it half changed.
        self.record.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(what)
    }

    fn try_with<T>(&self, what: impl FnOnce(&mut KeptRecord) -> Result<T>) -> Result<T> {
        let gone = || Err(unavailable(self.run, &"its keeper and its guardian were lost"));
        self.with(what).unwrap_or_else(gone)
    }

    fn take(&self) -> Option<KeptRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn forget(&self) {
        if let Some(record) = self.take() {
            record.remove();
            remove_groups_of(self.run);
        }
    }
}

impl Watcher for Scribe {
    fn made(&self, folder: &Path) {
        self.with(|record| record.note_cgroup(folder));
    }

    fn born(&self, pair: &Pair) {
        self.with(|record| [*pair.keeper(), *pair.guardian()].map(|guard| record.note_guard(guard)));
    }

    fn lost(&self, _pair: &Pair) {}

    fn over(&self, _pair: &Pair) {
        // What the kernel holds is the next sweep's, and the record is all that knows of it.
        if self.with(|record| record.has_strays()) == Some(false) {
            self.forget();
        }
    }
}

fn open(record: &KeptRecord) -> Result<OwnedFd> {
    let folder = record.folder().map(|folder| std::os::fd::AsFd::as_fd(folder).try_clone_to_owned());
    folder
        .unwrap_or_else(|| Err(std::io::ErrorKind::NotFound.into()))
        .map_err(|error| unavailable(record.run(), &error))
}

fn provisions(record: &KeptRecord, spawned: &Spawned, held: Vec<OwnedFd>) -> Result<Provisions> {
    let make = || {
        let input = spawned.stdin.as_ref().map(OwnedFd::try_clone).transpose()?;
        Ok(Provisions { lock: record.lock()?.into(), exit: record.make_exit()?.into(), input, held })
    };
    make().map_err(|error: std::io::Error| unavailable(record.run(), &error))
}

fn unavailable(run: RunId, why: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("keep run {}: {why}", run.short()))
}
