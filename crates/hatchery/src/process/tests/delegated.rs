//! A supervisor in a group beside which it may make others, as systemd arranges it with Delegate=yes and DelegateSubgroup=.

use super::pairs::own_guardian;
use super::*;

/// A group of this test's own, marked as delegated, with this process in a group below it. Both are left and removed when
/// dropped.
struct Delegated {
    path: PathBuf,
    /// Where this process was before.
    origin: PathBuf,
}

impl Delegated {
    fn enter() -> std::io::Result<Delegated> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let mount = Path::new(mount.and_then(|line| line.split(' ').nth(1)).ok_or(std::io::ErrorKind::NotFound)?);
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).ok_or(std::io::ErrorKind::NotFound)?;
        let path = mount.join(format!("hatchery.test-{:016x}", crate::id::random_u64()));
        fs::create_dir_all(path.join("supervisor"))?;
        let delegated = Delegated { path, origin: mount.join(own) };
        rustix::fs::setxattr(&delegated.path, "user.delegate", b"1", rustix::fs::XattrFlags::empty())?;
        fs::write(delegated.path.join("supervisor/cgroup.procs"), "0")?;
        Ok(delegated)
    }

    fn is_empty(&self) -> bool {
        let folders = fs::read_dir(&self.path).unwrap().flatten().filter(|entry| entry.path().is_dir());
        folders.map(|entry| entry.file_name()).eq(["supervisor"])
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let left = fs::write(self.origin.join("cgroup.procs"), "0");
        let remove = || {
            let _gone_already = fs::remove_dir(self.path.join("supervisor"));
            fs::remove_dir(&self.path).is_ok()
        };
        // After a failure there is a guardian that has still to go.
        let patience = if std::thread::panicking() { 1000 } else { 1 };
        let is_removed = (0..patience).any(|_| {
            std::thread::sleep(Duration::from_millis(2));
            remove()
        });
        assert!(std::thread::panicking() || is_removed, "{left:?} {}", self.path.display());
    }
}

fn group_of(child: &Child) -> String {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", child.identity().pid())).unwrap();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

#[tokio::test]
async fn the_run_s_folder_is_beside_the_host_s_group_if_that_is_delegated() {
    run_alone("delegated::alone_in_a_delegated_group").await;
}

#[tokio::test]
#[ignore = "run alone by the_run_s_folder_is_beside_the_host_s_group_if_that_is_delegated"]
async fn alone_in_a_delegated_group() {
    let delegated = match Delegated::enter() {
        Ok(delegated) => delegated,
        Err(error) => return println!("not checked: {error}"),
    };
    let (guardian, pair) = own_guardian();
    let folder = pair.cgroup().unwrap();
    assert_eq!(folder.parent(), Some(&*delegated.path));
    assert!(pair.guarantee().lost().next().is_none(), "{:?}", pair.guarantee());

    let Spawned { child, leaf, .. } = guardian.spawn(1, spec("sleep", ["60".into()])).unwrap();
    let leaf = leaf.unwrap();
    assert_eq!(leaf, folder.join("w0/1"));
    assert!(leaf.ends_with(group_of(&child).trim_start_matches('/')), "{leaf:?} {}", group_of(&child));
    bounded(end(child, &AT_ONCE, || ())).await;

    let confinement = Confinement { on_escape: OnEscape::Adopt, ..Confinement::default() };
    let adopting = Spec { confinement, ..spec("sleep", ["60".into()]) };
    let Spawned { child, leaf, .. } = guardian.spawn(2, adopting).unwrap();
    assert_eq!(leaf, None, "it lives outside of the run's folder");
    assert!(delegated.path.ends_with(group_of(&child).trim_start_matches('/')), "{}", group_of(&child));
    bounded(end(child, &AT_ONCE, || ())).await;

    assert!(guardian.closed(DEADLINE).await);
    assert!(delegated.is_empty());
}
