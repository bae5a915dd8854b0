//! What a worker of Snakepit's is started with: its script, its adapter and its arguments.

use super::conversion::{Draft, Key};
use super::page::Section;
use super::term::{Place, Term};

/// Where mix puts Snakepit's scripts.
const SCRIPTS: &str = "deps/snakepit/priv/python";
const SHOWCASE: &str = "snakepit_bridge.adapters.showcase.ShowcaseAdapter";
const THREADED_SHOWCASE: &str = "snakepit_bridge.adapters.threaded_showcase.ThreadedShowcaseAdapter";

/// The one adapter of Snakepit that starts Python workers.
const GRPC_PYTHON: &str = "Snakepit.Adapters.GRPCPython";

/// Flags that the host gives a worker by itself.
const FLAGS_OF_HOST: [&str; 5] =
    ["--port", "--elixir-address", "--snakepit-run-id", "--snakepit-instance-name", "--snakepit-instance-token"];

/// A pool, as far as the start of its workers goes.
pub(super) struct Start<'a> {
    pub(super) section: Section,
    /// Where the pool begins.
    pub(super) at: Place,
    pub(super) path: &'a str,
    pub(super) module: Option<Key<'a>>,
    pub(super) arguments: Option<Key<'a>>,
    /// How many threads, if its profile is thread.
    pub(super) threads: Option<u64>,
    pub(super) checks_threads: Option<Key<'a>>,
}

#[derive(Default)]
struct Arguments {
    adapter: Option<String>,
    rest: Vec<String>,
}

impl Start<'_> {
    pub(super) fn write(&self, draft: &mut Draft<'_>) {
        self.check_module(draft);
        let mut arguments = self.arguments.as_ref().map_or_else(Arguments::default, |key| read(key, draft));
        self.add_threads(&mut arguments, draft);
        let is_threaded = arguments.rest.iter().any(|word| word.starts_with("--max-workers"));
        let (script, showcase) =
            if is_threaded { ("grpc_server_threaded.py", THREADED_SHOWCASE) } else { ("grpc_server.py", SHOWCASE) };
        let (path, at) = self.arguments.as_ref().map_or((self.path, self.at), |key| (key.path.as_str(), key.term.at));
        let said = draft.origin(path, at);
        let default = |what: &str| format!("{what}; {said}");
        let origin = self
            .module
            .as_ref()
            .map_or_else(|| default("Snakepit's default"), |key| draft.origin(&key.path, key.term.at));
        draft.page.set(self.section, "transport", "grpc", origin);
        draft.page.set(
            self.section,
            "script",
            format!("{SCRIPTS}/{script}"),
            default("where mix has Snakepit's scripts"),
        );
        match arguments.adapter {
            Some(adapter) => draft.page.set(self.section, "adapter", adapter, said),
            None => draft.page.set(self.section, "adapter", showcase, default("Snakepit's default")),
        }
        if !arguments.rest.is_empty() {
            draft.page.set(self.section, "adapter_args", arguments.rest, draft.origin(path, at));
        }
    }

    fn check_module(&self, draft: &mut Draft<'_>) {
        let Some(key) = self.module.as_ref().filter(|key| key.term.word() != Some(GRPC_PYTHON)) else { return };
        let why = format!(
            "what {} starts is said in Elixir; what follows is what {GRPC_PYTHON} would start",
            key.term.shown()
        );
        draft.note(
            &key.path,
            key.term.at,
            why,
            "correct `script`, `adapter` and `adapter_args`, or write a `command` that speaks the native wire",
        );
    }

    /// Snakepit gives workers with threads these by itself.
    fn add_threads(&self, arguments: &mut Arguments, draft: &mut Draft<'_>) {
        let Some(threads) = self.threads else { return };
        if !arguments.rest.iter().any(|word| word.starts_with("--max-workers")) {
            arguments.rest.extend(["--max-workers".to_owned(), threads.to_string()]);
        }
        let Some(key) = &self.checks_threads else { return };
        match key.term.flag() {
            Some(true) => arguments.rest.push("--thread-safety-check".to_owned()),
            Some(false) => {}
            None => draft.note(
                &key.path,
                key.term.at,
                "expected true or false",
                "add `--thread-safety-check` to `adapter_args`",
            ),
        }
    }
}

/// Takes the adapter out, and what the host says by itself.
fn read(key: &Key<'_>, draft: &mut Draft<'_>) -> Arguments {
    let mut arguments = Arguments::default();
    let Some(list) = key.term.list() else {
        draft.notes.push(super::note::Note::of_value(&key.path, key.term, "a list of texts", "adapter_args"));
        return arguments;
    };
    let mut words = list.iter().peekable();
    while let Some(term) = words.next() {
        let Some(word) = term.word() else {
            draft.notes.push(super::note::Note::of_value(&key.path, term, "text", "adapter_args"));
            continue;
        };
        let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        let takes_value = value.is_none() && word.starts_with("--") && words.peek().is_some_and(|next| !is_flag(next));
        let is_ours = flag == "--adapter" || FLAGS_OF_HOST.contains(&flag) || flag == "--mode";
        let known_only_later = takes_value && words.peek().is_some_and(|next| next.word().is_none());
        if !is_ours && !known_only_later {
            arguments.rest.push(word.to_owned());
            continue;
        }
        let next = if takes_value { words.next() } else { None };
        match (flag, value.or(next.and_then(Term::word))) {
            ("--adapter", Some(adapter)) => arguments.adapter = Some(adapter.to_owned()),
            ("--mode", _) => draft.note(
                &key.path,
                term.at,
                "Snakepit's scripts have no flag --mode, and end at once with it",
                "it is left out",
            ),
            _ if FLAGS_OF_HOST.contains(&flag) => {
                draft.note(&key.path, term.at, format!("{flag} is what the host says by itself"), "it is left out");
            }
            _ => draft.notes.push(super::note::Note::of_value(&key.path, next.unwrap_or(term), "text", "adapter_args")),
        }
    }
    arguments
}

fn is_flag(term: &Term) -> bool {
    term.word().is_some_and(|word| word.starts_with("--"))
}
