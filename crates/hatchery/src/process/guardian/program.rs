//! The guardian's program, which this library carries, and how it comes to run on machines that restrict that.

use std::ffi::{CStr, CString, OsString};
use std::fmt::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io, thread};

use rustix::fs::{
    Access, CWD, MemfdFlags, Mode, OFlags, SealFlags, access, fcntl_add_seals, memfd_create, open, openat,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, geteuid, pidfd_open, waitid};

use super::super::Pid;
use super::super::raw::{self, Plan};

static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hatchery-guardian"));

/// Names a copy of the program, for machines on which nothing may be run that was not installed.
const VARIABLE: &str = "HATCHERY_GUARDIAN";

/// How such a copy is made.
const WRITE: &str = "hatchery doctor --write-guardian FILE";

/// The program runs, as a child of ours.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) source: Source,
}

/// Where the program came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The file that `$HATCHERY_GUARDIAN` names. Where that is set, nothing else is tried.
    Variable(PathBuf),
    Memory,
    /// A file of our own in that folder, gone again.
    Folder(PathBuf),
}

/// What was tried, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("start the guardian, without which no worker is started: {}", list(attempts))]
pub(super) struct NotStarted {
    attempts: Vec<(Source, io::Error)>,
}

/// Starts the program with the socket as its descriptor 0. It is a keeper that waits for its first order.
pub(super) fn start(socket: OwnedFd) -> Result<Keeper, NotStarted> {
    start_from(&sources(env::var_os(VARIABLE), env::var_os("XDG_RUNTIME_DIR")), &socket)
}

fn sources(variable: Option<OsString>, runtime_dir: Option<OsString>) -> Vec<Source> {
    if let Some(path) = variable.filter(|path| !path.is_empty()) {
        return vec![Source::Variable(path.into())];
    }
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|path| path.is_absolute());
    let public = format!("/tmp/hatchery-{}", geteuid().as_raw()).into();
    // Either folder may lie where nothing may be executed.
    [Source::Memory].into_iter().chain(runtime_dir.into_iter().chain([public]).map(Source::Folder)).collect()
}

fn start_from(sources: &[Source], socket: &OwnedFd) -> Result<Keeper, NotStarted> {
    let mut attempts = Vec::new();
    for source in sources {
        match source.start(socket) {
            Ok(pid) => {
                return hold(pid, source).map_err(|error| NotStarted { attempts: vec![(source.clone(), error)] });
            }
            Err(error) => attempts.push((source.clone(), error)),
        }
    }
    Err(NotStarted { attempts })
}

impl Source {
    fn start(&self, socket: &OwnedFd) -> io::Result<i32> {
        match self {
            Source::Variable(path) => {
                check_copy(path)?;
                spawn(&CString::new(path.as_os_str().as_bytes())?, socket, None)
            }
            Source::Memory => spawn(c"/proc/self/fd/3", socket, Some(&memory_file()?)),
            Source::Folder(folder) => {
                let file = TemporaryFile::write(folder)?;
                spawn(&CString::new(file.0.as_os_str().as_bytes())?, socket, None)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Variable(path) => write!(out, "from {}, which ${VARIABLE} names", path.display()),
            Source::Memory => out.write_str("from memory"),
            Source::Folder(folder) => write!(out, "from a file in {}", folder.display()),
        }
    }
}

fn list(attempts: &[(Source, io::Error)]) -> String {
    let mut text = String::new();
    for (source, error) in attempts {
        let _infallible = write!(text, "{source}: {error}; ");
    }
    match attempts.last() {
        Some((Source::Variable(_), _)) => {
            text + &format!("{VARIABLE} must name a copy of the program (`{WRITE}` writes one), or be unset")
        }
        _ => text + &format!("write a copy where it may be run (`{WRITE}`), and set {VARIABLE} to it"),
    }
}

/// Writes a copy of the program for `$HATCHERY_GUARDIAN`, which everybody may run. A copy that is there already is fine;
/// another file is left as it is.
pub(crate) fn write_program(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path) {
        Ok(file) => write_copy(file, path).inspect_err(|_| drop(fs::remove_file(path))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_file() => {
            let is_copy = fs::read(path)? == PROGRAM;
            let other = "there is another file; remove it if it is the copy of another version";
            if is_copy { can_be_run(path) } else { Err(io::Error::other(other)) }
        }
        Err(error) => Err(error),
    }
}

fn write_copy(mut file: fs::File, path: &Path) -> io::Result<()> {
    io::Write::write_all(&mut file, PROGRAM)?;
    file.sync_all()?;
    can_be_run(path)
}

fn can_be_run(path: &Path) -> io::Result<()> {
    let refused =
        |error: Errno| io::Error::other(format!("it may not be run there ({error}; is the disk mounted noexec?)"));
    access(path, Access::EXEC_OK).map_err(refused)
}

/// The two sides of one build understand each other, and no others.
fn check_copy(path: &Path) -> io::Result<()> {
    if fs::read(path)? == PROGRAM {
        return Ok(());
    }
    Err(io::Error::other("it is not the program that this build of hatchery carries"))
}

/// As descriptor 3 the program can be executed from memory by a name that only the child itself needs to be allowed to
/// look up.
fn spawn(path: &CStr, socket: &OwnedFd, program: Option<&OwnedFd>) -> io::Result<i32> {
    let dev_null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let fds = [Some(socket), Some(&dev_null), Some(&dev_null), program];
    let fds = fds.into_iter().flatten().map(above_targets).collect::<io::Result<Vec<_>>>()?;
    let args = [c"hatchery-keeper".to_owned()];
    unless_busy(|| raw::posix_spawn(&Plan { program: path, args: &args, env: &[], cwd: None, fds: &fds }))
}

fn above_targets(fd: &OwnedFd) -> io::Result<OwnedFd> {
    const ABOVE: i32 = 64;
    fcntl_dupfd_cloexec(fd.as_fd(), ABOVE).map_err(|error| match error {
        // A number so high is not allowed to this process.
        Errno::INVAL => Errno::MFILE.into(),
        error => error.into(),
    })
}

/// A file is busy while somebody could write to it: here a child that another thread has forked, until its `exec`.
fn unless_busy(mut start: impl FnMut() -> io::Result<i32>) -> io::Result<i32> {
    const TRIES: u32 = 50;
    for _ in 1..TRIES {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => thread::sleep(Duration::from_millis(2)),
            result => return result,
        }
    }
    start()
}

/// The program in memory, never to be changed, and opened again: what is open for writing cannot be executed.
fn memory_file() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A kernel before 6.3 does not know the first, one that is told to forbid execution insists on it.
    let writable = match memfd_create("hatchery-guardian", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("hatchery-guardian", flags)?,
        made => made?,
    };
    let mut writer = fs::File::from(writable);
    io::Write::write_all(&mut writer, PROGRAM)?;
    fcntl_add_seals(&writer, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Removed when dropped: a program that runs needs no name.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn write(folder: &Path) -> io::Result<TemporaryFile> {
        let handle = private_folder(folder)?;
        let name = format!("hatchery-guardian-{:016x}", crate::id::random_u64());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(handle, &name, flags, Mode::RWXU)?;
        let temporary = TemporaryFile(folder.join(name));
        io::Write::write_all(&mut fs::File::from(file), PROGRAM)?;
        Ok(temporary)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.0);
    }
}

/// Made if it is not there. Whoever else could write to it could make us run something else.
fn private_folder(path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(CWD, path, Mode::RWXU) {
        Err(error) if error != Errno::EXIST => return Err(error.into()),
        _ => {}
    }
    let folder = open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let found = rustix::fs::fstat(&folder)?;
    if found.st_uid != geteuid().as_raw() || found.st_mode & 0o077 != 0 {
        let (user, mode) = (found.st_uid, found.st_mode & 0o7777);
        let text = format!("it must be this user's alone, but belongs to user {user} with mode {mode:o}; remove it");
        return Err(io::Error::other(text));
    }
    Ok(folder)
}

/// Opened by number, the pidfd may be a stranger's: a host that waits for every child, or ignores SIGCHLD, may have reaped a
/// keeper that ended at once. What can be waited for was never reaped.
fn hold(pid: i32, source: &Source) -> io::Result<Keeper> {
    let pid = Pid::new(pid).ok_or_else(|| io::Error::other("it has no process id"))?;
    match pidfd_open(pid.raw(), PidfdFlags::empty()) {
        Ok(pidfd) if is_child(WaitId::PidFd(pidfd.as_fd())) => Ok(Keeper { pid, pidfd, source: source.clone() }),
        Ok(_stranger) => Err(io::Error::other("it ended at once, and this program waited for it elsewhere")),
        Err(error) => {
            abandon(pid);
            Err(error.into())
        }
    }
}

/// Ends a keeper that we cannot hold, most likely for want of a descriptor. It has done nothing yet.
#[expect(clippy::disallowed_methods, reason = "this is the room that may, and the process was just proven ours")]
fn abandon(pid: Pid) {
    if is_child(WaitId::Pid(pid.raw())) {
        let _gone_already = rustix::process::kill_process(pid.raw(), Signal::KILL);
        let _reaped_elsewhere = waitid(WaitId::Pid(pid.raw()), WaitIdOptions::EXITED);
    }
}

/// Whether it is a child of ours that nobody has reaped. Does not reap it.
fn is_child(id: WaitId<'_>) -> bool {
    waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::{assert_ends_and_reap, seqpacket};
    use super::*;

    /// It runs, and ends when nobody is at the other end of its socket.
    fn runs(source: Source) -> Result<(), NotStarted> {
        let (ours, theirs) = seqpacket();
        let keeper = start_from(std::slice::from_ref(&source), &theirs)?;
        drop(theirs);
        assert_eq!(keeper.source, source);
        drop(ours);
        assert_ends_and_reap(&keeper);
        Ok(())
    }

    #[test]
    fn each_source_gives_a_program_that_runs() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        fs::write(&copy, PROGRAM).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o500)).unwrap();
        let private = folder.path().join("private");
        for source in [Source::Memory, Source::Variable(copy), Source::Folder(private.clone())] {
            runs(source).unwrap();
        }
        assert_eq!(fs::read_dir(private).unwrap().count(), 0, "a program that runs needs no file");
    }

    #[test]
    fn what_cannot_be_trusted_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "#!/bin/sh\n").unwrap();
        let public = folder.path().join("public");
        fs::create_dir(&public).unwrap();
        fs::set_permissions(&public, fs::Permissions::from_mode(0o777)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let missing = folder.path().join("missing");
        let cases = [
            (Source::Variable(other), "it is not the program that this build of hatchery carries"),
            (Source::Variable(missing), "No such file"),
            (Source::Folder(public), "with mode 777"),
            (Source::Folder(link), "Not a directory"),
        ];
        for (source, expected) in cases {
            let text = runs(source.clone()).unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains(&source.to_string()), "{text}");
        }
    }

    #[test]
    fn a_number_that_is_somebody_else_s_by_now_is_neither_held_nor_signalled() {
        let guardian = super::super::Guardian::start(super::super::Plan::unrecorded()).unwrap();
        let pair = guardian.admit().unwrap();
        // A child of the keeper's, as any process is not ours.
        let refused = hold(pair.guardian().pid().get(), &Source::Memory).unwrap_err().to_string();
        assert!(refused.contains("waited for it elsewhere"), "{refused}");
        assert_eq!(pair.guardian().standing(), crate::process::Standing::Alive);
    }

    #[test]
    fn the_next_source_is_tried_and_all_that_failed_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Source::Folder(folder.path().join("no/such/place"));
        let (ours, theirs) = seqpacket();
        let keeper = start_from(&[missing.clone(), Source::Memory], &theirs).unwrap();
        assert_eq!(keeper.source, Source::Memory);
        drop((ours, theirs));
        assert_ends_and_reap(&keeper);
        let (_ours, theirs) = seqpacket();
        let text = start_from(&[missing.clone(), missing], &theirs).unwrap_err().to_string();
        assert_eq!(text.matches("No such file").count(), 2, "{text}");
    }

    #[test]
    fn a_copy_is_written_once_and_runs() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("guardian");
        write_program(&copy).unwrap();
        runs(Source::Variable(copy.clone())).unwrap();
        write_program(&copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(write_program(&copy).unwrap_err().to_string().contains("may not be run"));
        fs::write(&copy, "a letter").unwrap();
        assert!(write_program(&copy).unwrap_err().to_string().contains("another file"));
        assert_eq!(fs::read(&copy).unwrap(), b"a letter");
        assert!(write_program(folder.path()).is_err() && write_program(&folder.path().join("no/such")).is_err());
    }

    #[test]
    fn the_variable_leaves_no_choice() {
        let choose =
            |variable: Option<&str>, folder: Option<&str>| sources(variable.map(Into::into), folder.map(Into::into));
        assert_eq!(choose(Some("/opt/guardian"), Some("/run/user/1")), [Source::Variable("/opt/guardian".into())]);
        let public = Source::Folder(format!("/tmp/hatchery-{}", geteuid().as_raw()).into());
        let runtime = Source::Folder("/run/user/1".into());
        assert_eq!(choose(Some(""), Some("/run/user/1")), [Source::Memory, runtime, public.clone()]);
        assert_eq!(choose(None, Some("relative")), [Source::Memory, public]);
    }
}
