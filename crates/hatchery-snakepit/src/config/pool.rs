//! One pool.

use toml::Value;

use super::adapter::Start;
use super::conversion::{Draft, Key, Keys};
use super::left_out;
use super::note::Note;
use super::page::{Section, key_part};
use super::reads::Reads;
use super::rules::{CRASH_BARRIER, HEARTBEAT, POOL};
use super::term::{Place, Term};

/// As many as Snakepit would start at most, and as many as a pool may have here.
const USUAL_MOST: u64 = 150;
const MOST: u64 = 1024;
const THREADS: u64 = 10;

const PROFILES: Reads = Reads::Word(&[("process", "process"), ("thread", "thread")]);

/// Keys that are read one by one.
const READ_HERE: [&str; 11] = [
    "name",
    "pool_size",
    "max_workers",
    "worker_profile",
    "threads_per_worker",
    "thread_safety_checks",
    "adapter_module",
    "adapter_args",
    "adapter_env",
    "heartbeat",
    "crash_barrier",
];

/// A pool, and what it takes from the application if it says nothing.
pub(super) struct Pool<'a> {
    pub(super) path: String,
    pub(super) at: Place,
    pub(super) keys: Keys<'a>,
    /// Of the application.
    pub(super) top: &'a Keys<'a>,
    /// `pool_config`, which says more than how the one old pool is.
    pub(super) old: &'a Keys<'a>,
}

impl<'a> Pool<'a> {
    pub(super) fn write(&self, name: String, draft: &mut Draft<'_>) {
        let section = Section::Pool(draft.pools);
        draft.pools += 1;
        let origin = match self.keys.get("name") {
            Some(key) => draft.origin(&key.path, key.term.at),
            None => format!("Snakepit's default; {}", draft.origin(&self.path, self.at)),
        };
        draft.page.set(section, "name", name, origin);
        let threads = self.threads(draft);
        self.start(section, threads).write(draft);
        self.write_workers(section, draft);
        self.write_profile(section, threads, draft);
        draft.apply(POOL, &self.keys, section);
        if let Some(heartbeat) = self.keys.below("heartbeat", draft) {
            write_heartbeat(&heartbeat, section, draft);
        }
        if let Some(barrier) = self.keys.below("crash_barrier", draft) {
            write_crash_barrier(&barrier, section, draft);
        }
        if let Some(env) = self.keys.get("adapter_env") {
            write_env(env, section, draft);
        }
        let known = |name: &str| READ_HERE.contains(&name) || POOL.iter().any(|rule| rule.from == name);
        draft.leave_out(&self.keys, &known, left_out::POOL);
    }

    fn start(&self, section: Section, threads: Option<u64>) -> Start<'_> {
        let own = |name: &str| self.keys.get(name).cloned();
        Start {
            section,
            at: self.at,
            path: &self.path,
            module: own("adapter_module")
                .or_else(|| self.old.get("adapter_module").cloned())
                .or_else(|| self.top.get("adapter_module").cloned()),
            arguments: own("adapter_args").or_else(|| self.old.get("adapter_args").cloned()),
            threads,
            checks_threads: own("thread_safety_checks"),
        }
    }

    /// What is said of a key, by the pool or by the application.
    fn said(&self, own: &str, of_all: &str) -> Option<&Key<'a>> {
        self.keys.get(own).or_else(|| self.top.get(of_all))
    }

    fn write_workers(&self, section: Section, draft: &mut Draft<'_>) {
        let Some(size) = self.said("pool_size", "default_pool_size") else {
            let why = "not said; in Snakepit it is twice the number of schedulers, here it is 1";
            draft.note(&format!("{}.pool_size", self.path), self.at, why, "write `workers` yourself");
            return;
        };
        let Some(asked) = size.term.whole().filter(|number| *number > 0) else {
            draft.notes.push(Note::of_value(&size.path, size.term, "a whole number above 0", "workers"));
            return;
        };
        let most = self.said("max_workers", "pool_max_workers").and_then(|key| key.term.whole()).unwrap_or(USUAL_MOST);
        let workers = asked.min(most).clamp(1, MOST);
        if workers < asked {
            let why = format!("{asked} are more than {}", if most <= MOST { "max_workers" } else { "a pool may have" });
            draft.note(&size.path, size.term.at, why, format!("it is {workers}"));
        }
        let workers = i64::try_from(workers).unwrap_or(i64::MAX);
        draft.page.set(section, "workers", workers, draft.origin(&size.path, size.term.at));
    }

    /// How many threads a worker has, if it has several.
    fn threads(&self, draft: &mut Draft<'_>) -> Option<u64> {
        let profile = self.said("worker_profile", "default_worker_profile")?;
        let Some(word) = PROFILES.read(profile.term) else {
            draft.notes.push(Note::of_value(&profile.path, profile.term, &PROFILES.expected(), "profile"));
            return None;
        };
        let threads =
            self.said("threads_per_worker", "config_default_threads_per_worker").map(|key| (key, key.term.whole()));
        match threads {
            _ if word.as_str() != Some("thread") => None,
            None => Some(THREADS),
            Some((_, Some(number @ 1..=MOST))) => Some(number),
            Some((key, _)) => {
                let expected = format!("a whole number from 1 to {MOST}");
                draft.notes.push(Note::of_value(&key.path, key.term, &expected, "threads_per_worker"));
                Some(THREADS)
            }
        }
    }

    fn write_profile(&self, section: Section, threads: Option<u64>, draft: &mut Draft<'_>) {
        let profile =
            self.said("worker_profile", "default_worker_profile").filter(|key| PROFILES.read(key.term).is_some());
        if let Some(key) = profile {
            let word = if threads.is_some() { "thread" } else { "process" };
            draft.page.set(section, "profile", word, draft.origin(&key.path, key.term.at));
        }
        match (threads, self.said("threads_per_worker", "config_default_threads_per_worker")) {
            (Some(threads), Some(key)) => {
                let threads = i64::try_from(threads).unwrap_or(i64::MAX);
                draft.page.set(section, "threads_per_worker", threads, draft.origin(&key.path, key.term.at));
            }
            (None, _) => self.note_idle_threads(draft),
            _ => {}
        }
    }

    fn note_idle_threads(&self, draft: &mut Draft<'_>) {
        for name in ["threads_per_worker", "thread_safety_checks"] {
            if let Some(key) = self.keys.get(name) {
                draft.note(&key.path, key.term.at, "it is only for worker_profile: :thread", "it is left out");
            }
        }
    }
}

pub(super) fn write_heartbeat(keys: &Keys<'_>, section: Section, draft: &mut Draft<'_>) {
    draft.apply(HEARTBEAT, keys, section);
    let known = |name: &str| HEARTBEAT.iter().any(|rule| rule.from == name);
    draft.leave_out(keys, &known, left_out::HEARTBEAT);
}

/// Here it is on as soon as anything is said of it, there only if it is said to be.
pub(super) fn write_crash_barrier(keys: &Keys<'_>, section: Section, draft: &mut Draft<'_>) {
    let inherited =
        section != Section::PoolDefaults && draft.page.get(Section::PoolDefaults, "crash_barrier.enabled").is_some();
    match keys.get("enabled") {
        Some(key) if key.term.flag().is_some() => {
            let on = Value::Boolean(key.term.flag() == Some(true));
            draft.page.set(section, "crash_barrier.enabled", on, draft.origin(&key.path, key.term.at));
        }
        Some(key) => {
            draft.page.set(section, "crash_barrier.enabled", false, draft.origin(&key.path, key.term.at));
            draft.notes.push(Note::of_value(&key.path, key.term, "true or false", "crash_barrier.enabled"));
        }
        None if inherited => {}
        None => draft.page.set(section, "crash_barrier.enabled", false, "Snakepit's default".to_owned()),
    }
    draft.apply(CRASH_BARRIER, keys, section);
    let known = |name: &str| name == "enabled" || CRASH_BARRIER.iter().any(|rule| rule.from == name);
    draft.leave_out(keys, &known, left_out::CRASH_BARRIER);
}

/// Pairs of names and values; a name by itself is set to nothing.
pub(super) fn write_env(key: &Key<'_>, section: Section, draft: &mut Draft<'_>) {
    let expected = "pairs of names and texts";
    let pairs: Vec<(&Term, Option<&Term>)> = match (key.term.pairs(), key.term.list()) {
        (Some(pairs), _) => pairs.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        (None, Some(list)) => list.iter().map(|element| (element, None)).collect(),
        (None, None) => return draft.notes.push(Note::of_value(&key.path, key.term, expected, "env")),
    };
    for (name, value) in pairs {
        write_variable(key, name, value, section, draft);
    }
}

fn write_variable(key: &Key<'_>, name: &Term, value: Option<&Term>, section: Section, draft: &mut Draft<'_>) {
    let alone = name.pairs().is_none().then_some(name);
    let (name, value) = match (&name.value, value) {
        // A list of both pairs and names by themselves.
        (super::term::Value::Tuple(two), None) if two.len() == 2 => (&two[0], Some(&two[1])),
        _ => (alone.unwrap_or(name), value),
    };
    let is_name = |text: &&str| !text.is_empty() && !text.contains(['=', '\0']);
    let Some(variable) = name.word().filter(is_name) else {
        return draft.notes.push(Note::of_value(&key.path, name, "the name of a variable", "env"));
    };
    let path = format!("{}.{variable}", key.path);
    let text = match value.map(|term| (term, variable_value(term))) {
        None => String::new(),
        Some((_, Some(text))) => text,
        Some((term, None)) => {
            return draft.notes.push(Note::of_value(&path, term, "text", &format!("env.{}", key_part(variable))));
        }
    };
    draft.page.set(section, &format!("env.{}", key_part(variable)), text, draft.origin(&path, name.at));
}

fn variable_value(term: &Term) -> Option<String> {
    match &term.value {
        super::term::Value::Text(text) | super::term::Value::Atom(text) if !text.contains('\0') => Some(text.clone()),
        super::term::Value::Integer(number) => Some(number.to_string()),
        super::term::Value::Flag(flag) => Some(flag.to_string()),
        super::term::Value::Nil => Some(String::new()),
        _ => None,
    }
}

/// A name as it may be here, if anything of it may.
pub(super) fn name(said: &str) -> Option<String> {
    let plain: String =
        said.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).take(64).collect();
    plain.starts_with(|c: char| c.is_ascii_alphanumeric()).then_some(plain)
}
