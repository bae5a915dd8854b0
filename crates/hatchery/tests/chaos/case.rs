//! The table's rows, multiplied out: a scenario, a shape, a number of workers, with cgroups or without.

use crate::Outcome;
use crate::rig::Rig;
use crate::scenarios;

/// Something that is done to a supervisor and its processes, and what must hold then.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The scenario: what it did well, for the reader, or what went wrong.
    pub(crate) run: fn(&mut Rig) -> Outcome<String>,
    /// Shapes and numbers of workers in the short form.
    pub(crate) short: &'static [(&'static str, usize)],
    /// What the full form has besides.
    pub(crate) full: &'static [(&'static str, usize)],
}

/// What the supervisor has to contain its workers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// It finds cgroups that it may use.
    Cgroup,
    Plain,
    /// Its pool has a PID namespace.
    Pidns,
    /// It is nobody, and finds no cgroups that it may use.
    Nobody,
}

impl Tier {
    const ALL: [Tier; 4] = [Tier::Cgroup, Tier::Plain, Tier::Pidns, Tier::Nobody];

    /// What follows in the name of a case.
    fn suffix(self) -> &'static str {
        match self {
            Tier::Cgroup => "",
            Tier::Plain => "/plain",
            Tier::Pidns => "/pidns",
            Tier::Nobody => "/nobody",
        }
    }

    /// Without numbers that other tiers do not have: what is particular to this one, short.
    fn takes(self, scenario: &Scenario) -> bool {
        match self {
            Tier::Cgroup | Tier::Plain => true,
            Tier::Pidns => PIDNS.contains(&scenario.name),
            Tier::Nobody => NOBODY.contains(&scenario.name),
        }
    }
}

const PIDNS: &[&str] = &[
    "supervisor_killed",
    "guardian_killed",
    "keeper_killed",
    "supervisor_and_guardian_killed",
    "supervisor_and_keeper_killed",
    "all_three_killed",
    "guardian_stopped",
    "worker_killed",
    "stopped_by_request",
    "killed_at_a_birth",
    "killed_with_a_bomb",
    "guardian_starved",
    "template_killed",
    "killed_at_a_fork",
];

const NOBODY: &[&str] = &[
    "guardian_killed",
    "keeper_killed",
    "supervisor_execs",
    "all_three_killed",
    "guardian_stopped",
    "worker_killed",
    "dropped",
    "killed_before_the_keeper",
    "killed_while_sweeping",
    "killed_with_a_bomb",
    "guardian_starved",
    "became_root",
    "template_killed",
    "record_of_another_boot",
];

/// One scenario, once.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) scenario: &'static Scenario,
    pub(crate) shape: &'static str,
    pub(crate) workers: usize,
    pub(crate) tier: Tier,
    pub(crate) full: bool,
}

impl Case {
    /// Like `supervisor_killed/daemon/16/plain`; [`Case::named`] reads it back.
    pub(crate) fn name(&self) -> String {
        let tier = self.tier.suffix();
        let full = if self.full { "/full" } else { "" };
        format!("{}/{}/{}{tier}{full}", self.scenario.name, self.shape, self.workers)
    }

    /// Whether the supervisor stays in the process group of the suite, for which its namespace has no number.
    pub(crate) fn in_a_foreign_group(&self) -> bool {
        self.scenario.name == "foreign_group"
    }

    pub(crate) fn named(name: &str) -> Option<Case> {
        let everything = [false, true].map(|full| all(full, &Tier::ALL));
        everything.into_iter().flatten().find(|case| case.name() == name)
    }
}

/// The cases of one form.
pub(crate) fn all(full: bool, tiers: &[Tier]) -> Vec<Case> {
    let mut cases = Vec::new();
    for scenario in scenarios::ALL {
        for &tier in tiers.iter().filter(|tier| tier.takes(scenario)) {
            let more = if full { scenario.full } else { &[] };
            let sizes = scenario.short.iter().chain(more);
            cases.extend(sizes.map(|&(shape, workers)| Case { scenario, shape, workers, tier, full }));
        }
    }
    cases
}
