//! A run: one life of one supervisor, with the guardian that owns its processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::id::RunId;
use crate::process::{Guarantee, Guardian, Mark, Pair, Plan, SpawnError, Spawned, Spec, Watcher};
use crate::telemetry::{Emitter, Event, RunEvent};

/// How long the end of everything may take once it was ordered. SIGKILL needs milliseconds; a process that the kernel
/// holds may need for ever.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// One life of one supervisor. Dropped, every process that it started ends.
pub(crate) struct Run {
    pub(crate) id: RunId,
    guardian: Guardian,
    /// Of the pools that asked for a PID namespace, by their name.
    enclosed: BTreeMap<String, Guardian>,
}

/// Tells the world what becomes of the guardian.
struct Reporter(Emitter);

impl Run {
    /// Starts a guardian, and one more for each pool that is to be enclosed in a PID namespace. Blocks for a millisecond
    /// or two each.
    ///
    /// # Errors
    /// `unavailable` on a machine that does not let the guardian be started.
    pub(crate) fn begin(id: RunId, emitter: &Emitter, enclosed: &[String]) -> Result<Run> {
        let watcher = Arc::new(Reporter(emitter.clone()));
        let (mark, name, numbers) = (Mark::of(id), id.to_string(), Arc::default());
        let plan = Plan { mark, name, numbers, pidns: false, watcher };
        let enclose = |pool: &String| Ok((pool.clone(), guardian(Plan { pidns: true, ..plan.clone() })?));
        let enclosed = enclosed.iter().map(enclose).collect::<Result<_>>()?;
        Ok(Run { id, guardian: guardian(plan)?, enclosed })
    }

    fn guardians(&self) -> impl Iterator<Item = &Guardian> {
        self.enclosed.values().chain([&self.guardian])
    }

    /// What holds on this machine, now.
    pub(crate) fn guarantee(&self) -> Guarantee {
        self.guardian.guarantee()
    }

    /// Starts a process. Blocks for a millisecond or so.
    pub(crate) fn spawn(&self, pool: &str, spec: Spec) -> Result<Spawned> {
        let guardian = self.enclosed.get(pool).unwrap_or(&self.guardian);
        guardian.spawn(spec).map_err(|error| Error::new(kind(&error), error.to_string()))
    }

    /// Every process ends at once; nothing can be started any more. Does not wait.
    pub(crate) fn close(&self) {
        self.guardians().for_each(Guardian::close);
    }

    /// [`Run::close`], and waits until no process of this run is left.
    ///
    /// # Errors
    /// `internal` if one still is, after 10 s.
    pub(crate) async fn end(&self) -> Result<()> {
        self.close();
        let mut all_gone = true;
        for guardian in self.guardians() {
            all_gone &= guardian.closed(END_PATIENCE).await;
        }
        if all_gone {
            return Ok(());
        }
        let message =
            format!("run {}: some of its processes are still there {END_PATIENCE:?} after SIGKILL", self.id.short());
        Err(Error::new(ErrorKind::Internal, message))
    }
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

impl Watcher for Reporter {
    fn born(&self, pair: &Pair) {
        let (keeper, guardian) = (pair.keeper().pid().get(), pair.guardian().pid().get());
        self.0.emit(Event::Run(RunEvent::Guarded { keeper, guardian }));
        for layer in pair.guarantee().lost() {
            self.0.emit(Event::Run(RunEvent::LayerLost { layer: layer.name, message: layer.to_string() }));
        }
    }

    fn lost(&self, _pair: &Pair) {
        self.0.emit(Event::Run(RunEvent::GuardianLost));
    }
}
