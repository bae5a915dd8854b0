//! The process of a worker or a template, and what hears it: from its start to the release of its record.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::voice::Voice;
use crate::id::WorkerId;
use crate::process::{self, Child, Death, Escalation, Spawned};
use crate::registry::Entry;
use crate::telemetry::{Emitter, Level, LogSource};

/// Whatever happens to this value, the process ends with it.
pub(super) struct Body {
    pub(super) child: Child,
    pub(super) voice: Arc<Voice>,
    /// In the registry. Released when the process was seen to be gone.
    entry: Entry,
    /// Those that hear descriptors 1 and 2; they end with the process.
    draining: JoinSet<()>,
    finish_draining: watch::Sender<bool>,
}

/// What is left of one.
pub(super) struct Ended {
    pub(super) death: Death,
    pub(super) voice: Arc<Voice>,
    entry: Entry,
}

impl Body {
    pub(super) fn new(worker: &WorkerId, emitter: &Emitter, (spawned, entry): (Spawned, Entry)) -> Body {
        let Spawned { child, stdout, stderr, .. } = spawned;
        let voice = Arc::new(Voice::new(worker.clone(), emitter.clone()));
        let (finish_draining, leader_is_gone) = watch::channel(false);
        let draining = drain(&voice, &leader_is_gone, stdout, stderr);
        Body { child, voice, entry, draining, finish_draining }
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.identity().pid().get()
    }

    /// Ends the whole tree, and reads all that it has left in its pipes.
    pub(super) async fn end(mut self, escalation: &Escalation, ask: impl FnOnce()) -> Ended {
        self.entry.terminating();
        let death = process::end(self.child, escalation, ask).await;
        self.finish_draining.send_replace(true);
        while self.draining.join_next().await.is_some() {}
        Ended { death, voice: self.voice, entry: self.entry }
    }
}

impl Ended {
    /// Nothing of it is there any more.
    pub(super) fn release(self) {
        self.entry.release();
    }
}

/// Hears what the process writes to descriptors 1 and 2.
fn drain(
    voice: &Arc<Voice>,
    leader_is_gone: &watch::Receiver<bool>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
) -> JoinSet<()> {
    let mut draining = JoinSet::new();
    let stdout = stdout.map(|fd| (fd, Level::Info, LogSource::Stdout));
    let stderr = stderr.map(|fd| (fd, Level::Warning, LogSource::Stderr));
    for (fd, level, source) in stdout.into_iter().chain(stderr) {
        let (voice, mut ended) = (Arc::clone(voice), leader_is_gone.clone());
        draining.spawn(async move {
            let ended = async move { drop(ended.wait_for(|is_gone| *is_gone).await) };
            if let Err(error) = process::drain(fd, ended, |line| voice.said(level, source, line, None)).await {
                voice.said(Level::Warning, LogSource::Host, &format!("reading its output failed: {error}"), None);
            }
        });
    }
    draining
}
