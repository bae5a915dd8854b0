//! `hatchery.toml`, as far as this version obeys it. Text becomes values here and nowhere else; what a key does not
//! say is `None`, and the room that obeys it has the default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::app::program::{Environment, Host};
use crate::app::{App, CommandApp, Launch, LaunchContext};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{StopGraces, Timeouts};
use crate::process::{Containment, OnEscape, ResourceLimits};
use crate::pyenv::PythonApp;
use crate::registry::Instance;

mod duration;
mod file;
mod section;
mod size;
mod variables;

use variables::Variables;

pub use duration::{format_duration, parse_duration};
pub use size::{format_size, parse_size};

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
    /// `python`: the interpreter of all Python pools that name none of their own.
    pub python: Option<PathBuf>,
    /// `[instance]`.
    pub instance: InstanceConfig,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[[pools]]`, in the file's order; their names differ.
    pub pools: Vec<PoolConfig>,
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
    /// [`ErrorKind::Validation`], naming the variable.
    pub fn from_environment() -> Result<InstanceConfig> {
        file::read_instance(&Variables::of_process()?)
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

/// `[server]`: where a daemon is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// `HOST:PORT`.
    pub listen: Option<String>,
}

/// One of `[[pools]]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub app: AppConfig,
    /// How many workers: 1 to 1024.
    pub workers: Option<usize>,
    /// How many calls may wait for a worker: 0 to 1 000 000.
    pub max_queue: Option<usize>,
    /// How long things may take.
    pub timeouts: PoolTimeouts,
    /// What its workers have to leave by themselves.
    pub stop: PoolStop,
    /// What keeps its processes together.
    pub containment: Option<Containment>,
    /// What becomes of processes that outlive their worker.
    pub on_escape: Option<OnEscape>,
    /// What each worker may use of the machine.
    pub limits: ResourceLimits,
}

/// `timeouts` of a pool. `Duration::MAX` is `"infinity"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolTimeouts {
    /// A unary call, from its making to its result.
    pub call: Option<Duration>,
    /// A streaming call, from its making to its end.
    pub stream: Option<Duration>,
    /// The wait for a worker.
    pub queue: Option<Duration>,
    /// The start of a worker, to its READY.
    pub start: Option<Duration>,
}

impl PoolTimeouts {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: Timeouts) -> Timeouts {
        let pick = |own: Option<Duration>, default| match own {
            Some(Duration::MAX) => None,
            Some(limit) => Some(limit),
            None => default,
        };
        Timeouts {
            call: pick(self.call, defaults.call),
            stream: pick(self.stream, defaults.stream),
            queue: pick(self.queue, defaults.queue),
            start: pick(self.start, defaults.start),
        }
    }
}

/// `stop` of a pool. Always finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStop {
    /// From the word to SIGTERM.
    pub ask: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub term: Option<Duration>,
}

impl PoolStop {
    /// These where they are set, else those of `defaults`.
    pub fn over(&self, defaults: StopGraces) -> StopGraces {
        StopGraces { ask: self.ask.unwrap_or(defaults.ask), term: self.term.unwrap_or(defaults.term) }
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
}

impl AppConfig {
    fn app(&self) -> &dyn App {
        match self {
            AppConfig::Python(app) => app,
            AppConfig::Command(app) => app,
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
    /// [`ErrorKind::Validation`] if it cannot be read, or as for [`Config::parse`]; about a variable, the message names that.
    pub fn load(path: &Path) -> Result<Config> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::new(ErrorKind::Validation, format!("read {}: {error}", path.display())))?;
        file::read(&text, path, &Variables::of_process()?)
    }

    /// What the variables of this process say, where there is no file.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`], naming the variable.
    pub fn from_environment() -> Result<Config> {
        file::read("", Path::new(""), &Variables::of_process()?)
    }

    /// Reads the text of a configuration file that lies at `path`, and no variables.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] for the first key that is unknown, of the wrong type, out of range, at odds with another or
    /// not yet supported. The message names the file, the line, the key and what was expected.
    pub fn parse(text: &str, path: &Path) -> Result<Config> {
        file::read(text, path, &Variables::default())
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
mod tests {
    use super::*;
    use crate::app::program::tests::Paper;

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
