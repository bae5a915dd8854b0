//! What changes from one configuration of a pool to the next, key by key, and what it takes: plain data.

use std::fmt::Debug;

use super::Config;

/// What it takes to have a key obeyed in a pool that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A word: it is read whenever it matters.
    Nothing,
    /// Other workers: it is read when one is started.
    Renewal,
    /// Another pool, for this reason.
    Restart(&'static str),
}

/// A key of a pool, as `hatchery.toml` has it.
struct Key {
    name: &'static str,
    takes: Takes,
    /// What it is; the same text is the same setting.
    says: fn(&Config) -> String,
}

/// How many keys a pool is compared by.
pub(crate) const COUNT: usize = KEYS.len();

/// Every key in which they differ, and what that takes.
pub(crate) fn changes(now: &Config, wanted: &Config) -> Vec<(&'static str, Takes)> {
    let differing = KEYS.iter().filter(|key| (key.says)(now) != (key.says)(wanted));
    let takes = |key: &Key| match key.takes {
        // What is shared is as large as what a worker may use; it was laid out when the pool began.
        Takes::Renewal if key.name == "limits.memory" && now.arena() != wanted.arena() => Takes::Restart(ARENA),
        takes => takes,
    };
    differing.map(|key| (key.name, takes(key))).collect()
}

/// What is wanted, as far as a pool that runs can have it.
pub(crate) fn within_reach(now: &Config, wanted: &Config) -> Config {
    let mut config = wanted.clone();
    (config.concurrency, config.capacity) = (now.concurrency, now.capacity);
    (config.containment, config.arena) = (now.containment, now.arena);
    config.transport.clone_from(&now.transport);
    config.worker.template.enabled = now.worker.template.enabled;
    config.worker.confinement.on_escape = now.worker.confinement.on_escape;
    if now.arena() != wanted.arena() {
        config.worker.confinement.resources.memory = now.worker.confinement.resources.memory;
    }
    config
}

const ROOM: &str = "how many calls a worker takes at once is settled when its pool begins";
const ARENA: &str = "shared memory is laid out when the pool begins, and calls that run stand on it";
const TEMPLATE: &str = "whether workers are forked from a template is settled when the pool begins";
pub(crate) const SPOKEN: &str = "how workers are spoken to is settled when their pool begins";
const NAMESPACE: &str = "a PID namespace is made when the run begins";

/// In a word, how workers are spoken to.
pub(crate) fn spoken(config: &Config) -> &str {
    config.transport.as_ref().map_or("native", |transport| transport.name())
}

const KEYS: &[Key] = &[
    live("workers", |it| text(it.workers)),
    live("max_queue", |it| text(it.max_queue)),
    live("affinity", |it| text(it.affinity)),
    live("on_timeout", |it| text(it.on_timeout)),
    live("timeouts.call", |it| text(it.timeouts.call)),
    live("timeouts.stream", |it| text(it.timeouts.stream)),
    live("timeouts.queue", |it| text(it.timeouts.queue)),
    live("timeouts.start", |it| text(it.timeouts.start)),
    live("tool_timeouts", |it| text(&it.tool_timeouts)),
    live("stop", |it| text(it.stop)),
    live("recycle", |it| text(it.recycle)),
    live("health", |it| text(it.health)),
    live("start", |it| text(it.batches)),
    live("restarts", |it| text(it.restarts)),
    live("retry", |it| text(&it.faults.retry)),
    live("breaker", |it| text(&it.faults.breaker)),
    live("health_gate", |it| text(it.faults.gate)),
    live("telemetry", |it| text(&it.telemetry)),
    live("crash_barrier", |it| text(&it.faults.barrier)),
    renewal("cancel_grace", |it| text(it.worker.cancel_grace)),
    renewal("heartbeat", |it| text(it.worker.heartbeat)),
    renewal("preload", |it| text(&it.worker.template.preload)),
    renewal("preload_app", |it| text(it.worker.template.app)),
    renewal("thread_limits", |it| text(&it.worker.thread_limits)),
    renewal("thread_safety_checks", |it| text(it.worker.thread_safety_checks)),
    renewal("limits.memory", |it| text(it.worker.confinement.resources.memory)),
    renewal("limits.cpu", |it| text(it.worker.confinement.resources.cpu)),
    renewal("limits.processes", |it| text(it.worker.confinement.resources.processes)),
    renewal("limits.open_files", |it| text(it.worker.confinement.resources.open_files)),
    renewal("no_new_privileges", |it| text(it.worker.confinement.no_new_privileges)),
    renewal("user", |it| text(it.worker.confinement.user)),
    restart("profile", ROOM, |it| text(it.concurrency)),
    restart("transport", SPOKEN, |it| spoken(it).to_owned()),
    restart("capacity", ROOM, |it| text(it.capacity)),
    restart("template", TEMPLATE, |it| text(it.worker.template.enabled)),
    restart("on_escape", TEMPLATE, |it| text(it.worker.confinement.on_escape)),
    restart("containment", NAMESPACE, |it| text(it.containment)),
    restart("arena", ARENA, |it| text(it.arena)),
];

const fn live(name: &'static str, says: fn(&Config) -> String) -> Key {
    Key { name, takes: Takes::Nothing, says }
}

const fn renewal(name: &'static str, says: fn(&Config) -> String) -> Key {
    Key { name, takes: Takes::Renewal, says }
}

const fn restart(name: &'static str, reason: &'static str, says: fn(&Config) -> String) -> Key {
    Key { name, takes: Takes::Restart(reason), says }
}

fn text(value: impl Debug) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pool::Concurrency;
    use crate::process::OnEscape;

    fn names(now: &Config, wanted: &Config) -> Vec<&'static str> {
        changes(now, wanted).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let now = Config::new();
        assert_eq!(names(&now, &now.clone()), [""; 0]);
        let mut wanted = Config { workers: 4, ..now.clone() };
        wanted.timeouts.queue = Some(Duration::from_secs(1));
        wanted.worker.confinement.resources.cpu = Some(2.0);
        assert_eq!(names(&now, &wanted), ["workers", "timeouts.queue", "limits.cpu"]);
    }

    #[test]
    fn what_is_within_reach_differs_only_in_what_needs_a_restart() {
        let now = Config { arena: None, ..Config::new() };
        let mut wanted =
            Config { workers: 2, concurrency: Concurrency::Thread { threads_per_worker: 4 }, ..now.clone() };
        wanted.worker.confinement.on_escape = OnEscape::Report;
        wanted.worker.confinement.resources.memory = Some(1 << 30);
        let reached = within_reach(&now, &wanted);
        assert_eq!(names(&now, &reached), ["workers", "limits.memory"]);
        let left = changes(&reached, &wanted);
        assert_eq!(left.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["profile", "on_escape"]);
        assert!(left.iter().all(|(_, takes)| matches!(takes, Takes::Restart(_))), "{left:?}");
    }

    #[test]
    fn a_limit_that_shared_memory_must_fit_into_stays() {
        let now = Config::new();
        let mut wanted = now.clone();
        wanted.worker.confinement.resources.memory = Some(64 << 20);
        assert_eq!(changes(&now, &wanted), [("limits.memory", Takes::Restart(ARENA))]);
        assert_eq!(names(&now, &within_reach(&now, &wanted)), [""; 0]);
    }
}
