//! Where programs may not be run from memory, or from everywhere.

use super::Machine;

const NO_MEMORY: &str = "test -e /proc/sys/vm/memfd_noexec || exit 77; echo 2 >/proc/sys/vm/memfd_noexec";
const NO_RUNTIME_DIR: &str = "mount -t tmpfs -o noexec,mode=700 none $DIR/run";
/// Our own folder may lie in it.
const NO_TMP: &str =
    "mkdir -p -m 700 /tmp/hatchery-$(id -u); mount -t tmpfs -o noexec,mode=700 none /tmp/hatchery-$(id -u)";

/// The program that this library carries.
const PROGRAM: &str = concat!(env!("OUT_DIR"), "/hatchery-guardian");

/// It works, and says that the guardian came from there.
#[track_caller]
fn guarded_from(machine: Machine, place: &str) {
    let Some(seen) = machine.seen() else { return };
    assert!(seen.works, "{seen:#?}");
    let guardian = seen.layers.iter().find(|layer| layer.starts_with("keeper and guardian")).unwrap();
    assert!(guardian.contains(place), "{guardian}");
}

#[track_caller]
fn refuses(machine: Machine, words: &[&str]) {
    let Some(seen) = machine.seen() else { return };
    seen.refuses(&[&["start the guardian, without which no worker is started"], words].concat());
    let findings = [("python version", "error", "no process can be started"), ("containment", "error", words[0])];
    seen.doctor_finds(&findings);
}

#[test]
fn not_from_memory() {
    let machine = Machine::that(&format!(r#"{NO_MEMORY}; "$@""#));
    let folder = format!("from a file in {}", machine.dir.path().join("run").display());
    guarded_from(machine, &folder);
}

#[test]
fn neither_from_memory_nor_from_the_runtime_dir() {
    let machine = Machine::that(&format!(r#"{NO_MEMORY}; {NO_RUNTIME_DIR}; "$@""#));
    guarded_from(machine, &format!("from a file in /tmp/hatchery-{}", rustix::process::geteuid().as_raw()));
}

#[test]
fn from_nowhere() {
    let machine = Machine::that(&format!(r#"{NO_MEMORY}; {NO_RUNTIME_DIR}; {NO_TMP}; "$@""#));
    let folder = format!("from a file in {}: Permission denied", machine.dir.path().join("run").display());
    refuses(machine, &["from memory: Permission denied", &folder, "/tmp/hatchery-", "--write-guardian FILE"]);
}

#[test]
fn from_nowhere_but_a_copy_that_was_installed() {
    let machine = Machine::that(&format!(r#"{NO_MEMORY}; {NO_RUNTIME_DIR}; {NO_TMP}; "$@""#));
    let copy = machine.dir.path().join("guardian");
    hatchery::write_guardian(&copy).unwrap();
    let copy = copy.display().to_string();
    guarded_from(machine.with("HATCHERY_GUARDIAN", &copy), &copy);
}

#[test]
fn a_copy_that_is_none_is_not_run() {
    let machine = Machine::that(r#""$@""#).with("HATCHERY_GUARDIAN", "/bin/true");
    refuses(machine, &["from /bin/true, which $HATCHERY_GUARDIAN names: it is not the program", "or be unset"]);
}

#[test]
fn a_copy_that_is_missing_is_not_replaced_by_another() {
    let machine = Machine::that(r#""$@""#).with("HATCHERY_GUARDIAN", "/no/such/guardian");
    refuses(machine, &["from /no/such/guardian, which $HATCHERY_GUARDIAN names: No such file", "or be unset"]);
}

#[test]
fn a_copy_that_may_not_be_run() {
    let machine = Machine::that(&format!(r#"cp {PROGRAM} $DIR/copy; chmod 600 $DIR/copy; "$@""#));
    let copy = machine.dir.path().join("copy").display().to_string();
    refuses(
        machine.with("HATCHERY_GUARDIAN", &copy),
        &[&format!("{copy}, which $HATCHERY_GUARDIAN names: Permission denied")],
    );
}
