//! How a process is started, and what is said when it cannot be.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, fcntl_setfl, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Child;
use super::raw::{self, Plan};

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
    /// Become descriptors 3, 4, 5 and so on.
    pub(crate) fds: Vec<OwnedFd>,
}

/// What was started. The two are the reading ends of its descriptors 1 and 2, non-blocking. Its descriptor 0 is `/dev/null`.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) child: Child,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
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
    /// Nothing can be known of it, nor done to what it may have left behind.
    #[error(
        "it ended at once, and this program (which ignores SIGCHLD, or waits for every child) took its exit status"
    )]
    Lost,
    #[error("a NUL byte in {what}: {text:?}")]
    Nul { what: &'static str, text: OsString },
    #[error("{what}: {source}")]
    Os { what: &'static str, source: io::Error },
}

/// Starts a process in a session and group of its own, with descriptors 0 to 2, those of the spec, and no others.
///
/// Returns when the program runs: a program that cannot be started is an error here, never an exit status.
pub(crate) fn spawn(spec: Spec) -> Result<Spawned, SpawnError> {
    let program = find_program(&spec.program, &spec.env)?;
    let (stdout, child_stdout) = output_pipe()?;
    let (stderr, child_stderr) = output_pipe()?;
    let fds = lift([dev_null()?, child_stdout, child_stderr].into_iter().chain(spec.fds).collect())?;
    let cwd = spec.cwd.as_deref().map(|cwd| c_string("the directory", cwd.as_os_str())).transpose()?;
    let plan = Plan {
        program: &c_string("the program's path", program.as_os_str())?,
        args: &arguments(&program, spec.args)?,
        env: &environment(spec.env)?,
        cwd: cwd.as_deref(),
        fds: &fds,
    };
    let pid = raw::posix_spawn(&plan).map_err(|error| explain(error, program, spec.cwd))?;
    let child = Child::adopt(pid).map_err(os("take hold of the new process"))?.ok_or(SpawnError::Lost)?;
    Ok(Spawned { child, stdout, stderr })
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

/// The reader is ours and non-blocking; the writer is the child's, in blocking mode as every program expects.
fn output_pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let make = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        Ok((reader, writer))
    };
    make().map_err(os_errno("make a pipe for its output"))
}

fn dev_null() -> Result<OwnedFd, SpawnError> {
    open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(os_errno("open /dev/null"))
}

/// Moves descriptors above all their targets, so that none is overwritten before it is copied to its place, and none
/// is already there (a copy onto itself would stay close-on-exec).
fn lift(fds: Vec<OwnedFd>) -> Result<Vec<OwnedFd>, SpawnError> {
    const ABOVE: usize = 64;
    let lowest = fds.len().max(ABOVE) as i32;
    let lifted = fds.iter().map(|fd| fcntl_dupfd_cloexec(fd.as_fd(), lowest));
    lifted.collect::<Result<_, _>>().map_err(os_errno("copy its descriptors"))
}

/// The first is the path and not the name that was asked for: programs find their own files by it (Python does), from
/// whatever directory they are started in.
fn arguments(program: &Path, args: Vec<OsString>) -> Result<Vec<CString>, SpawnError> {
    let all = std::iter::once(program.as_os_str().to_owned()).chain(args);
    all.map(|arg| c_string("an argument", &arg)).collect()
}

fn environment(env: Vec<(OsString, OsString)>) -> Result<Vec<CString>, SpawnError> {
    let join = |(mut entry, value): (OsString, OsString)| {
        entry.push("=");
        entry.push(value);
        c_string("the environment", &entry)
    };
    env.into_iter().map(join).collect()
}

fn c_string(what: &'static str, text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError::Nul { what, text: text.to_owned() })
}

/// The kernel gives one number for several causes. Looking again can only make the words better, it decides nothing.
fn explain(error: io::Error, program: PathBuf, cwd: Option<PathBuf>) -> SpawnError {
    if let Some(cwd) = cwd.filter(|cwd| !cwd.is_dir() || !is_executable(cwd)) {
        return SpawnError::NoDirectory { cwd };
    }
    match error.raw_os_error() {
        Some(libc::ENOENT) => explain_missing(program),
        Some(libc::EACCES) => SpawnError::NotExecutable { program },
        Some(libc::ENOEXEC) => SpawnError::NoProgram { program },
        _ => SpawnError::Os { what: "start it", source: error },
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

fn os(what: &'static str) -> impl Fn(io::Error) -> SpawnError {
    move |source| SpawnError::Os { what, source }
}

fn os_errno(what: &'static str) -> impl Fn(rustix::io::Errno) -> SpawnError {
    move |error| SpawnError::Os { what, source: error.into() }
}
