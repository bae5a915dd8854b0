//! A configuration in full: every key with what holds, and who says so.

use std::path::Path;

use super::combination;
use super::document::{self, Document, Element, Source};
use super::keys::{Fallback, HOST_TOOL, Key, POOL, THREADS, TOP, limit};
use super::kind::Kind;
use super::layer::{Layer, Setting};
use super::origin::{ConfigProblem, Origin};
use super::pool::PoolConfig;
use super::value::Value;
use super::variables::Variables;
use super::words::{Profile, Spoken, Word};
use super::{Config, InstanceConfig, ServerConfig, data_dir_in, telemetry, top};
use crate::app::program::{Environment, Host, is_path};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{TimeoutProfile, Timeouts};

/// A configuration in full: every key with the value that holds and where it comes from, and everything that is wrong.
///
/// ```
/// use std::path::Path;
/// use hatchery::Settings;
///
/// let text = "[[pools]]\nname = \"a\"\napp = \"app.py\"\nworker = 4\nmax_queue = \"many\"\n";
/// let settings = Settings::parse(text, Path::new("/srv/hatchery.toml"));
/// let problems: Vec<String> = settings.problems().iter().map(ToString::to_string).collect();
/// assert_eq!(problems, [
///     "/srv/hatchery.toml:4: pools[0].worker: unknown key; did you mean `workers`?",
///     "/srv/hatchery.toml:5: pools[0].max_queue: expected a whole number from 0 to 1000000, found \"many\"",
/// ]);
/// ```
#[derive(Debug)]
pub struct Settings {
    pub(super) top: Layer,
    pub(super) pools: Vec<ElementSettings>,
    pub(super) host_tools: Vec<ElementSettings>,
    problems: Vec<ConfigProblem>,
    /// The one to tell if only one is told: of a single key rather than of keys together, which may follow from it.
    first_error: Option<ConfigProblem>,
}

/// One pool's, or another element's of a list of tables.
#[derive(Debug)]
pub(super) struct ElementSettings {
    /// Like `pools[0]`.
    pub(super) path: String,
    /// Its header.
    pub(super) origin: Origin,
    pub(super) layer: Layer,
}

impl Settings {
    /// Those of a file, if there is one, and of the variables of this process.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if the file cannot be read. What is wrong in it is among the problems.
    pub fn load(path: Option<&Path>) -> Result<Settings> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| Error::new(ErrorKind::Validation, format!("read {}: {error}", path.display())))
        };
        let text = path.map(read).transpose()?.unwrap_or_default();
        Ok(Settings::read(&text, path.unwrap_or(Path::new("")), &Variables::of_process()?))
    }

    /// Those of a text that lies at `path`, and of no variables.
    pub fn parse(text: &str, path: &Path) -> Settings {
        Settings::read(text, path, &Variables::default())
    }

    pub(super) fn read(text: &str, path: &Path, variables: &Variables) -> Settings {
        let Document { mut top, pools, host_tools, mut problems } = document::read(&Source { path, text, variables });
        let defaults = pool_defaults(&top, &mut problems);
        let timeouts = Profiled::of(&top);
        fill(TOP, "", &mut top, &timeouts);
        let element = |element: Element, settle: &dyn Fn(Layer) -> Layer| {
            let layer = settle(element.own);
            ElementSettings { path: element.path, origin: element.origin, layer }
        };
        let of_pool = |own: Layer| settled(own, &defaults, &top, &timeouts);
        let of_host_tool = |mut own: Layer| {
            fill(HOST_TOOL, "", &mut own, &timeouts);
            own
        };
        let pools = pools.into_iter().map(|pool| element(pool, &of_pool)).collect();
        let host_tools = host_tools.into_iter().map(|tool| element(tool, &of_host_tool)).collect();
        let mut settings = Settings { top, pools, host_tools, problems: Vec::new(), first_error: None };
        problems.extend(combination::problems(&settings));
        settings.first_error = problems.iter().find(|problem| !problem.is_warning).cloned();
        problems.sort_by_key(ConfigProblem::place);
        settings.problems = problems;
        settings
    }

    /// Everything that is wrong, errors and warnings, by line; what is wrong with variables comes last.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// How many pools there are.
    pub fn pools(&self) -> usize {
        self.pools.len()
    }

    /// What the rooms are told.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] with one of the problems that are errors; all of them are in its details.
    pub fn config(&self) -> Result<Config> {
        self.refuse_errors()?;
        Ok(Config {
            timeout_profile: self.top.explicit("timeout_profile").and_then(|_| self.top.word("timeout_profile")),
            python: top::path(&self.top, "python"),
            instance: top::instance(&self.top.said()),
            server: ServerConfig::of(&self.top.said()),
            sessions: top::sessions(&self.top.said()),
            agents: top::agents(&self.top.said()),
            otlp: telemetry::otlp(&self.top.said()),
            pools: self.pools.iter().filter_map(|pool| PoolConfig::of(&pool.layer.said())).collect(),
            host_tools: self.host_tools.iter().filter_map(|tool| top::host_tool(&tool.layer.said())).collect(),
        })
    }

    pub(super) fn instance(&self) -> Result<InstanceConfig> {
        self.refuse_errors()?;
        Ok(top::instance(&self.top.said()))
    }

    fn refuse_errors(&self) -> Result<()> {
        let Some(first) = &self.first_error else { return Ok(()) };
        let all: Vec<_> = self.problems.iter().map(ConfigProblem::to_json).collect();
        Err(Error::from(first).with_details(serde_json::json!({ "problems": all })))
    }

    /// The same with what holds beside the keys: the flag for the place of the data, `HATCHERY_DATA_DIR`, which goes before
    /// the key, `HATCHERY_PYTHON`, which goes behind it, and the usual place of the data.
    #[must_use]
    pub fn with_surroundings(self, data_dir: Option<&Path>) -> Settings {
        self.surrounded(data_dir, &Host)
    }

    pub(super) fn surrounded(mut self, data_dir: Option<&Path>, environment: &impl Environment) -> Settings {
        let said = |name: &'static str| Some((environment.variable(name)?, Origin::Variable(name.into())));
        let flag = data_dir.map(|folder| (folder.into(), Origin::Flag("--data-dir")));
        if let Some((folder, origin)) = flag.or_else(|| said("HATCHERY_DATA_DIR")) {
            let folder = environment.folder().join(folder);
            self.top.set("instance.data_dir", Setting::new(Value::Path(folder), origin));
        } else if ["instance.data_dir", "instance.token"].iter().all(|key| self.top.get(key).is_none()) {
            // With a token, its folder's name would give that away.
            let usual = data_dir_in(environment, &top::instance(&self.top));
            self.top.set("instance.data_dir", Setting::new(Value::Path(usual), Origin::Default));
        }
        if let Some((python, origin)) = said("HATCHERY_PYTHON").filter(|_| self.top.get("python").is_none()) {
            let python = if is_path(&python) { environment.folder().join(python) } else { python.into() };
            self.top.set("python", Setting::new(Value::Path(python), origin));
        }
        self
    }
}

/// Keys that belong to one pool.
const NOT_FOR_ALL: [&str; 3] = ["name", "app", "command"];

/// Keys that only a worker script of Snakepit's has.
pub(super) const OF_A_SCRIPT: [&str; 5] = ["script", "adapter", "adapter_args", "shim", "unsafe_bind"];

/// Keys of what only workers have that speak the native wire.
pub(super) const OF_THE_NATIVE_WIRE: [&str; 4] = ["preload", "preload_app", "template", "arena.enabled"];

/// What `[pool_defaults]` says.
fn pool_defaults(top: &Layer, problems: &mut Vec<ConfigProblem>) -> Layer {
    let mut defaults = Layer::default();
    for (path, setting) in top.below("pool_defaults") {
        if NOT_FOR_ALL.contains(&path) {
            let message = format!("expected in one of [[pools]]: `{path}` cannot be the same for all");
            let origin = setting.origin.clone();
            problems.push(ConfigProblem::error(origin, format!("pool_defaults.{path}"), message));
        } else {
            defaults.set(path, setting.clone());
        }
    }
    defaults
}

/// A pool's settings over those of all pools, and over what holds if nobody says anything.
fn settled(own: Layer, defaults: &Layer, top: &Layer, timeouts: &Profiled) -> Layer {
    let mut layer = own.over(defaults);
    let drop_inherited = |layer: &mut Layer, path: &str| {
        if layer.get(path).is_some_and(|setting| setting.inherited) {
            layer.remove(path);
        }
    };
    out_of_place(&layer).into_iter().for_each(|path| drop_inherited(&mut layer, path));
    if let (None, None, Some(python)) = (layer.get("command"), layer.get("python"), top.explicit("python")) {
        layer.set("python", Setting { inherited: true, ..python.clone() });
    }
    fill(POOL, "", &mut layer, timeouts);
    layer
}

/// What does not concern a pool, if it is said of all.
fn out_of_place(layer: &Layer) -> Vec<&'static str> {
    let (bridged, command) = (is_bridged(layer), layer.get("command").is_some());
    let groups: [(bool, &[&str]); 4] = [
        (!has_threads(layer), &["threads_per_worker"]),
        (command, &["python"]),
        (!bridged || command, &OF_A_SCRIPT),
        (bridged, &OF_THE_NATIVE_WIRE),
    ];
    groups.into_iter().filter(|(is_out, _)| *is_out).flat_map(|(_, paths)| paths.iter().copied()).collect()
}

/// What a timeout profile says, and who has chosen it.
struct Profiled {
    timeouts: Timeouts,
    origin: Origin,
}

impl Profiled {
    fn of(top: &Layer) -> Profiled {
        let chosen = top.word::<TimeoutProfile>("timeout_profile");
        let origin = chosen.map_or(Origin::Default, |profile| Origin::TimeoutProfile(profile.written()));
        Profiled { timeouts: chosen.unwrap_or_default().timeouts(), origin }
    }
}

/// Adds what holds if nobody says anything.
fn fill(keys: &'static [Key], table: &str, layer: &mut Layer, profiled: &Profiled) {
    for key in keys {
        let path = if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) };
        match key.kind {
            // Pools have them.
            Kind::Table(_) if path == "pool_defaults" => {}
            Kind::Table(keys) => fill(keys, &path, layer, profiled),
            _ if layer.get(&path).is_some() => {}
            _ => {
                if let Some(setting) = fallback(key, table, layer, profiled) {
                    layer.set(path, setting);
                }
            }
        }
    }
}

fn fallback(key: &Key, table: &str, layer: &Layer, profiled: &Profiled) -> Option<Setting> {
    let default = |value| Some(Setting::new(value, Origin::Default));
    match key.fallback {
        Fallback::Nothing(_) => None,
        Fallback::Is(value) => default(value()),
        Fallback::WithThreads(value) => has_threads(layer).then(|| default(value()))?,
        Fallback::Bridged(value) => layer.get("script").and_then(|_| default(value())),
        Fallback::Native(_) if is_bridged(layer) => default(Value::Flag(false)),
        Fallback::Native(value) => default(value()),
        Fallback::OfProfile(pick) => Some(Setting::new(limit(pick(&profiled.timeouts)), profiled.origin.clone())),
        Fallback::Threads => default(Value::Whole(threads(layer))),
        Fallback::OnIfSpokenOf => match layer.below(table).find(|(_, setting)| setting.origin.is_explicit()) {
            Some((_, spoken)) => Some(Setting::new(Value::Flag(true), spoken.origin.clone())),
            None => default(Value::Flag(false)),
        },
    }
}

fn has_threads(layer: &Layer) -> bool {
    layer.word::<Profile>("profile") == Some(Profile::Thread)
}

pub(super) fn is_bridged(layer: &Layer) -> bool {
    layer.word::<Spoken>("transport") == Some(Spoken::Grpc)
}

/// How many calls a worker has at once.
fn threads(layer: &Layer) -> u64 {
    let threads = has_threads(layer).then(|| layer.whole("threads_per_worker").unwrap_or(THREADS));
    threads.unwrap_or(1)
}
