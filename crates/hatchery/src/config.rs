//! `hatchery.toml` and the variables that go before it. Text becomes values here and nowhere else; what nobody says is
//! `None`, and the room that obeys it has the default.
//!
//! One table (`keys.rs`) has all keys. By it `document.rs` reads what the sources say, with everything that is wrong; `settings.rs`
//! lays it over what holds otherwise; `combination.rs` finds what does not go together; `pool.rs` and `top.rs` make what the
//! rooms are told; `show.rs` and `reference.rs` write it down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::agent::Adapters;
use crate::app::program::{Environment, Host};
use crate::app::{App, CommandApp, Launch, LaunchContext};
use crate::error::{Error, Result};
use crate::host::PoolTool;
use crate::pool::{TimeoutProfile, Timeouts};
use crate::pyenv::PythonApp;
use crate::registry::Instance;
use crate::session::SessionSettings;

mod bridge;
mod combination;
mod document;
mod duration;
mod keys;
mod kind;
mod layer;
mod listener;
mod origin;
mod pool;
mod raw;
mod reference;
mod server;
mod settings;
mod show;
mod size;
mod telemetry;
mod top;
mod value;
mod variables;
mod words;

#[cfg(test)]
mod tests;

use variables::Variables;

pub(crate) use bridge::without_a_bridge;
pub use bridge::{BridgeConfig, BridgeScript, ShimMode};
pub use duration::{format_duration, parse_duration};
pub use listener::BridgeListener;
pub use origin::{ConfigProblem, Origin};
pub use pool::{
    ArenaConfig, BreakerConfig, CrashBarrierConfig, HealthConfig, HealthGateConfig, HeartbeatConfig, PoolConfig,
    PoolStop, PoolTimeouts, RestartsConfig, RetryConfig, StartConfig, ThreadLimitsConfig,
};
pub use reference::config_reference;
pub use server::{Auth, Scope, ServerConfig, ServerLimitsConfig, TlsConfig};
pub use settings::Settings;
pub use size::{format_size, parse_size};
pub use telemetry::{OtlpConfig, OtlpProtocol};

/// What a configuration file says.
///
/// ```
/// use std::{path::Path, time::Duration};
/// use hatchery::Config;
///
/// let text = r#"
///     [[pools]]
///     name = "default"
///     app = "app.py"
///     workers = 4
///     timeouts = { call = "5m" }
/// "#;
/// let config = Config::parse(text, Path::new("/srv/hatchery.toml"))?;
/// assert_eq!(config.pools[0].workers, Some(4));
/// assert_eq!(config.pools[0].timeouts.call, Some(Duration::from_secs(300)));
///
/// let error = Config::parse("[[pools]]\nname = \"a\"\nworker = 4", Path::new("/srv/hatchery.toml")).unwrap_err();
/// assert_eq!(error.message(), "/srv/hatchery.toml:3: pools[0].worker: unknown key; did you mean `workers`?");
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// `timeout_profile`; pools have its timeouts already.
    pub timeout_profile: Option<TimeoutProfile>,
    /// `python`: the interpreter of all Python pools that name none of their own.
    pub python: Option<PathBuf>,
    /// `[instance]`.
    pub instance: InstanceConfig,
    /// `[server]`, and `[bridge]`.
    pub server: ServerConfig,
    /// `[sessions]`.
    pub sessions: SessionsConfig,
    /// `[agents]`.
    pub agents: AgentsConfig,
    /// `[telemetry.otlp]`.
    pub otlp: OtlpConfig,
    /// `[[pools]]`, in the file's order; their names differ.
    pub pools: Vec<PoolConfig>,
    /// `[[host_tools]]`, in the file's order; their names differ, and their pools are among these.
    pub host_tools: Vec<PoolTool>,
}

/// `[instance]`: which installation this is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceConfig {
    /// Its name. Default: `default`.
    pub name: String,
    /// Tells apart instances that share a name. Default: none.
    pub token: Option<String>,
    /// Where it keeps its data. Default: see [`data_dir`].
    pub data_dir: Option<PathBuf>,
}

impl Default for InstanceConfig {
    fn default() -> InstanceConfig {
        InstanceConfig { name: "default".to_owned(), token: None, data_dir: None }
    }
}

impl InstanceConfig {
    /// What `HATCHERY__INSTANCE__NAME`, `HATCHERY__INSTANCE__TOKEN` and `HATCHERY__INSTANCE__DATA_DIR` say, else the default.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation), naming the variable.
    pub fn from_environment() -> Result<InstanceConfig> {
        Settings::read("", Path::new(""), &Variables::of_process()?.of_instance()).instance()
    }

    /// Where it keeps its data, see [`Config::data_dir`].
    pub(crate) fn place_of_data(&self) -> PathBuf {
        data_dir_in(&Host, self)
    }

    /// The instance without the place of its data.
    pub fn instance(&self) -> Instance {
        Instance { name: self.name.clone(), token: self.token.clone() }
    }
}

/// `[sessions]`: the sessions of all pools. What nobody says is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionsConfig {
    /// How long an untouched session lives; `Duration::MAX` is for ever. Default: 1 h.
    pub ttl: Option<Duration>,
    /// How many there may be; `Some(None)`: any number. Default: 10 000.
    pub max: Option<Option<usize>>,
    /// How often those that have expired are removed. Default: 60 s.
    pub cleanup: Option<Duration>,
    /// The share of `max` from which on each cleanup tells that sessions accumulate: 0 to 1. Default: 0.8.
    pub warning: Option<f64>,
    /// Whether that is told as a warning. Default: no.
    pub strict: Option<bool>,
}

/// `[agents]`: long-lived processes that speak lines. What nobody says is `None`, or not there.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AgentsConfig {
    /// How many may live at once; `Some(None)`: any number. Default: any number.
    pub max_concurrent: Option<Option<usize>>,
    /// Kinds of agents besides those that are built in, by name: what their lines mean, as
    /// [`Adapters`](crate::agent::Adapters) reads it.
    pub adapters: BTreeMap<String, toml::Table>,
}

impl AgentsConfig {
    /// Those that are given, and these.
    ///
    /// # Errors
    /// `validation`, with the place in a table and what was expected there.
    pub(crate) fn over(&self, adapters: Adapters) -> Result<Adapters> {
        let add = |adapters: Adapters, (name, table): (&String, &toml::Table)| adapters.with_toml(name, table.clone());
        self.adapters.iter().try_fold(adapters, add)
    }
}

impl SessionsConfig {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: SessionSettings) -> SessionSettings {
        SessionSettings {
            ttl: self.ttl.map_or(defaults.ttl, |ttl| (ttl < Duration::MAX).then_some(ttl)),
            cleanup_interval: self.cleanup.unwrap_or(defaults.cleanup_interval),
            max_sessions: self.max.unwrap_or(defaults.max_sessions),
            warning_threshold: self.warning.unwrap_or(defaults.warning_threshold),
            strict: self.strict.unwrap_or(defaults.strict),
        }
    }
}

/// What a pool of a configuration file runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AppConfig {
    /// `app = "app.py"`, with its `python` and `env`.
    Python(PythonApp),
    /// `command = ["node", "worker.js"]`, with its `env`.
    Command(CommandApp),
    /// Whatever has `transport = "grpc"`.
    Bridged(BridgeConfig),
}

impl AppConfig {
    fn app(&self) -> &dyn App {
        match self {
            AppConfig::Python(app) => app,
            AppConfig::Command(app) => app,
            AppConfig::Bridged(app) => app,
        }
    }
}

impl AppConfig {
    /// How many keys it is compared by: `app` or `command`, `python`, `env`, or those of a bridge.
    pub(crate) fn keys(&self) -> usize {
        match self {
            AppConfig::Python(_) | AppConfig::Command(_) => 3,
            AppConfig::Bridged(_) => BridgeConfig::KEYS,
        }
    }

    /// The keys in which the other one differs.
    pub(crate) fn changes(&self, other: &AppConfig) -> Vec<&'static str> {
        match (self, other) {
            (AppConfig::Python(one), AppConfig::Python(other)) => one.changes(other),
            (AppConfig::Command(one), AppConfig::Command(other)) => one.changes(other),
            (AppConfig::Bridged(one), AppConfig::Bridged(other)) => one.changes(other),
            (_, AppConfig::Python(_)) => vec!["app"],
            (_, AppConfig::Command(_) | AppConfig::Bridged(BridgeConfig::Command(_))) => vec!["command"],
            (_, AppConfig::Bridged(BridgeConfig::Script(_))) => vec!["script"],
        }
    }
}

impl App for AppConfig {
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
        self.app().launch(worker)
    }

    fn describe(&self) -> String {
        self.app().describe()
    }

    fn timeout(&self, tool: &str, args: &RawValue) -> Option<Duration> {
        self.app().timeout(tool, args)
    }

    fn has_timeouts(&self) -> bool {
        self.app().has_timeouts()
    }

    fn explain_failed_start(&self, launch: &Launch) -> Option<Error> {
        self.app().explain_failed_start(launch)
    }
}

impl Config {
    /// Reads a configuration file, and the variables of this process, which go before it: `HATCHERY__SERVER__LISTEN` is
    /// `[server] listen`, `HATCHERY__POOLS__DEFAULT__WORKERS` is `workers` of the pool `default`. Relative paths in the file are
    /// taken from its folder.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation) if it cannot be read, or as for [`Config::parse`]; about a variable, the message names that.
    pub fn load(path: &Path) -> Result<Config> {
        Settings::load(Some(path))?.config()
    }

    /// What the variables of this process say, where there is no file.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation), naming the variable.
    pub fn from_environment() -> Result<Config> {
        Settings::load(None)?.config()
    }

    /// Reads the text of a configuration file that lies at `path`, and no variables.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation) for the first key that is unknown, of the wrong type, out of range, at odds with another or
    /// not yet supported. The message names the file, the line, the key and what was expected.
    pub fn parse(text: &str, path: &Path) -> Result<Config> {
        Settings::parse(text, path).config()
    }

    /// How long things take for a pool of which nothing is said.
    pub fn timeouts(&self) -> Timeouts {
        self.timeout_profile.unwrap_or_default().timeouts()
    }

    /// Where this instance keeps its data: the variable `HATCHERY_DATA_DIR`, the file's `data_dir`, or the usual place.
    pub fn data_dir(&self) -> PathBuf {
        self.instance.place_of_data()
    }
}

/// Where an instance without a token keeps its data: the variable `HATCHERY_DATA_DIR`, or `$XDG_STATE_HOME/hatchery/<folder>`,
/// by default `~/.local/state/hatchery/<folder>`, or `/tmp/hatchery-<uid>/<folder>` where there is no home. The folder is
/// [`Instance::folder`]. Nothing is created.
pub fn data_dir(instance: &str) -> PathBuf {
    data_dir_in(&Host, &InstanceConfig { name: instance.to_owned(), ..InstanceConfig::default() })
}

fn data_dir_in(environment: &impl Environment, instance: &InstanceConfig) -> PathBuf {
    if let Some(folder) = environment.variable("HATCHERY_DATA_DIR") {
        return environment.folder().join(folder);
    }
    if let Some(folder) = &instance.data_dir {
        return folder.clone();
    }
    let absolute = |name| environment.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let base = state.map(|state| state.join("hatchery"));
    base.unwrap_or_else(|| format!("/tmp/hatchery-{}", rustix::process::getuid().as_raw()).into())
        .join(instance.instance().folder())
}

#[cfg(test)]
mod place_tests {
    use super::*;
    use crate::app::program::tests::Paper;
    use crate::error::ErrorKind;

    #[test]
    fn data_lies_where_the_nearest_word_says() {
        let none = InstanceConfig { name: "shop".to_owned(), ..InstanceConfig::default() };
        let file = InstanceConfig { data_dir: Some("/var/lib/shop".into()), ..none.clone() };
        let job = InstanceConfig { name: "a shop".to_owned(), token: Some("job/7".to_owned()), data_dir: None };
        let user = rustix::process::getuid().as_raw();
        for (machine, instance, expected) in [
            ("HATCHERY_DATA_DIR=/d XDG_STATE_HOME=/s HOME=/h", &file, "/d"),
            ("HATCHERY_DATA_DIR=d", &file, "/here/d"),
            ("XDG_STATE_HOME=/s HOME=/h", &file, "/var/lib/shop"),
            ("XDG_STATE_HOME=/s HOME=/h", &none, "/s/hatchery/shop"),
            ("XDG_STATE_HOME=/s HOME=/h", &job, "/s/hatchery/a_shop__job_7"),
            ("XDG_STATE_HOME=s HOME=/h", &none, "/h/.local/state/hatchery/shop"),
            ("", &none, &format!("/tmp/hatchery-{user}/shop")),
        ] {
            assert_eq!(data_dir_in(&Paper::new(machine), instance), Path::new(expected), "{machine}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Config::load(Path::new("/no/hatchery.toml")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().starts_with("read /no/hatchery.toml: No such file"), "{error}");
    }
}
