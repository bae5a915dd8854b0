//! The table: what is done, what must hold, with which shapes and how many workers. Numbers are those of the list that it grew from.

use crate::case::Scenario;

mod escapes;
mod forks;
mod guardians;
mod innocents;
mod lives;
mod moments;
mod records;
mod supervisors;
mod surroundings;

type Sizes = &'static [(&'static str, usize)];

/// Every shape but those that are big.
const SHAPES: Sizes = &[
    ("plain", 2),
    ("deaf", 2),
    ("daemon", 4),
    ("hidden_daemon", 2),
    ("stopped", 2),
    ("comets", 1),
    ("subreaper", 2),
    ("vfork", 2),
    ("ptraced", 2),
    ("clone_parent", 2),
    ("terminal", 2),
    ("setgid", 2),
    ("zygote", 2),
    ("forked", 4),
    ("nested", 2),
];
const BIG: Sizes = &[("chain", 1), ("tree", 1), ("plain", 200), ("deaf", 200), ("daemon", 200), ("hidden_daemon", 200)];
/// The shapes that resist a stop the most, and all the others.
const STUBBORN: Sizes = &[("deaf", 2), ("daemon", 4), ("stopped", 2), ("comets", 1), ("nested", 2), ("forked", 4)];
const OTHERS: Sizes = &[
    ("plain", 2),
    ("hidden_daemon", 2),
    ("subreaper", 2),
    ("vfork", 2),
    ("ptraced", 2),
    ("clone_parent", 2),
    ("terminal", 2),
    ("setgid", 2),
    ("zygote", 2),
    ("chain", 1),
    ("tree", 1),
    ("plain", 200),
    ("daemon", 200),
];
const DAEMONS: Sizes = &[("daemon", 2)];
const DAEMONS_AND_FORKED: Sizes = &[("daemon", 2), ("forked", 4)];
const MORE_DAEMONS: Sizes = &[("hidden_daemon", 16), ("comets", 1), ("subreaper", 4), ("tree", 1), ("nested", 2)];

pub(crate) static ALL: &[Scenario] = &[
    // 1: kill -9 of the supervisor. Nobody is left.
    Scenario { name: "supervisor_killed", run: supervisors::killed, short: SHAPES, full: BIG },
    // 2: the same with calls in flight; 16 of them.
    Scenario {
        name: "killed_in_flight",
        run: supervisors::killed_in_flight,
        short: &[("gil", 2), ("daemon", 2)],
        full: &[("gil", 16), ("daemon", 16)],
    },
    // 3: at any moment of the start of its workers.
    Scenario {
        name: "killed_in_a_storm",
        run: supervisors::killed_in_a_storm,
        short: &[("daemon", 2), ("forked", 4)],
        full: &[("hidden_daemon", 4)],
    },
    // 4: between a worker's birth and its program. Nobody is left, and the program never runs.
    Scenario { name: "killed_at_a_birth", run: moments::at_birth, short: &[("mute", 1)], full: &[] },
    // 5: when the worker's folder is there, and the worker is not.
    Scenario { name: "killed_before_a_birth", run: moments::before_birth, short: &[("mute", 1)], full: &[] },
    // 6: when its record is there, and its keeper is not, or knows nothing yet.
    Scenario { name: "killed_before_the_keeper", run: moments::before_the_keeper, short: &[("plain", 1)], full: &[] },
    // 8: while it ends what another has left.
    Scenario {
        name: "killed_while_sweeping",
        run: moments::while_sweeping,
        short: DAEMONS,
        full: &[("hidden_daemon", 4)],
    },
    // 20: it is stopped, and started again, while workers come and go.
    Scenario { name: "supervisor_stopped", run: surroundings::supervisor_stopped, short: &[("daemon", 4)], full: &[] },
    // 34: a hatchery in a worker of a hatchery, and both die.
    Scenario { name: "both_levels_killed", run: surroundings::both_levels, short: &[("nested", 2)], full: &[] },
    // 35: the next one starts while the guardians of the last one still clear away.
    Scenario {
        name: "started_meanwhile",
        run: surroundings::started_meanwhile,
        short: &[("daemon", 8)],
        full: &[("tree", 1), ("daemon", 200), ("comets", 1)],
    },
    // 41: while its workers fork as fast as they can.
    Scenario { name: "killed_with_a_bomb", run: surroundings::bombed, short: &[("bomb", 1)], full: &[] },
    // 47: it has no more memory.
    Scenario { name: "out_of_memory", run: surroundings::out_of_memory, short: DAEMONS, full: &[] },
    // 7: while it waits for workers that it has asked to stop.
    Scenario {
        name: "killed_while_stopping",
        run: supervisors::killed_while_stopping,
        short: &[("deaf", 2)],
        full: MORE_DAEMONS,
    },
    // 21: it becomes another program. That one lives, its workers do not.
    Scenario { name: "supervisor_execs", run: supervisors::execs, short: DAEMONS, full: MORE_DAEMONS },
    // 46: SIGINT, SIGHUP and SIGTSTP to its group reach no worker; SIGKILL to its group is the end of all.
    Scenario { name: "group_signalled", run: supervisors::group_signalled, short: DAEMONS, full: &[("plain", 4)] },
    // A supervisor whose process group is one of another namespace works like any other.
    Scenario { name: "foreign_group", run: supervisors::killed, short: &[("plain", 1)], full: &[] },
    // 9, 10: one of the two is killed. All that it watched over is gone, the supervisor lives and has workers again.
    Scenario {
        name: "guardian_killed",
        run: guardians::guardian_killed,
        short: DAEMONS_AND_FORKED,
        full: MORE_DAEMONS,
    },
    Scenario { name: "keeper_killed", run: guardians::keeper_killed, short: DAEMONS_AND_FORKED, full: MORE_DAEMONS },
    // 11, 12: and the supervisor with it. Nobody is left.
    Scenario {
        name: "supervisor_and_guardian_killed",
        run: guardians::guardian_too,
        short: DAEMONS_AND_FORKED,
        full: MORE_DAEMONS,
    },
    Scenario {
        name: "supervisor_and_keeper_killed",
        run: guardians::keeper_too,
        short: DAEMONS_AND_FORKED,
        full: MORE_DAEMONS,
    },
    // 13: all three. No worker is left; the next start removes the rest before it is ready.
    Scenario {
        name: "all_three_killed",
        run: guardians::all_three,
        short: &[("daemon", 2), ("forked", 4), ("setgid", 2), ("comets", 1)],
        full: &[("hidden_daemon", 16), ("subreaper", 4), ("nested", 2)],
    },
    // 15: a guardian killed ten times, with a recovery each time, and no descriptor more than at first.
    Scenario {
        name: "guardian_killed_ten_times",
        run: guardians::ten_times,
        short: &[("daemon", 1)],
        full: MORE_DAEMONS,
    },
    // 16, 17, 18: one or both are stopped when the supervisor dies.
    Scenario { name: "guardian_stopped", run: guardians::guardian_stopped, short: DAEMONS, full: MORE_DAEMONS },
    Scenario { name: "keeper_stopped", run: guardians::keeper_stopped, short: DAEMONS, full: MORE_DAEMONS },
    Scenario { name: "both_stopped", run: guardians::both_stopped, short: DAEMONS, full: MORE_DAEMONS },
    // 26: started from threads that end at once. All workers live on.
    Scenario {
        name: "started_from_threads",
        run: lives::threads,
        short: &[("plain", 16)],
        full: &[("plain", 64), ("daemon", 64)],
    },
    // 51: starts and stops leave what was there before: descriptors, zombies, records, cgroups.
    Scenario {
        name: "cycles",
        run: lives::cycles,
        short: &[("plain", 2), ("daemon", 1), ("forked", 2)],
        full: &[("hidden_daemon", 4), ("subreaper", 2)],
    },
    Scenario { name: "ten_thousand_starts", run: lives::ten_thousand_starts, short: &[], full: &[("plain", 8)] },
    // 52: a worker dies, also one that holds the interpreter's lock. All that is its own dies with it; another takes its seat.
    Scenario {
        name: "worker_killed",
        run: lives::worker_killed,
        short: &[("gil", 1), ("daemon", 2), ("forked", 4)],
        full: &[("hidden_daemon", 4), ("subreaper", 2), ("nested", 2)],
    },
    // A stop is over when nobody is left, whatever the shape.
    Scenario { name: "stopped_by_request", run: lives::stopped, short: STUBBORN, full: OTHERS },
    Scenario { name: "dropped", run: lives::dropped, short: &[("daemon", 2), ("deaf", 2)], full: SHAPES },
    // 36, 37: all that was there was killed before by its cgroup, or a worker is.
    Scenario { name: "in_a_killed_cgroup", run: surroundings::in_a_killed_cgroup, short: DAEMONS, full: &[] },
    Scenario { name: "leaf_killed", run: surroundings::leaf_killed, short: &[("daemon", 1)], full: &[] },
    // 38: the file system of control groups becomes read-only, or is gone.
    Scenario { name: "cgroups_read_only", run: surroundings::cgroups_read_only, short: DAEMONS, full: &[] },
    Scenario { name: "cgroups_gone", run: surroundings::cgroups_gone, short: DAEMONS, full: &[] },
    // 42: the kernel gives the guardian nothing.
    Scenario { name: "guardian_starved", run: surroundings::guardian_starved, short: &[("daemon", 1)], full: &[] },
    // 49: the template of the workers is killed. They all go on, and those that follow come from another.
    Scenario { name: "template_killed", run: forks::template_killed, short: &[("forked", 8)], full: &[("forked", 50)] },
    // In the midst of a fork: the supervisor dies, alone or with guardian and keeper, or the template does.
    Scenario { name: "killed_at_a_fork", run: forks::killed_at_a_fork, short: &[("forked", 1)], full: &[] },
    // 53: what may outlive its worker.
    Scenario { name: "adopted", run: escapes::adopted, short: DAEMONS, full: &[] },
    Scenario { name: "reported", run: escapes::reported, short: DAEMONS, full: &[] },
    // 40: what no signal ends.
    Scenario { name: "frozen", run: escapes::frozen, short: &[], full: &[("plain", 1), ("daemon", 1)] },
    // 54: what has become root. Both take the ten seconds after which a worker counts as unkillable.
    Scenario { name: "became_root", run: escapes::privileged, short: &[], full: &[("privileged", 1)] },
    // 29: with few numbers to go round.
    Scenario { name: "numbers_go_round", run: surroundings::churned, short: &[("daemon", 4)], full: &[] },
    // 30, 32: records of another boot, and lies.
    Scenario { name: "record_of_another_boot", run: records::of_another_boot, short: DAEMONS, full: &[] },
    Scenario { name: "hostile_records", run: records::hostile, short: DAEMONS, full: &[] },
    // 50: clocks that are hours apart.
    Scenario { name: "clocks_apart", run: surroundings::clocks_apart, short: DAEMONS, full: &[] },
    // 27: a worker's pid goes to an innocent, who outlives everything that the supervisor does then.
    Scenario { name: "pid_reused", run: innocents::pid_reused, short: &[("plain", 1)], full: &[("daemon", 2)] },
    // Two supervisors of one program, folder and data directory: one is killed, the other does not notice.
    Scenario {
        name: "neighbours",
        run: innocents::neighbours,
        short: DAEMONS,
        full: &[("hidden_daemon", 4), ("plain", 16)],
    },
];
