//! How a process is started, and what is said when it cannot be.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, fcntl_setfl, open};
use rustix::pipe::{PipeFlags, pipe_with};

use super::cage::{Cage, CageError, ResourceLimits};
use super::guardian::guarantee::{LayerState, MARK};
use super::guardian::message::{OnEscape, Order, Step};
use super::guardian::{Guardian, Pair, Reply, StartError, attempted};
use super::identity::number_behind;
use super::sight::numbers_are_ours;
use super::strings::Strings;
use super::{Child, Identity, Pid};

/// What to start.
#[derive(Debug)]
pub(crate) struct Spec {
    /// A path if it has a slash, relative to the host's directory; else a name to look up on the `PATH` of `env`.
    pub(crate) program: PathBuf,
    /// Without the program's own name.
    pub(crate) args: Vec<OsString>,
    /// The complete environment: nothing of the host's is added.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// The host's, if `None`.
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdio: Stdio,
    /// Become descriptors 3, 4, 5 and so on.
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) confinement: Confinement,
}

/// What its descriptors 0, 1 and 2 are.
#[derive(Debug, Default)]
pub(crate) struct Stdio {
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Stdout,
    pub(crate) stderr: Stdout,
}

/// What a process reads. Never what the host does.
#[derive(Debug, Default)]
pub(crate) enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// A pipe, whose only writing end is [`Spawned::stdin`]: it ends when that is dropped.
    Pipe,
}

/// Where a process writes what it has to say, or what it has to say besides.
#[derive(Debug, Default)]
pub(crate) enum Stdout {
    /// A pipe, whose reading end is [`Spawned::stdout`] or [`Spawned::stderr`].
    #[default]
    Pipe,
    /// This.
    File(OwnedFd),
}

/// What keeps the processes of a pool together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Containment {
    /// A keeper and a guardian, and a control group for each worker where the machine allows it.
    #[default]
    Default,
    /// A PID namespace besides: its processes see only themselves, and the kernel ends them even if every process of
    /// hatchery is killed at once. Needs root, or a kernel that gives unprivileged users their own namespaces.
    PidNamespace,
}

/// What it may do and use. The default is what the host may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confinement {
    /// What becomes of what it leaves behind.
    pub(crate) on_escape: OnEscape,
    /// No program that it runs gains rights by running.
    pub(crate) no_new_privileges: bool,
    /// The user and group that it becomes.
    pub(crate) user: Option<(u32, u32)>,
    /// What it may use of the machine.
    pub(crate) resources: ResourceLimits,
}

/// What was started, and our ends of its pipes, which are non-blocking.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) child: Child,
    /// If it was to be a pipe.
    pub(crate) stdin: Option<OwnedFd>,
    /// If it was to be a pipe.
    pub(crate) stdout: Option<OwnedFd>,
    /// If it was to be a pipe.
    pub(crate) stderr: Option<OwnedFd>,
    /// Its own control group of version 2.
    pub(crate) leaf: Option<PathBuf>,
}

/// Why nothing was started. The texts are fragments, to be put after "start worker default-1: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("no such file: {}", program.display())]
    NotFound { program: PathBuf },
    #[error("not executable: {}", program.display())]
    NotExecutable { program: PathBuf },
    #[error("neither a program for this machine nor a script with a `#!` line: {}", program.display())]
    NoProgram { program: PathBuf },
    /// Quoted, for the usual culprit is a carriage return at its end.
    #[error("no such interpreter: {interpreter:?}, named in the first line of {}", script.display())]
    NoInterpreter { script: PathBuf, interpreter: PathBuf },
    #[error("cannot run {}: the loader it was built for is not on this machine", program.display())]
    NoLoader { program: PathBuf },
    #[error("not a directory that can be entered: {}", cwd.display())]
    NoDirectory { cwd: PathBuf },
    /// Nothing is left of the attempt.
    #[error("its guardian was killed meanwhile")]
    Unguarded,
    #[error(transparent)]
    NoGuardian(#[from] StartError),
    #[error(transparent)]
    Cage(#[from] CageError),
    #[error("let live on what it leaves behind (on_escape = adopt): {0}; use kill or report")]
    CannotAdopt(String),
    #[error("a NUL byte in {what}: {text:?}")]
    Nul { what: &'static str, text: OsString },
    #[error("{what}: {source}")]
    Os { what: &'static str, source: io::Error },
}

impl Guardian {
    /// Starts a process in a session and group of its own, with descriptors 0 to 2, those of the spec, and no others.
    ///
    /// `worker` is its number, from 1, never used twice in a run: its mark carries it.
    ///
    /// Returns when the program runs: a program that cannot be started is an error here, never an exit status. Blocks for
    /// a millisecond or so.
    pub(crate) fn spawn(&self, worker: u32, spec: Spec) -> Result<Spawned, SpawnError> {
        let program = find_program(&spec.program, &spec.env)?;
        let (stdin, child_stdin) = spec.stdio.stdin.open(self.null())?;
        let (stdout, child_stdout) = spec.stdio.stdout.open()?;
        let (stderr, child_stderr) = spec.stdio.stderr.open()?;
        let given: Vec<OwnedFd> = [child_stdin, child_stdout, child_stderr].into_iter().chain(spec.fds).collect();
        let strings = Strings::pack(&program, spec.cwd.as_deref(), spec.args, spec.env)?;

        let pair = self.admit()?;
        let adopts = spec.confinement.on_escape == OnEscape::Adopt;
        if adopts {
            self.can_adopt(&pair)?;
        }
        // What may outlive the run lives outside of its folder.
        let leaves = pair.leaves().filter(|_| !adopts);
        let mut cage = Cage::make(spec.confinement.resources, &self.name_of(worker), leaves.as_ref())?;
        let joins = groups(cage.joins())?;
        let is_quick = joins.is_empty()
            && [program.as_path(), spec.cwd.as_deref().unwrap_or(Path::new("."))].into_iter().all(is_on_local_disk);
        let order = strings.order(worker, &spec.confinement, &cage, (given.len(), joins.len()), is_quick)?;
        let fds: Vec<BorrowedFd<'_>> = given.iter().chain(&joins).chain(strings.memfd()).map(AsFd::as_fd).collect();
        let answer = pair.begin(worker, &Order::Spawn(order), strings.inline_length(), &fds);
        match answer.map_err(os("order it from the guardian"))? {
            Some((Reply::Spawned { pid, pidfd }, gone)) => {
                let identity = self.identity(pid, &pidfd).inspect_err(|_| {
                    // It runs, and nobody will own it.
                    pair.end(worker);
                })?;
                let leaf = leaves.map(|leaves| leaves.of(worker));
                let settled = cage.settle(leaf.as_deref());
                let child = Child::new(worker, identity, pidfd, cage, pair, gone);
                settled?;
                Ok(Spawned { child, stdin, stdout, stderr, leaf })
            }
            Some((Reply::NoDescriptor, _)) => {
                Err(os("take hold of the new process")(io::Error::from_raw_os_error(libc::EMFILE)))
            }
            Some((Reply::Failed { step, errno }, _)) => Err(explain(step, errno, program, spec.cwd)),
            None => Err(SpawnError::Unguarded),
        }
    }
}

impl Guardian {
    /// By the number that this process sees, which is not the one in a namespace of the guardian's own.
    pub(super) fn identity(&self, told: u32, pidfd: &OwnedFd) -> Result<Identity, SpawnError> {
        let seen = self.is_enclosed().then(|| number_behind(pidfd).filter(|_| numbers_are_ours())).flatten();
        let pid = Pid::new(seen.unwrap_or(told.cast_signed()));
        let pid = pid.ok_or_else(|| os("take hold of the new process")(io::Error::other("it has no number here")))?;
        Ok(Identity::of_newborn(pid, pidfd))
    }

    /// What was let go of is told from the rest by its mark, and by nothing else.
    fn can_adopt(&self, pair: &Pair) -> Result<(), SpawnError> {
        let mark = pair.guarantee().layers().iter().find(|layer| layer.name == MARK);
        match mark.map(|layer| &layer.state) {
            _ if self.is_enclosed() => {
                Err(SpawnError::CannotAdopt("nothing outlives a PID namespace of its own (containment = pidns)".into()))
            }
            _ if pair.leaves().is_some_and(|leaves| leaves.is_outside_barred()) => Err(SpawnError::CannotAdopt(
                "the group around the run's folder passes controllers on, for limits, so no process may live in it"
                    .into(),
            )),
            Some(LayerState::Lost(why)) => Err(SpawnError::CannotAdopt(format!("no mark can be set here: {why}"))),
            _ => Ok(()),
        }
    }
}

impl Stdin {
    /// Our end, if there is one, and the child's.
    fn open(self, null: &OwnedFd) -> Result<(Option<OwnedFd>, OwnedFd), SpawnError> {
        match self {
            Stdin::Null => null.try_clone().map(|null| (None, null)).map_err(os("copy the descriptor of /dev/null")),
            Stdin::Pipe => input_pipe().map(|(writer, reader)| (Some(writer), reader)),
        }
    }
}

impl Stdout {
    /// Our end, if there is one, and the child's.
    fn open(self) -> Result<(Option<OwnedFd>, OwnedFd), SpawnError> {
        match self {
            Stdout::Pipe => output_pipe().map(|(reader, writer)| (Some(reader), writer)),
            Stdout::File(file) => Ok((None, file)),
        }
    }
}

fn groups(files: impl Iterator<Item = PathBuf>) -> Result<Vec<OwnedFd>, SpawnError> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    files.map(|file| open(file, flags, Mode::empty()).map_err(os_errno("open its control group"))).collect()
}

/// The file to execute, absolute, because the child may change its directory first.
fn find_program(program: &Path, env: &[(OsString, OsString)]) -> Result<PathBuf, SpawnError> {
    let not_found = || SpawnError::NotFound { program: program.to_owned() };
    let candidates = candidates(program, env);
    let mut files = candidates.iter().filter(|candidate| candidate.is_file());
    let Some(first) = files.next() else {
        return Err(if program.is_dir() {
            SpawnError::NotExecutable { program: program.to_owned() }
        } else {
            not_found()
        });
    };
    let found = std::iter::once(first).chain(files).find(|file| is_executable(file));
    let found = found.ok_or_else(|| SpawnError::NotExecutable { program: first.to_owned() })?;
    std::path::absolute(found).map_err(os("find the working directory"))
}

fn candidates(program: &Path, env: &[(OsString, OsString)]) -> Vec<PathBuf> {
    if program.as_os_str().as_bytes().contains(&b'/') || program.as_os_str().is_empty() {
        return vec![program.to_owned()];
    }
    // The default is the C library's.
    let path = env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new("/bin:/usr/bin"), |(_, value)| value);
    env::split_paths(path).map(|folder| folder.join(program)).collect()
}

fn is_executable(path: &Path) -> bool {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// Whether nothing but a disk of this machine has to answer for it. A network or a program (FUSE) may never, and then no
/// signal ends who waits for it.
fn is_on_local_disk(path: &Path) -> bool {
    /// tmpfs, ext4 and its elders, XFS, Btrfs, ZFS, overlays, F2FS, SquashFS, EROFS, bcachefs.
    const LOCAL: [u32; 10] = [
        0x0102_1994,
        0xEF53,
        0x5846_5342,
        0x9123_683E,
        0x2FC1_2FC1,
        0x794C_7630,
        0xF2F5_2010,
        0x7371_7368,
        0xE0F5_E1E2,
        0xCA45_1A4E,
    ];
    rustix::fs::statfs(path).is_ok_and(|found| LOCAL.contains(&(found.f_type as u32)))
}

/// The reader is ours and non-blocking; the writer is the child's, in blocking mode as every program expects.
pub(super) fn output_pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let make = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        Ok((reader, writer))
    };
    make().map_err(os_errno("make a pipe for its output"))
}

/// The writer is ours and non-blocking; the reader is the child's, in blocking mode.
fn input_pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let make = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&writer, OFlags::NONBLOCK)?;
        Ok((writer, reader))
    };
    make().map_err(os_errno("make a pipe for its input"))
}

/// The kernel gives one number for several causes. Looking again can only make the words better, it decides nothing.
fn explain(step: Step, errno: i32, program: PathBuf, cwd: Option<PathBuf>) -> SpawnError {
    let source = io::Error::from_raw_os_error(errno);
    match (step, errno) {
        (Step::Directory, _) => SpawnError::NoDirectory { cwd: cwd.unwrap_or_default() },
        (Step::Exec, libc::ENOENT) => explain_missing(program),
        (Step::Exec, libc::EACCES) => SpawnError::NotExecutable { program },
        (Step::Exec, libc::ENOEXEC) => SpawnError::NoProgram { program },
        (step, _) => SpawnError::Os { what: attempted(step), source },
    }
}

fn explain_missing(program: PathBuf) -> SpawnError {
    match (program.exists(), interpreter(&program)) {
        (false, _) => SpawnError::NotFound { program },
        (true, Some(interpreter)) => SpawnError::NoInterpreter { script: program, interpreter },
        (true, None) => SpawnError::NoLoader { program },
    }
}

/// What stands after `#!`. The kernel reads no further than 256 bytes either.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(script).ok()?, 256), &mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
    Some(OsString::from_vec(words.next()?.to_vec()).into())
}

pub(super) fn os(what: &'static str) -> impl Fn(io::Error) -> SpawnError {
    move |source| SpawnError::Os { what, source }
}

fn os_errno(what: &'static str) -> impl Fn(rustix::io::Errno) -> SpawnError {
    move |error| SpawnError::Os { what, source: error.into() }
}
