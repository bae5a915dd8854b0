//! Whether a run is over: decided here, from facts, and nowhere else.

use super::super::Instance;
use super::super::record::Header;
use crate::process::{Proof, Standing};

/// What is known of a run besides its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) instance: &'a Instance,
    pub(super) boot: Option<&'a str>,
    pub(super) pid_namespace: Option<u64>,
    pub(super) owner: Standing,
    /// Nobody holds the lock that the owner holds as long as it lives.
    pub(super) lock_is_free: bool,
}

/// What becomes of a run's processes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its owner lives.
    Active(&'static str),
    /// Its owner is proven dead: what carries its mark is an orphan.
    Dead(&'static str),
    /// It ended with an earlier boot of this machine, or another machine's. Nothing is signalled for it; its record can go.
    OtherBoot,
    /// Another instance's.
    Foreign(&'static str),
    /// It cannot be told. Nothing is done.
    Unknown(&'static str),
}

pub(super) fn judge(header: &Header, facts: &Facts<'_>) -> Verdict {
    if header.instance != *facts.instance {
        return Verdict::Foreign("is another instance's");
    }
    match (header.boot.as_deref(), facts.boot) {
        (Some(then), Some(now)) if then != now => return by_lock(facts),
        (Some(_), Some(_)) => {}
        _ => return Verdict::Unknown("may be of another boot: its record or this kernel does not say"),
    }
    if header.pid_namespace.is_none() || header.pid_namespace != facts.pid_namespace {
        return Verdict::Unknown("was in another PID namespace, in which its owner may live");
    }
    by_owner(facts)
}

/// The folder may be shared with other machines, whose boots are not ours. Their locks are seen here too.
fn by_lock(facts: &Facts<'_>) -> Verdict {
    match facts.lock_is_free {
        true => Verdict::OtherBoot,
        false => Verdict::Unknown("is of another boot or machine, and somebody holds its lock"),
    }
}

fn by_owner(facts: &Facts<'_>) -> Verdict {
    match (facts.owner, facts.lock_is_free) {
        (Standing::Alive, false) => Verdict::Active("is alive"),
        // It became another program, or gave the run up. As long as it lives, it may know why.
        (Standing::Alive, true) => Verdict::Unknown("runs, but has let go of the run"),
        // A process that it forked may still hold its lock.
        (Standing::Dead(Proof::Kernel), _) => Verdict::Dead("is dead, by the kernel's own identity of it"),
        (Standing::Dead(Proof::StartTime), true) => Verdict::Dead("is dead: its number is another's, its lock is free"),
        (Standing::Dead(Proof::StartTime), false) => Verdict::Unknown("seems dead, but somebody holds its lock"),
        (Standing::Unsure, false) => Verdict::Active("seems alive and holds its lock"),
        (Standing::Unsure, true) => Verdict::Unknown("may be alive, although its lock is free"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::{header, other_run};
    use super::*;

    fn check(owner: Standing, lock_is_free: bool, change: impl FnOnce(&mut Header)) -> &'static str {
        let mut header = header(other_run());
        let (boot, instance) = (header.boot.clone(), Instance::default());
        let pid_namespace = header.pid_namespace;
        change(&mut header);
        let facts = Facts { instance: &instance, boot: boot.as_deref(), pid_namespace, owner, lock_is_free };
        match judge(&header, &facts) {
            Verdict::Active(_) => "active",
            Verdict::Dead(_) => "dead",
            Verdict::OtherBoot => "other boot",
            Verdict::Foreign(_) => "foreign",
            Verdict::Unknown(_) => "unknown",
        }
    }

    const DEAD: Standing = Standing::Dead(Proof::Kernel);

    #[test]
    fn a_run_is_over_only_if_its_owner_is_proven_dead() {
        for (owner, lock_is_free, expected) in [
            (Standing::Alive, false, "active"),
            (Standing::Alive, true, "unknown"),
            (DEAD, true, "dead"),
            (DEAD, false, "dead"),
            (Standing::Dead(Proof::StartTime), true, "dead"),
            (Standing::Dead(Proof::StartTime), false, "unknown"),
            (Standing::Unsure, false, "active"),
            (Standing::Unsure, true, "unknown"),
        ] {
            assert_eq!(check(owner, lock_is_free, |_| {}), expected, "{owner:?}, free: {lock_is_free}");
        }
    }

    #[test]
    fn nothing_proves_a_death_across_boots_namespaces_and_instances() {
        assert_eq!(check(DEAD, true, |header| header.boot = Some("0".repeat(32))), "other boot");
        assert_eq!(check(DEAD, false, |header| header.boot = Some("0".repeat(32))), "unknown", "another machine's");
        assert_eq!(check(DEAD, true, |header| header.boot = None), "unknown");
        assert_eq!(check(DEAD, true, |header| header.pid_namespace = Some(1)), "unknown");
        assert_eq!(check(DEAD, true, |header| header.pid_namespace = None), "unknown");
        assert_eq!(check(DEAD, true, |header| header.instance.name = "other".to_owned()), "foreign");
        assert_eq!(check(DEAD, true, |header| header.instance.token = Some("run-a".to_owned())), "foreign");
        let other_instance_and_boot = |header: &mut Header| {
            header.instance.name = "other".to_owned();
            header.boot = None;
        };
        assert_eq!(check(DEAD, true, other_instance_and_boot), "foreign");
    }
}
