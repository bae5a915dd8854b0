//! The live runs of a supervisor: started, found, listed, ended together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::adapter::Adapters;
use super::birth::{Newborn, Nursery};
use super::claim::Claims;
use super::history::History;
use super::log::{AgentEvents, Log, Watcher};
use super::order::StopReport;
use super::owner::Owner;
use super::{AgentFilter, AgentInfo, AgentRun, AgentRunId, AgentSpec, Asked, StopLadder};
use crate::error::{Error, ErrorKind, Result, near_match};
use crate::registry::Instance;
use crate::run::Run;
use crate::telemetry::Emitter;

/// The agent runs of a [`Hatchery`](crate::Hatchery). Cheap to clone; once that has ended nothing can be started.
#[derive(Clone)]
pub struct Agents(Arc<Office>);

/// What they stand on.
pub(crate) struct Settings {
    pub(crate) run: Arc<Run>,
    pub(crate) instance: Instance,
    pub(crate) data_dir: PathBuf,
    pub(crate) adapters: Adapters,
    pub(crate) emitter: Emitter,
    /// So many live at once, and no more.
    pub(crate) most: Option<usize>,
}

/// What all runs have in common.
pub(crate) struct Office {
    nursery: Nursery,
    live: Mutex<Live>,
    owners: Mutex<JoinSet<()>>,
    most: Option<usize>,
}

#[derive(Default)]
struct Live {
    runs: BTreeMap<AgentRunId, AgentRun>,
    /// Being started.
    starting: usize,
    is_closed: bool,
}

/// A place among those that may live at once, until there is a run in it.
struct Place(Weak<Office>);

impl Agents {
    /// Looks at what dead supervisors have left. Blocks for some milliseconds.
    pub(crate) fn open(settings: Settings) -> Agents {
        let Settings { run, instance, data_dir, adapters, emitter, most } = settings;
        Claims::new(&data_dir).remove_stale();
        let history = History::open(&data_dir, run.id, &instance).map(|opened| opened.history);
        let history = history.map_err(|error| error.to_string());
        let nursery = Nursery { run, instance, data_dir, adapters, history, watcher: Watcher::default(), emitter };
        Agents(Arc::new(Office { nursery, live: Mutex::default(), owners: Mutex::default(), most }))
    }

    /// Starts a run, and returns when its process is there. It has a record before that.
    ///
    /// Dropping the future ends what was started.
    ///
    /// # Errors
    /// `validation` if the spec does not fit its adapter, or there is no such program; `conflict` if another run carries the session on
    /// (its details name that run); `limit` if as many runs live as may; `unavailable` once the hatchery ends.
    pub async fn start(&self, spec: AgentSpec) -> Result<AgentRun> {
        let (office, (tell, told)) = (Arc::clone(&self.0), oneshot::channel());
        // In a task of its own, so that nothing is left half made.
        tokio::spawn(async move {
            let started = office.start(spec).await;
            if let Err(Ok(unwanted)) = tell.send(started) {
                unwanted.kill().await;
            }
        });
        told.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "start an agent run: it panicked")))
    }

    /// The live run of this id, or the beginning of one of at least four characters, or the one that carries the conversation of
    /// this name on.
    ///
    /// # Errors
    /// `not_found`, with the near match; `validation` if several ids begin so.
    pub fn get(&self, name: &str) -> Result<AgentRun> {
        let live = self.0.live();
        let by_id = AgentRunId::parse(name).and_then(|id| live.runs.get(&id));
        let by_session = || live.runs.values().find(|run| run.info().is_called(name));
        if let Some(run) = by_id.or_else(by_session) {
            return Ok(run.clone());
        }
        let ids: Vec<String> = live.runs.keys().map(AgentRunId::to_string).collect();
        let mut begin_so = live.runs.iter().zip(&ids).filter(|(_, id)| is_beginning(name, id)).map(|((_, run), _)| run);
        match (begin_so.next(), begin_so.next()) {
            (Some(run), None) => Ok(run.clone()),
            (Some(_), Some(_)) => {
                Err(Error::new(ErrorKind::Validation, format!("several agent runs begin with {name}")))
            }
            (None, _) => {
                let near = near_match(name, ids.iter().map(String::as_str));
                Err(Error::new(ErrorKind::NotFound, format!("no such live agent run: {name}{near}")))
            }
        }
    }

    /// Live runs, the latest first. Waits for nothing, whatever becomes of them at that moment.
    pub fn list(&self, filter: &AgentFilter) -> Vec<Arc<AgentInfo>> {
        let runs: Vec<AgentRun> = self.0.live().runs.values().rev().cloned().collect();
        let infos = runs.iter().map(AgentRun::info).filter(|info| filter.fits(info));
        infos.take(filter.most.unwrap_or(usize::MAX)).collect()
    }

    /// Runs of this data dir, of whatever supervisor, also those that are over: the latest first, as they were last written down.
    ///
    /// # Errors
    /// `unavailable` if that cannot be read.
    pub async fn history(&self, filter: AgentFilter) -> Result<Vec<AgentInfo>> {
        self.0.elsewhere(move |nursery| nursery.history()?.list(&filter)).await
    }

    /// A run that lives, or that has, as long as it is remembered: by its id, the beginning of that, or the name of its conversation, then
    /// the latest of several. Looks at the disk if need be.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn show(&self, name: &str) -> Result<Arc<AgentInfo>> {
        match self.get(name) {
            Ok(run) => Ok(run.info()),
            Err(error) if error.kind() == ErrorKind::NotFound => self.past(name).await,
            Err(error) => Err(error),
        }
    }

    /// What a run says, or has said, from the event of this number on.
    ///
    /// # Errors
    /// `not_found`, also if its output is not there any more.
    pub async fn events(&self, name: &str, from: u64) -> Result<AgentEvents> {
        if let Ok(run) = self.get(name) {
            return Ok(run.events(from));
        }
        let info = self.past(name).await?;
        let folder = self.0.nursery.folder(info.run);
        let opened = tokio::task::spawn_blocking(move || Log::open(&folder, info.run)).await;
        let gone = |why: &dyn std::fmt::Display| {
            Error::new(ErrorKind::NotFound, format!("the output of agent run {name} is not there any more: {why}"))
        };
        match opened {
            Ok(Ok(log)) => Ok(log.from(from)),
            Ok(Err(error)) => Err(gone(&error)),
            Err(error) => Err(gone(&error)),
        }
    }

    /// Ends those that fit, all at the same time, each by its own ladder or by this one. The reports, in the order of the runs.
    pub async fn stop(&self, filter: &AgentFilter, ladder: Option<StopLadder>) -> Vec<StopReport> {
        let chosen: Vec<AgentRun> =
            self.0.live().runs.values().filter(|run| filter.fits(&run.info())).cloned().collect();
        stop_each(chosen, Asked::Stop, ladder, "stop was asked for").await
    }

    /// Nothing is started any more, and everything is ended: by its ladder, but none takes longer than `longest`.
    pub(crate) async fn end(&self, longest: Duration) -> Vec<StopReport> {
        let runs = self.0.close();
        let stopping = stop_each(runs.clone(), Asked::Stop, None, "its supervisor ends");
        let reports = match tokio::time::timeout(longest, stopping).await {
            Ok(reports) => reports,
            Err(_) => stop_each(runs, Asked::Kill, None, "its supervisor ends").await,
        };
        while self.0.joined().await {}
        reports
    }

    /// At once, and nothing is waited for.
    pub(crate) fn abort(&self) {
        self.0.close();
        self.0.owners().abort_all();
    }

    async fn past(&self, name: &str) -> Result<Arc<AgentInfo>> {
        let wanted = name.to_owned();
        self.0.elsewhere(move |nursery| nursery.history()?.find(&wanted)).await.map(Arc::new)
    }
}

async fn stop_each(runs: Vec<AgentRun>, asked: Asked, ladder: Option<StopLadder>, reason: &str) -> Vec<StopReport> {
    let mut stopping = JoinSet::new();
    for run in runs {
        let (ladder, reason) = (ladder.clone(), reason.to_owned());
        stopping.spawn(async move { run.end(asked, ladder, &reason).await });
    }
    let mut reports = stopping.join_all().await;
    reports.sort_by_key(|report| report.run);
    reports
}

fn is_beginning(name: &str, id: &str) -> bool {
    name.len() >= 4 && id.get(..name.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(name))
}

impl Office {
    async fn start(self: Arc<Office>, spec: AgentSpec) -> Result<AgentRun> {
        let place = self.admit()?;
        let newborn = self.nursery.bear(spec).await?;
        self.take_in(place, newborn)
    }

    fn admit(self: &Arc<Office>) -> Result<Place> {
        let mut live = self.live();
        if live.is_closed {
            return Err(closed());
        }
        let (lives, most) = (live.runs.len() + live.starting, self.most.unwrap_or(usize::MAX));
        if lives >= most {
            let message = format!("{lives} agent runs live, and no more may (agents.max_concurrent = {most})");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        live.starting += 1;
        Ok(Place(Arc::downgrade(self)))
    }

    /// If everything has begun to end meanwhile, the owner is dropped, and the run ends with it.
    fn take_in(self: &Arc<Office>, place: Place, newborn: Newborn) -> Result<AgentRun> {
        let Newborn { owner, run, first_turn } = newborn;
        let mut live = self.live();
        if live.is_closed {
            return Err(closed());
        }
        live.runs.insert(run.id(), run.clone());
        drop(live);
        drop(place);
        self.owners().spawn(life(owner, first_turn, run.clone(), Arc::downgrade(self)));
        Ok(run)
    }

    /// What looks at a disk does so where it may wait.
    async fn elsewhere<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Nursery) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let nursery = self.nursery.clone();
        let looked = tokio::task::spawn_blocking(move || look(&nursery)).await;
        looked.unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, error.to_string())))
    }

    fn close(&self) -> Vec<AgentRun> {
        let mut live = self.live();
        live.is_closed = true;
        live.runs.values().cloned().collect()
    }

    /// Waits for one owner to end; `false` if there is none.
    async fn joined(&self) -> bool {
        let mut owners = std::mem::take(&mut *self.owners());
        owners.join_next().await;
        let is_one_left = !owners.is_empty();
        while owners.join_next().await.is_some() {}
        is_one_left
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        // Each change is whole before anything can panic.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owners(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        while owners.try_join_next().is_some() {}
        owners
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(office) = self.0.upgrade() {
            office.live().starting -= 1;
        }
    }
}

async fn life(owner: Owner, first_turn: Option<String>, run: AgentRun, office: Weak<Office>) {
    owner.live(first_turn).await;
    if let Some(office) = office.upgrade() {
        office.live().runs.remove(&run.id());
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "start an agent run: everything is being ended")
}
