//! A pool of a configuration, as it runs here.

use hatchery::{BridgeConfig, BridgeScript, Bridged, Error, ErrorKind, PoolConfig, Result, ShimMode};

use crate::{Bridge, Snakepit};

/// Makes pools with `transport = "grpc"` of what a configuration says: for [`Builder::bridging`](hatchery::Builder::bridging).
///
/// ```no_run
/// # async fn example() -> hatchery::Result<()> {
/// use hatchery::{Config, Hatchery};
///
/// let config = Config::load("hatchery.toml".as_ref())?;
/// let hatchery = Hatchery::builder().bridging(hatchery_snakepit::configured).configure(&config).start().await?;
/// # hatchery.shutdown().await }
/// ```
///
/// # Errors
/// `validation` for what another version of the library knows and this crate does not. What is wrong with a pool is found in the
/// configuration, or when a worker is started.
pub fn configured(pool: &PoolConfig, bridge: &BridgeConfig) -> Result<Bridged> {
    Ok(match bridge {
        BridgeConfig::Command(command) => Bridged::new(command.clone(), Bridge::new()),
        BridgeConfig::Script(script) => Bridged::new(app(pool, script), Bridge::new()),
        _ => return Err(unknown(pool)),
    })
}

pub(crate) fn app(pool: &PoolConfig, said: &BridgeScript) -> Snakepit {
    let app = Snakepit::new(&said.script, &said.adapter)
        .adapter_args(said.adapter_args.iter().cloned())
        .shim(said.shim.clone().unwrap_or_else(|| ShimMode::USUAL.to_vec()))
        .unsafe_bind(said.unsafe_bind)
        .thread_safety_checks(pool.thread_safety_checks.unwrap_or(false));
    let app = said.python.iter().fold(app, Snakepit::python);
    said.env.iter().fold(app, |app, (name, value)| app.env(name, value))
}

fn unknown(pool: &PoolConfig) -> Error {
    let message = format!("pool {}: it runs something that this version of hatchery-snakepit does not know", pool.name);
    Error::new(ErrorKind::Validation, message)
}
