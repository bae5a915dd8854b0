//! A run as a whole: what owns its processes, what is written down of them, how it ends.

use std::time::Duration;

use crate::id::WorkerId;
use crate::telemetry::declare::events;

events! {
    /// What becomes of the run as a whole: the guardian that owns its processes, the registry, its end.
    pub enum RunEvent {
        /// A keeper and a guardian are up, and own whatever is started from now on.
        Guarded = "guardian.started" {
            /// The process id of the keeper.
            keeper: i32,
            /// The process id of the guardian.
            guardian: i32,
        },
        /// They were killed. Every process that they owned ends too; the next start brings up new ones.
        GuardianLost = "guardian.lost",
        /// A layer of containment does not hold on this machine.
        LayerLost = "guardian.layer_lost" {
            /// Its name.
            layer: &'static str,
            /// Why not, in words.
            message: String,
        },
        /// A process is about to be started, and has a number in the registry.
        Reserved = "registry.reserved" {
            /// Which worker.
            worker: WorkerId,
        },
        /// The process is there and was seen; the registry knows who it is.
        Activated = "registry.activated" {
            /// Which worker.
            worker: WorkerId,
            /// Its process id.
            pid: i32,
        },
        /// The process was seen to be gone; the registry forgets it.
        Released = "registry.released" {
            /// Which worker.
            worker: WorkerId,
        },
        /// A sweep found processes that dead runs of this instance had left, or could not do its work.
        Swept = "registry.swept" {
            /// How many it found.
            found: usize,
            /// How many of them it ended.
            terminated: usize,
            /// What went wrong, or could not be checked, in sentences.
            notes: Vec<String>,
        },
        /// A worker ended, and processes of it were found that had left its group.
        Escaped = "worker.escaped" {
            /// Which worker.
            worker: WorkerId,
            /// How many were ended with it.
            ended: u32,
            /// Which were left alone, as the pool's `on_escape` says.
            left: Vec<u32>,
        },
        /// Everything is to end, in order.
        ShutdownStarted = "run.shutdown_started",
        /// Everything has ended, or what has not is known.
        ShutdownFinished = "run.shutdown_finished" {
            /// Whether no process is left.
            is_complete: bool,
            /// Since it began.
            took: Duration as "took_seconds",
        },
        /// Everything is killed.
        CleanupStarted = "cleanup.started" {
            /// How many processes are there.
            processes: usize,
        },
        /// Everything that was killed is gone, or the time to wait for it is over.
        CleanupFinished = "cleanup.finished" {
            /// Processes that are gone.
            ended: usize,
            /// Those that the kernel still holds.
            survivors: usize,
            /// Since it began.
            took: Duration as "took_seconds",
        },
        /// The work of a script has come to an end, and its workers are to end.
        ScriptStopping = "script.stopping" {
            /// Why: `done`, `failed`, `panicked` or `stopped`.
            reason: &'static str,
        },
        /// A script's workers did not end in order in time, and are killed.
        ScriptCleanup = "script.cleanup",
        /// A script is over.
        ScriptEnded = "script.ended" {
            /// Whether no process is left.
            is_complete: bool,
            /// Since its work ended.
            took: Duration as "took_seconds",
        },
    }
}
