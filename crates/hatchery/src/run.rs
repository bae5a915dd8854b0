//! A run: one life of one supervisor, with the guardians that own its processes and the registry that knows of them.

#[cfg_attr(not(test), expect(dead_code, reason = "agent runs that outlive their supervisor are to call it"))]
pub(crate) mod kept;
mod metrics;
mod survivor;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::Launch;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RunId, WorkerId};
use crate::process::{
    Fork, ForkError, Forker, Guarantee, Guardian, LayerState, Pair, Plan, SpawnError, Spawned, Spec, Watcher,
    obstacles, resident_bytes_of_tree,
};
use crate::registry::{
    Entry, Instance, Options, ProcessEntry, RecordPlace, Registry, Reservation, RunRegistry, RuntimeBase, Started,
    SweepOptions, orphans,
};
use crate::telemetry::{Emitter, Event, RunEvent};

use metrics::Counts;
pub use metrics::RunMetrics;
pub use survivor::Survivor;

/// How long the end of everything may take once it was ordered. SIGKILL needs milliseconds; a process that the kernel
/// holds may need for ever.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What the record and the registry are called among the layers of the guarantee.
const RECORD_LAYER: &str = "record and sweep";

/// Where a run writes down what it starts, and how it starts it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) instance: Instance,
    pub(crate) data_dir: PathBuf,
    /// Refuse to begin if nothing can be written there.
    pub(crate) require_registry: bool,
    /// The pools that are to have a PID namespace of their own.
    pub(crate) enclosed: Vec<String>,
}

/// One life of one supervisor. Dropped, every process that it started ends.
pub(crate) struct Run {
    pub(crate) id: RunId,
    guardian: Guardian,
    /// Of the pools that asked for a PID namespace, by their name.
    enclosed: BTreeMap<String, Guardian>,
    books: Arc<Books>,
    sweep: SweepOptions,
}

/// Why nothing was forked.
pub(crate) enum Unforked {
    /// Nothing can be started at all.
    Refused(Error),
    /// A cold start may do.
    Missed(ForkError),
}

/// What is written down, and told, about the pairs of a run.
struct Books {
    registry: Registry,
    emitter: Emitter,
    counts: Counts,
    /// Why a sweep could not end a process here.
    in_the_way: Option<&'static str>,
    /// The losses that were told and still hold.
    told: Mutex<Vec<String>>,
    pairs: AtomicUsize,
    is_over: AtomicBool,
    /// A host that forks copies this value, but the run stays the original's.
    owner: u32,
}

impl Run {
    /// Writes the run down, then starts a guardian, and one more for each pool that is to be enclosed in a PID namespace.
    /// Blocks for a few milliseconds.
    ///
    /// # Errors
    /// `unavailable` on a machine that does not let the guardian be started; `validation` if the registry is required
    /// and cannot be written.
    pub(crate) fn begin(id: RunId, emitter: &Emitter, config: &Config) -> Result<Run> {
        let (instance, data_dir) = (config.instance.clone(), config.data_dir.clone());
        let sweep = SweepOptions { instance: instance.clone(), kill: true, ..SweepOptions::new(&data_dir) };
        let options = Options { instance, data_dir, runtime: RuntimeBase::of_user(), require: config.require_registry };
        let registry = Registry::open(id, &options)?;
        let mark = registry.mark();
        let books = Arc::new(Books::new(registry, emitter.clone()));
        books.tell_losses();
        let watcher = Arc::clone(&books) as Arc<dyn Watcher>;
        let plan = Plan { mark, name: id.to_string(), pairs: Arc::default(), pidns: false, watcher };
        let enclose = |pool: &String| Ok((pool.clone(), guardian(Plan { pidns: true, ..plan.clone() })?));
        let start = || Ok((config.enclosed.iter().map(enclose).collect::<Result<_>>()?, guardian(plan.clone())?));
        let started: Result<_> = start();
        let (enclosed, guardian) = started.inspect_err(|_| {
            books.is_over.store(true, Ordering::SeqCst);
            books.close_if_over();
        })?;
        Ok(Run { id, guardian, enclosed, books, sweep })
    }

    /// What holds on this machine, now, for all of these pools.
    pub(crate) fn guarantee<'a>(&self, mut pools: impl Iterator<Item = &'a str>) -> Guarantee {
        let are_enclosed = pools.all(|pool| self.enclosed.contains_key(pool));
        let enclosed = self.enclosed.values().next().filter(|_| are_enclosed);
        let mut guarantee = enclosed.unwrap_or(&self.guardian).guarantee();
        let lost = self.books.losses();
        let state = if lost.is_empty() { LayerState::Holds(String::new()) } else { LayerState::Lost(lost.join("; ")) };
        guarantee.set(RECORD_LAYER, state);
        guarantee
    }

    /// Every process that was started and is not known to be gone.
    pub(crate) fn processes(&self) -> Vec<Arc<ProcessEntry>> {
        self.books.registry.entries()
    }

    pub(crate) fn registry(&self) -> RunRegistry<'_> {
        RunRegistry(&self.books.registry)
    }

    /// Memory that a process of this run has in use, with everything that lives in its control group, or below it where it has none.
    /// Blocks: it reads a file for each of them.
    pub(crate) fn resident_bytes(&self, pid: i32) -> Option<u64> {
        let entry = u32::try_from(pid).ok().and_then(|pid| self.books.registry.by_pid(pid));
        let group = entry.as_ref().and_then(|entry| entry.cgroup.as_deref());
        resident_bytes_of_tree(pid, group.map(Path::new))
    }

    /// Of those that were told to end, what is still there. Blocks: it looks through `/proc`.
    pub(crate) fn survivors(&self) -> Vec<Survivor> {
        survivor::survivors(&self.books.registry)
    }

    /// Whose records a sweep of this run looks at; ends nothing as it is.
    pub(crate) fn sweep_options(&self) -> SweepOptions {
        SweepOptions { kill: false, ..self.sweep.clone() }
    }

    /// Ends what dead runs of this instance have left. Blocks: see [`orphans`].
    pub(crate) fn sweep(&self) {
        self.books.registry.release_dead();
        self.books.registry.update_process_groups();
        self.books.tell_losses();
        match orphans(&self.sweep) {
            Ok(report) if report.found == 0 && report.errors == 0 => {}
            Ok(report) => self.books.tell(RunEvent::Swept {
                found: report.found,
                terminated: report.terminated,
                notes: report.notes,
            }),
            Err(error) => {
                self.books.tell(RunEvent::Swept { found: 0, terminated: 0, notes: vec![error.to_string()] });
            }
        }
    }

    /// Where files of this run may lie, which go with its record.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match self.books.registry.place()? {
            RecordPlace::DataDir(folder) | RecordPlace::RuntimeDir { folder, .. } => Some(folder),
            RecordPlace::Memory { .. } => None,
        }
    }

    /// Where processes of this instance are written down that go on without it.
    #[expect(dead_code, reason = "agent runs that outlive their supervisor are to call it")]
    pub(crate) fn place_of_kept(&self) -> kept::Place {
        let SweepOptions { instance, data_dir, .. } = self.sweep.clone();
        kept::Place { instance, data_dir, runtime: RuntimeBase::of_user() }
    }

    pub(crate) fn metrics(&self) -> RunMetrics {
        self.books.counts.read(self.books.registry.entries().len(), self.books.pairs.load(Ordering::SeqCst))
    }

    /// Starts a process: reserved before it exists, activated before anybody hears of it. Blocks for a millisecond or so.
    pub(crate) fn spawn(&self, worker: &WorkerId, pool: &str, spec: Spec) -> Result<(Spawned, Entry)> {
        let reservation = self.reserve(worker, pool)?;
        let command = words(&spec.program, &spec.args);
        let spawned = self.guardian_of(pool).spawn(reservation.number(), spec);
        let spawned = spawned.map_err(|error| Error::new(kind(&error), error.to_string()))?;
        let entry = self.activate(worker, reservation, &spawned, &command);
        Ok((spawned, entry))
    }

    /// As [`Run::spawn`], from a template of the pool. It is told to go when the registry knows of it.
    pub(crate) fn fork(
        &self,
        worker: &WorkerId,
        pool: &str,
        forker: &Forker,
        fork: &Fork,
        launch: &Launch,
    ) -> std::result::Result<(Spawned, Entry), Unforked> {
        let reservation = self.reserve(worker, pool).map_err(Unforked::Refused)?;
        let forked = self.guardian_of(pool).adopt(forker, reservation.number(), fork);
        let (spawned, go) = forked.map_err(Unforked::Missed)?;
        let entry = self.activate(worker, reservation, &spawned, &words(&launch.program, &launch.args));
        go.say();
        Ok((spawned, entry))
    }

    fn guardian_of(&self, pool: &str) -> &Guardian {
        self.enclosed.get(pool).unwrap_or(&self.guardian)
    }

    fn reserve(&self, worker: &WorkerId, pool: &str) -> Result<Reservation> {
        let reservation = self.books.registry.reserve(worker, pool)?;
        self.books.tell(RunEvent::Reserved { worker: worker.clone() });
        Ok(reservation)
    }

    fn activate(&self, worker: &WorkerId, reservation: Reservation, spawned: &Spawned, command: &[String]) -> Entry {
        let identity = *spawned.child.identity();
        let started = Started {
            identity,
            process_group: Some(identity.pid().get().unsigned_abs()),
            cgroup: spawned.leaf.as_ref().map(|leaf| leaf.display().to_string()),
            command,
        };
        let entry = reservation.activate(started);
        self.books.tell(RunEvent::Activated { worker: worker.clone(), pid: identity.pid().get() });
        self.books.tell_losses();
        entry
    }

    /// Every process ends at once; nothing can be started any more. Does not wait.
    pub(crate) fn close(&self) {
        self.books.is_over.store(true, Ordering::SeqCst);
        self.guardians().for_each(Guardian::close);
        // If the last pair was lost, none is left to do it.
        self.books.close_if_over();
    }

    /// [`Run::close`], and waits until no process of this run is left.
    ///
    /// # Errors
    /// `internal` if one still is after 10 s, or could not be ended at all, with what is known of each.
    pub(crate) async fn end(&self) -> Result<()> {
        self.close();
        let are_over = self.gone_within(END_PATIENCE).await;
        let books = Arc::clone(&self.books);
        let looked = tokio::task::spawn_blocking(move || survivor::survivors(&books.registry)).await;
        let survivors = looked.unwrap_or_else(|_no_thread| self.survivors());
        if are_over && survivors.is_empty() { Ok(()) } else { Err(self.not_ended(&survivors)) }
    }

    /// Of a run that was closed: whether nothing is left, after `patience` at most.
    pub(crate) async fn gone_within(&self, patience: Duration) -> bool {
        let mut all_gone = true;
        for guardian in self.guardians() {
            all_gone &= guardian.closed(patience).await;
        }
        all_gone
    }

    fn not_ended(&self, survivors: &[Survivor]) -> Error {
        let names = survivors.iter().map(Survivor::to_string).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "its keeper or its guardian" } else { &names };
        let message = format!("end run {}: still there after SIGKILL: {names}", self.id.short());
        Error::new(ErrorKind::Internal, message)
    }

    fn guardians(&self) -> impl Iterator<Item = &Guardian> {
        self.enclosed.values().chain([&self.guardian])
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.close();
    }
}

fn words(program: &Path, args: &[OsString]) -> Vec<String> {
    let words = std::iter::once(program.as_os_str()).chain(args.iter().map(AsRef::as_ref));
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

fn guardian(plan: Plan) -> Result<Guardian> {
    Guardian::start(plan).map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))
}

/// A mistake in what was asked for, or a misfortune that another attempt may not meet.
fn kind(error: &SpawnError) -> ErrorKind {
    match error {
        SpawnError::Unguarded | SpawnError::NoGuardian(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Validation,
    }
}

impl Books {
    fn new(registry: Registry, emitter: Emitter) -> Books {
        let (told, pairs, is_over) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let in_the_way = obstacles().into_iter().find(|obstacle| obstacle.is_blocking).map(|obstacle| obstacle.what);
        Books {
            registry,
            emitter,
            counts: Counts::default(),
            in_the_way,
            told,
            pairs,
            is_over,
            owner: std::process::id(),
        }
    }

    /// With the last pair of a run that is over, the books are closed: the record goes, if nothing is left. Twice is fine.
    fn close_if_over(&self) {
        let is_over = self.is_over.load(Ordering::SeqCst) && self.pairs.load(Ordering::SeqCst) == 0;
        if is_over && self.owner == std::process::id() {
            let _left_for_the_sweep = self.registry.close();
        }
    }

    fn tell(&self, event: RunEvent) {
        self.counts.note(&event);
        self.emitter.emit(Event::Run(event));
    }

    /// What has been lost since it was last asked: a disk fills up while a run lives. What came back and is lost again is told again.
    fn tell_losses(&self) {
        let losses = self.losses();
        let told = std::mem::replace(&mut *self.told(), losses.clone());
        for message in losses.into_iter().filter(|loss| !told.contains(loss)) {
            self.tell(RunEvent::LayerLost { layer: RECORD_LAYER, message });
        }
    }

    /// What cannot be written down, and what keeps a sweep from ending what was.
    fn losses(&self) -> Vec<String> {
        let in_the_way = |what| format!("a sweep of dead runs ends nothing here: {what}");
        self.registry.losses().into_iter().chain(self.in_the_way.map(in_the_way)).collect()
    }

    fn told(&self) -> MutexGuard<'_, Vec<String>> {
        // Each change is one assignment.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Books {
    fn made(&self, folder: &Path) {
        self.registry.note_cgroup(folder);
    }

    fn born(&self, pair: &Pair) {
        self.pairs.fetch_add(1, Ordering::SeqCst);
        self.registry.note_guard(*pair.keeper());
        self.registry.note_guard(*pair.guardian());
        let (keeper, guardian) = (pair.keeper().pid().get(), pair.guardian().pid().get());
        self.tell(RunEvent::Guarded { keeper, guardian });
        for layer in pair.guarantee().lost() {
            self.tell(RunEvent::LayerLost { layer: layer.name, message: layer.to_string() });
        }
    }

    fn lost(&self, _pair: &Pair) {
        self.tell(RunEvent::GuardianLost);
    }

    fn over(&self, _pair: &Pair) {
        self.pairs.fetch_sub(1, Ordering::SeqCst);
        self.close_if_over();
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::*;

    #[tokio::test]
    async fn a_run_that_ends_after_its_last_guardian_was_lost_leaves_no_record() {
        let data = tempfile::tempdir().unwrap();
        let config = Config {
            instance: Instance::default(),
            data_dir: data.path().to_owned(),
            require_registry: true,
            enclosed: Vec::new(),
        };
        let emitter = Emitter::new(16);
        let mut events = emitter.subscribe(crate::EventFilter::new());
        let run = Run::begin(RunId::random(), &emitter, &config).unwrap();
        let guardian = loop {
            if let Event::Run(RunEvent::Guarded { guardian, .. }) = events.next().await.unwrap() {
                break rustix::process::Pid::from_raw(guardian).unwrap();
            }
        };
        let records = || std::fs::read_dir(data.path().join("runs")).unwrap().count();
        assert_eq!(records(), 1);
        pidfd_send_signal(pidfd_open(guardian, PidfdFlags::empty()).unwrap(), Signal::KILL).unwrap();
        let closed = async {
            while run.books.pairs.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), closed).await.expect("its loss is noticed within a minute");
        assert_eq!(records(), 1, "it may start another");
        run.end().await.unwrap();
        assert_eq!(records(), 0);
    }
}
