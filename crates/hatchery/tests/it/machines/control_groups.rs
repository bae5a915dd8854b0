//! Without a group in cgroup v2 that may be divided.

use super::Machine;

const LAYER: &str = "cgroup leaf";
const MEND: &str = "warning";

#[track_caller]
fn works_and_says(machine: Machine, why: &str, doctor: &str) {
    let Some(seen) = machine.seen() else { return };
    seen.works_without(&[(LAYER, why)]);
    seen.doctor_finds(&[("control groups", MEND, doctor), ("containment", MEND, why)]);
}

#[test]
fn not_mounted() {
    let machine = Machine::that(r#"umount -R /sys/fs/cgroup; "$@""#);
    works_and_says(machine, "cgroup v2 is not mounted", "no cgroup v2; workers cannot be limited");
}

#[test]
fn hidden_behind_something_else() {
    let machine = Machine::that(r#"mount -t tmpfs -o ro none /sys/fs/cgroup; "$@""#);
    let why =
        if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "Read-only" } else { "No such file" };
    works_and_says(machine, why, why);
}

#[test]
fn read_only() {
    let remount =
        r#"for at in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts); do mount -o remount,bind,ro $at; done"#;
    let machine = Machine::that(&format!(r#"{remount}; "$@""#));
    works_and_says(machine, "Read-only file system", "Read-only file system");
}

#[test]
fn somebody_else_s() {
    let machine = Machine::that(r#""$@""#).for_nobody();
    works_and_says(machine, "Permission denied", "Permission denied");
}
