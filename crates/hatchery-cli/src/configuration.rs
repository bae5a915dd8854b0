//! What `hatchery.toml` says about an app that is given with `--app`.

use std::io;
use std::path::{Path, PathBuf};

use hatchery::{
    AppConfig, Builder, Config, Error, ErrorKind, Instance, PoolBuilder, PoolConfig, PythonApp, Result, Settings,
    Timeouts,
};

use crate::cli::GlobalOptions;

/// Where the configuration is looked for without `--config`.
const DEFAULT: &str = "hatchery.toml";

/// The configuration that `--config` names, or the one in the current folder, or none; and before it the variables.
pub(crate) fn load(named: Option<&Path>) -> Result<Config> {
    Settings::load(file(named))?.config()
}

/// The same, and told are all mistakes at once.
pub(crate) fn checked(named: Option<&Path>) -> Result<Config> {
    let settings = Settings::load(file(named))?;
    settings.config().map_err(|error| {
        let wrong = settings.problems().iter().filter(|problem| !problem.is_warning);
        let lines: Vec<String> = wrong.map(ToString::to_string).collect();
        match (lines.len(), error.details().cloned()) {
            (0 | 1, _) | (_, None) => error,
            (count, Some(details)) => {
                let message = format!("{count} mistakes in the configuration:\n{}", lines.join("\n"));
                Error::new(ErrorKind::Validation, message).with_details(details)
            }
        }
    })
}

/// The file that is read.
pub(crate) fn file(named: Option<&Path>) -> Option<&Path> {
    named.or(Some(Path::new(DEFAULT)).filter(|usual| usual.exists()))
}

/// Where records are, and whose, for a command that only reads them.
pub(crate) fn records(global: &GlobalOptions) -> Result<(PathBuf, Instance)> {
    let (folder, instance) = data(global)?;
    must_be_folder(&folder)?;
    Ok((folder, instance))
}

/// A file in place of the data directory is a mistake of whoever named it. One that is not there is none: nothing ever ran.
pub(crate) fn must_be_folder(folder: &Path) -> Result<()> {
    let wrong = |what| Error::new(ErrorKind::Validation, format!("data directory {}: {what}", folder.display()));
    match std::fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Err(wrong("it is no directory")),
        Err(why) if why.kind() == io::ErrorKind::NotADirectory => Err(wrong("a part of its path is no directory")),
        _ => Ok(()),
    }
}

/// What can be done about a data directory that cannot be used.
pub(crate) const OTHER_DATA_DIR: &str =
    "`--data-dir DIR`, HATCHERY_DATA_DIR or `data_dir` under [instance] in hatchery.toml names another data directory";

/// Where records are, and whose.
pub(crate) fn data(global: &GlobalOptions) -> Result<(PathBuf, Instance)> {
    let config = load(global.config.as_deref())?;
    Ok(data_of(global, &config))
}

pub(crate) fn data_of(global: &GlobalOptions, config: &Config) -> (PathBuf, Instance) {
    let folder = global.data_dir.clone().unwrap_or_else(|| config.data_dir());
    (folder, config.instance.instance())
}

/// A supervisor of agents, and of nothing else.
pub(crate) fn agents(global: &GlobalOptions) -> Result<Builder> {
    let config = load(global.config.as_deref())?;
    let (data_dir, instance) = data_of(global, &config);
    must_be_folder(&data_dir)?;
    Ok(hatchery::Hatchery::builder().data_dir(data_dir).instance(instance).agents(&config.agents))
}

/// How an app is run: as the flags say, then the pool of the configuration that runs it, if one does.
pub(crate) struct Setting {
    pub(crate) app: PythonApp,
    pool: Option<PoolConfig>,
    data: (PathBuf, Instance),
    pub(crate) timeouts: Timeouts,
    pub(crate) require_registry: bool,
}

impl Setting {
    pub(crate) fn of(app: PythonApp, global: &GlobalOptions) -> Result<Setting> {
        let config = load(global.config.as_deref())?;
        let data = data_of(global, &config);
        let timeouts = config.timeouts();
        Ok(match config.pools.iter().find_map(|pool| same(&app, pool)) {
            Some((other, pool)) => Setting {
                app: app.or(other),
                pool: Some(pool.clone()),
                data,
                timeouts: pool.timeouts.over(timeouts),
                require_registry: false,
            },
            None => {
                let app = config.python.iter().fold(app, |app, python| app.or(&PythonApp::module("").python(python)));
                Setting { app, pool: None, data, timeouts, require_registry: false }
            }
        })
    }

    /// As the one pool of a configuration.
    pub(crate) fn into_pool(self, name: &str) -> PoolConfig {
        let app = AppConfig::Python(self.app);
        match self.pool {
            None => PoolConfig::new(name, app),
            Some(mut pool) => {
                (pool.name, pool.app) = (name.to_owned(), app);
                pool
            }
        }
    }

    /// The one pool of a command.
    pub(crate) fn pool(self, builder: Builder, name: &str) -> PoolBuilder {
        let (data_dir, instance) = self.data;
        let builder = builder.data_dir(data_dir).instance(instance).pool(name, self.app);
        let builder = self.pool.iter().fold(builder, PoolBuilder::configure);
        builder.timeouts(self.timeouts).require_registry(self.require_registry)
    }
}

fn same<'a>(app: &PythonApp, pool: &'a PoolConfig) -> Option<(&'a PythonApp, &'a PoolConfig)> {
    match &pool.app {
        AppConfig::Python(other) if other.is_same_source(app) => Some((other, pool)),
        _ => None,
    }
}
