//! What `hatchery.toml` says about an app that is given with `--app`.

use std::path::{Path, PathBuf};

use hatchery::{AppConfig, Config, Instance, PoolConfig, PythonApp, Result, Timeouts};

use crate::cli::GlobalOptions;

/// Where the configuration is looked for without `--config`.
const DEFAULT: &str = "hatchery.toml";

/// The configuration that `--config` names, or the one in the current folder, or none.
pub(crate) fn load(named: Option<&Path>) -> Result<Option<Config>> {
    match named {
        Some(path) => Config::load(path).map(Some),
        None if Path::new(DEFAULT).exists() => Config::load(Path::new(DEFAULT)).map(Some),
        None => Ok(None),
    }
}

/// Where records are, and whose.
pub(crate) fn data(global: &GlobalOptions) -> Result<(PathBuf, Instance)> {
    let config = load(global.config.as_deref())?.unwrap_or_default();
    let folder = global.data_dir.clone().unwrap_or_else(|| config.data_dir());
    Ok((folder, config.instance.instance()))
}

/// The app with the interpreter and the variables of the pool that runs it, if one does, and that pool's timeouts.
pub(crate) fn completed(app: PythonApp, config: &Config) -> (PythonApp, Timeouts) {
    match config.pools.iter().find_map(|pool| same(&app, pool)) {
        Some((other, pool)) => (app.or(other), pool.timeouts.over(Timeouts::default())),
        None => match &config.python {
            Some(python) => (app.or(&PythonApp::module("").python(python)), Timeouts::default()),
            None => (app, Timeouts::default()),
        },
    }
}

fn same<'a>(app: &PythonApp, pool: &'a PoolConfig) -> Option<(&'a PythonApp, &'a PoolConfig)> {
    match &pool.app {
        AppConfig::Python(other) if other.is_same_source(app) => Some((other, pool)),
        _ => None,
    }
}
