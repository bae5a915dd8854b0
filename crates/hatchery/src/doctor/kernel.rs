//! What the kernel and the C library can do. What is asked stands apart from how the answer is judged.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, MemfdFlags, access, fstatfs, memfd_create};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, getpid, getuid, pidfd_open, waitid};

use super::Check;

pub(super) fn checks() -> Vec<Check> {
    let asked_of_proc: [(_, fn() -> Check); 3] =
        [(SPAWN, spawn), (CONTROL_GROUPS, control_groups), (USER_NAMESPACES, user_namespaces)];
    let has_proc = Path::new("/proc/self").exists();
    let checks = asked_of_proc.map(|(name, check)| if has_proc { check() } else { without_proc(name) });
    [linux(), pidfd(), pidfs(), memfd()].into_iter().chain(checks).collect()
}

const SPAWN: &str = "posix_spawn";
const CONTROL_GROUPS: &str = "control groups";
const USER_NAMESPACES: &str = "user namespaces";

fn without_proc(name: &'static str) -> Check {
    Check::warning(name, "cannot be told without /proc", "mount /proc in this PID namespace")
}

fn linux() -> Check {
    linux_of(&rustix::system::uname().release().to_string_lossy())
}

fn linux_of(release: &str) -> Check {
    match two_numbers(release) {
        Some(version) if version >= (5, 4) => Check::ok("Linux", release),
        Some(_) => Check::error("Linux", format!("{release} is too old"), "use Linux 5.4 or newer, best 6.9 or newer"),
        None => Check::warning("Linux", format!("what version is {release:?}?"), "use Linux 5.4 or newer"),
    }
}

/// The two numbers that a version begins with.
fn two_numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Handles of processes: to signal exactly the worker that was started, and to hear of its end.
pub(super) fn pidfd() -> Check {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let asked = own_pidfd().and_then(|handle| waitid(WaitId::PidFd(handle.as_fd()), options).map(drop));
    pidfd_of(asked).critical()
}

fn own_pidfd() -> Result<OwnedFd, Errno> {
    pidfd_open(getpid(), PidfdFlags::empty())
}

/// We are not our own child: a kernel that knows the question answers so, an older one does not know the question.
fn pidfd_of(asked: Result<(), Errno>) -> Check {
    const NAME: &str = "process handles";
    match asked {
        Ok(()) | Err(Errno::CHILD) => Check::ok(NAME, "pidfd_open and waitid work"),
        Err(error) => Check::error(
            NAME,
            format!("pidfd_open or waitid: {error}"),
            "use Linux 5.4 or newer; in a container, allow both calls in its seccomp profile",
        ),
    }
}

/// An inode for each process that is never used twice: the best proof that a process is the one that was started.
fn pidfs() -> Check {
    pidfs_of(own_pidfd().and_then(fstatfs).map(|found| found.f_type as u64))
}

fn pidfs_of(filesystem: Result<u64, Errno>) -> Check {
    const NAME: &str = "process identity";
    const PIDFS: u64 = 0x5049_4446;
    match filesystem {
        Ok(PIDFS) => Check::ok(NAME, "pidfs: an inode for each process"),
        _ => Check::warning(NAME, "no pidfs: processes are told apart by start time", "use Linux 6.9 or newer"),
    }
}

/// Starting a worker without copying the host's memory map, and without its open files.
fn spawn() -> Check {
    let library = fs::read_to_string("/proc/self/maps").ok().and_then(|maps| library_in(&maps).map(Path::to_path_buf));
    spawn_of(library.and_then(|path| fs::read(path).ok()).and_then(|content| glibc_version(&content)))
}

fn spawn_of(glibc: Option<(u32, u32)>) -> Check {
    const NAME: &str = SPAWN;
    const HINT: &str = "use glibc 2.34 or newer: Debian 12, Ubuntu 22.04, RHEL 9";
    match glibc {
        Some((major, minor)) if (major, minor) >= (2, 34) => Check::ok(NAME, format!("glibc {major}.{minor}")),
        Some((major, minor)) => Check::error(NAME, format!("glibc {major}.{minor} cannot close files"), HINT),
        None => Check::warning(NAME, "the C library does not say which glibc it is", HINT),
    }
}

/// The C library that this process has loaded.
fn library_in(maps: &str) -> Option<&Path> {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let is_libc = |name: &str| name == "libc.so.6" || (name.starts_with("libc-2.") && name.ends_with(".so"));
    paths.into_iter().find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_libc))
}

/// From the banner that the library prints if it is run: "GNU C Library (...) stable release version 2.36."
fn glibc_version(content: &[u8]) -> Option<(u32, u32)> {
    const BANNER: &[u8] = b"GNU C Library";
    const BEFORE: &str = "release version ";
    let start = content.windows(BANNER.len()).position(|window| window == BANNER)?;
    let banner = String::from_utf8_lossy(&content[start..content.len().min(start + 200)]);
    two_numbers(&banner[banner.find(BEFORE)? + BEFORE.len()..])
}

fn memfd() -> Check {
    memfd_of(memfd_create("hatchery-doctor", MemfdFlags::CLOEXEC).map(drop))
}

fn memfd_of(made: Result<(), Errno>) -> Check {
    match made {
        Ok(()) => Check::ok("shared memory", "memfd_create works"),
        Err(error) => Check::warning(
            "shared memory",
            format!("memfd_create: {error}; big values are copied through pipes"),
            "in a container, allow memfd_create in its seccomp profile",
        ),
    }
}

/// Limits for workers, and ending all that a worker left behind, need a group that we may divide.
fn control_groups() -> Check {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let group = own_group(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let allowed = group.as_ref().map(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK));
    control_groups_of(group.as_deref(), allowed.unwrap_or(Ok(())))
}

fn control_groups_of(group: Option<&Path>, allowed: Result<(), Errno>) -> Check {
    const NAME: &str = CONTROL_GROUPS;
    match (group, allowed) {
        (Some(folder), Ok(())) => Check::ok(NAME, format!("{} can be divided", folder.display())),
        (Some(folder), Err(error)) => Check::warning(
            NAME,
            format!("{}: {error}; workers cannot be limited", folder.display()),
            "start under: systemd-run --user --scope -p Delegate=yes",
        ),
        (None, _) => Check::warning(
            NAME,
            "no cgroup v2; workers cannot be limited",
            "boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 on /sys/fs/cgroup",
        ),
    }
}

/// The folder of the group of version 2 that this process is in, if that hierarchy is mounted.
fn own_group(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let group = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mountinfo.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mut fields = mount.split(' ').skip(3);
    let (root, folder) = (fields.next()?, fields.next()?);
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(folder).join(below))
}

/// Containment in a process namespace of one's own needs one of these.
fn user_namespaces() -> Check {
    let setting = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok();
    user_namespaces_of(&NamespaceSettings {
        most: setting("user/max_user_namespaces"),
        unprivileged: setting("kernel/unprivileged_userns_clone"),
        apparmor_restricts: setting("kernel/apparmor_restrict_unprivileged_userns"),
        is_root: getuid().is_root(),
    })
}

/// `None`: this kernel has no such setting.
struct NamespaceSettings {
    most: Option<u64>,
    unprivileged: Option<u64>,
    apparmor_restricts: Option<u64>,
    is_root: bool,
}

fn user_namespaces_of(settings: &NamespaceSettings) -> Check {
    const NAME: &str = USER_NAMESPACES;
    let refused = |message: &str, hint: &str| Check::warning(NAME, format!("{message}; no pidns containment"), hint);
    match settings {
        NamespaceSettings { most: None, .. } => refused("not in this kernel", "use a kernel with CONFIG_USER_NS"),
        NamespaceSettings { most: Some(0), .. } => refused("none allowed", "sysctl user.max_user_namespaces=10000"),
        NamespaceSettings { is_root: true, .. } => Check::ok(NAME, "allowed"),
        NamespaceSettings { unprivileged: Some(0), .. } => {
            refused("only for root", "sysctl kernel.unprivileged_userns_clone=1")
        }
        NamespaceSettings { apparmor_restricts: Some(1), .. } => {
            refused("restricted by AppArmor", "sysctl kernel.apparmor_restrict_unprivileged_userns=0")
        }
        NamespaceSettings { .. } => Check::ok(NAME, "allowed"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus::{self, Error, Ok as Fine, Warning};
    use super::*;

    #[track_caller]
    fn check(found: &Check, status: CheckStatus, message: &str) {
        assert_eq!((found.status, found.message.as_str()), (status, message));
        assert_eq!(found.hint.is_some(), status != Fine, "{found:?}");
    }

    #[test]
    fn linux_from_five_four() {
        check(&linux_of("6.18.44-fc-v669"), Fine, "6.18.44-fc-v669");
        check(&linux_of("5.4.0"), Fine, "5.4.0");
        check(&linux_of("4.19.0-27-amd64"), Error, "4.19.0-27-amd64 is too old");
        check(&linux_of("tomorrow"), Warning, "what version is \"tomorrow\"?");
    }

    #[test]
    fn process_handles_are_judged_by_the_answer() {
        check(&pidfd_of(Err(Errno::CHILD)), Fine, "pidfd_open and waitid work");
        for error in [Errno::INVAL, Errno::NOSYS, Errno::PERM] {
            check(&pidfd_of(Err(error)), Error, &format!("pidfd_open or waitid: {error}"));
        }
        assert!(pidfd().critical);
        assert_eq!(pidfd().status, Fine, "hatchery's own tests need it");
    }

    #[test]
    fn pidfs_is_told_by_its_number() {
        check(&pidfs_of(Ok(0x5049_4446)), Fine, "pidfs: an inode for each process");
        for other in [Ok(0x0904_1934), Err(Errno::NOSYS)] {
            check(&pidfs_of(other), Warning, "no pidfs: processes are told apart by start time");
        }
    }

    #[test]
    fn the_c_library_is_read_from_what_is_loaded() {
        let maps =
            "7f-7f r--p 0 fe:00 1      /usr/bin/x\n7f-7f r--p 0 fe:00 2     /usr/lib/libc.so.6\n7f-7f rw-p 0 0:0 0\n";
        assert_eq!(library_in(maps), Some(Path::new("/usr/lib/libc.so.6")));
        assert_eq!(library_in("7f-7f r-xp 0 fe:00 2 /lib/libc-2.31.so"), Some(Path::new("/lib/libc-2.31.so")));
        assert_eq!(library_in("7f-7f r-xp 0 fe:00 2 /lib/libcrypt.so.1"), None);
        let banner = b"\x7fELF\xff GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright\xff";
        assert_eq!(glibc_version(banner), Some((2, 36)));
        assert_eq!(glibc_version(b"musl libc"), None);
        check(&spawn_of(Some((2, 34))), Fine, "glibc 2.34");
        check(&spawn_of(Some((2, 31))), Error, "glibc 2.31 cannot close files");
        check(&spawn_of(None), Warning, "the C library does not say which glibc it is");
    }

    #[test]
    fn shared_memory_is_wished_for() {
        check(&memfd_of(Ok(())), Fine, "memfd_create works");
        assert_eq!(memfd_of(Err(Errno::PERM)).status, Warning);
    }

    #[test]
    fn the_own_group_is_found_where_it_is_mounted() {
        let mount = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw";
        let expect = |mountinfo: &str, cgroup: &str, folder: Option<&str>| {
            assert_eq!(own_group(mountinfo, cgroup), folder.map(PathBuf::from), "{mountinfo} {cgroup}");
        };
        expect(mount, "0::/user.slice/a.scope\n", Some("/sys/fs/cgroup/user.slice/a.scope"));
        expect(mount, "9:name=systemd:/x\n0::/\n", Some("/sys/fs/cgroup/"));
        let container = "31 23 0:28 /docker/c1 /sys/fs/cgroup rw - cgroup2 cgroup rw";
        expect(container, "0::/docker/c1/inner\n", Some("/sys/fs/cgroup/inner"));
        expect("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", "0::/\n", None);
        expect(mount, "4:memory:/x\n", None);
        let folder = Path::new("/sys/fs/cgroup/a");
        check(&control_groups_of(Some(folder), Ok(())), Fine, "/sys/fs/cgroup/a can be divided");
        let denied = control_groups_of(Some(folder), Err(Errno::ACCESS));
        assert!(denied.status == Warning && denied.message.starts_with("/sys/fs/cgroup/a: Permission denied"));
        check(&control_groups_of(None, Ok(())), Warning, "no cgroup v2; workers cannot be limited");
    }

    #[test]
    fn user_namespaces_have_four_switches() {
        let judge = |most, unprivileged, apparmor_restricts, is_root| {
            user_namespaces_of(&NamespaceSettings { most, unprivileged, apparmor_restricts, is_root })
        };
        check(&judge(Some(9), None, None, false), Fine, "allowed");
        check(&judge(Some(9), Some(1), Some(0), false), Fine, "allowed");
        check(&judge(Some(9), Some(0), Some(1), true), Fine, "allowed");
        check(&judge(None, None, None, true), Warning, "not in this kernel; no pidns containment");
        check(&judge(Some(0), None, None, true), Warning, "none allowed; no pidns containment");
        check(&judge(Some(9), Some(0), None, false), Warning, "only for root; no pidns containment");
        check(&judge(Some(9), Some(1), Some(1), false), Warning, "restricted by AppArmor; no pidns containment");
    }
}
