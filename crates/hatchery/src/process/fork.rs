//! How a process is had from a template: a process of ours that forks others on order (`docs/design/fast-path.md`).
//!
//! The template forks twice, so that the new process becomes the guardian's child. Until the guardian has adopted it, it is the
//! template's: it carries the template's mark, ends with it, and runs nothing but a wait for the host's word. So there is no
//! moment at which it is nobody's.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::cage::Cage;
use super::guardian::message::{Adopt, OnEscape, Order};
use super::guardian::{Guardian, Pair, Reply, attempted, channel};
use super::spawn::{os, output_pipe};
use super::strings::sealed;
use super::{Child, Confinement, SpawnError, Spawned};

/// How many seconds a template may take for one fork, on a machine that is very busy.
const PATIENCE: u32 = 10;

/// A template that is up.
pub(crate) struct Forker {
    pair: Arc<Pair>,
    template: u32,
    orders: OwnedFd,
}

/// What is to be forked. Program, arguments and directory are the template's, and so are user, privileges and rlimits.
#[derive(Debug)]
pub(crate) struct Fork {
    /// The complete environment: nothing of the template's is left.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Become descriptors 3, 4, 5 and so on.
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) confinement: Confinement,
}

/// Why there is no fork. Nothing is left of the attempt that will live on. The texts are fragments, to be put after "fork worker
/// default-1 from its template: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForkError {
    /// It is gone, or the process that it has forked.
    #[error("it ended")]
    Lost,
    /// It may hang.
    #[error("no answer within {PATIENCE} s")]
    Silent,
    /// It does not fork any more.
    #[error("{0}")]
    Unfit(String),
    /// It could not fork now.
    #[error("{0}")]
    Failed(String),
    /// The guardian did not take the process for a fork of the template, or could not make it a worker.
    #[error("{step}: {source}")]
    Refused { step: &'static str, source: io::Error },
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

/// The word for which a forked process waits before it runs anything. Dropped, it ends.
#[derive(Debug)]
#[must_use]
pub(crate) struct Go(OwnedFd);

impl Go {
    pub(crate) fn say(self) {
        // One that is gone meanwhile is a worker that died.
        let _gone = channel::send_bytes(&self.0, b"go", &[]);
    }
}

impl Forker {
    pub(super) fn new(pair: Arc<Pair>, template: u32, orders: OwnedFd) -> Forker {
        Forker { pair, template, orders }
    }

    /// Has the new process tell its number.
    fn ask(&self, fork: &Fork, stdout: &OwnedFd, stderr: &OwnedFd) -> Result<(OwnedFd, u32), ForkError> {
        let environment = sealed(&joined(&fork.env)?).map_err(os("store its environment"))?;
        let (ours, theirs) = channel::pair().map_err(os("make a socket"))?;
        let given = [&environment, &theirs, stdout, stderr].into_iter().chain(&fork.fds);
        let given: Vec<BorrowedFd<'_>> = given.map(AsFd::as_fd).collect();
        channel::send_bytes(&self.orders, b"fork", &given).map_err(|_| ForkError::Lost)?;
        drop(theirs);
        let answer = match channel::receive_within(&ours, PATIENCE) {
            Ok(Some(answer)) => answer.bytes,
            Ok(None) => return Err(ForkError::Lost),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(ForkError::Silent),
            Err(error) => return Err(os("hear from it")(error).into()),
        };
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.parse().map(|pid| (ours, pid)).map_err(|_| match answer.strip_prefix("unfit: ") {
            Some(why) => ForkError::Unfit(why.to_owned()),
            None => ForkError::Failed(answer),
        })
    }
}

impl Guardian {
    /// As [`Guardian::spawn`], from a template. The process runs nothing of its own before it is told to [`Go`].
    pub(crate) fn adopt(&self, forker: &Forker, worker: u32, fork: &Fork) -> Result<(Spawned, Go), ForkError> {
        let (stdout, child_stdout) = output_pipe()?;
        let (stderr, child_stderr) = output_pipe()?;
        // It says whether anything may be started here.
        self.admit().map_err(SpawnError::from)?;
        let pair = &forker.pair;
        let leaves = pair.leaves();
        let Confinement { on_escape, resources, .. } = fork.confinement;
        let mut cage = Cage::make(resources, &self.name_of(worker), leaves.as_ref()).map_err(SpawnError::from)?;
        // What is reported and lives on must not be in a leaf that is killed with others.
        let own_leaf = cage.needs_leaf() || on_escape == OnEscape::Report;

        let (go, pid) = forker.ask(fork, &child_stdout, &child_stderr)?;
        let order = Order::Adopt(Adopt { worker, on_escape, template: forker.template, pid, own_leaf });
        match pair.begin(worker, &order, 0, &[]).map_err(os("order it from the guardian"))? {
            Some((Reply::Spawned { pid, pidfd }, gone)) => {
                let identity = self.identity(pid, &pidfd).inspect_err(|_| {
                    pair.end(worker);
                })?;
                let leaf = leaves.filter(|_| own_leaf).map(|leaves| leaves.of(worker));
                let settled = cage.take_in(identity.pid()).and_then(|()| cage.settle(leaf.as_deref()));
                let child = Child::new(worker, identity, pidfd, cage, Arc::clone(pair), gone);
                settled.map_err(SpawnError::from)?;
                Ok((Spawned { child, stdin: None, stdout: Some(stdout), stderr: Some(stderr), leaf }, Go(go)))
            }
            Some((Reply::NoDescriptor, _)) => {
                Err(os("take hold of the new process")(io::Error::from_raw_os_error(libc::EMFILE)).into())
            }
            Some((Reply::Failed { step, errno }, _)) => {
                Err(ForkError::Refused { step: attempted(step), source: io::Error::from_raw_os_error(errno) })
            }
            None => Err(ForkError::Lost),
        }
    }
}

/// As `/proc/PID/environ` has it.
fn joined(env: &[(OsString, OsString)]) -> Result<Vec<u8>, SpawnError> {
    let mut bytes = Vec::with_capacity(8 << 10);
    for (name, value) in env {
        for text in [name, value] {
            if text.as_bytes().contains(&0) {
                return Err(SpawnError::Nul { what: "the environment", text: text.clone() });
            }
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    Ok(bytes)
}
