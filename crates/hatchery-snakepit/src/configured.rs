//! A pool of a configuration, as it runs here.

use hatchery::{BridgeConfig, BridgeScript, Bridged, Concurrency, PoolConfig, Result};

use crate::{Bridge, Snakepit};

/// What checks of threads the threaded server makes, if it is told to.
const CHECKS: &str = "--thread-safety-check";

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
/// None as yet: what can be wrong with such a pool is found in the configuration, or when a worker is started.
pub fn configured(pool: &PoolConfig, bridge: &BridgeConfig) -> Result<Bridged> {
    Ok(match bridge {
        BridgeConfig::Command(command) => Bridged::new(command.clone(), Bridge::new()),
        BridgeConfig::Script(script) => Bridged::new(app(pool, script), Bridge::new()),
        _ => return Err(unknown(pool)),
    })
}

fn app(pool: &PoolConfig, said: &BridgeScript) -> Snakepit {
    let app = Snakepit::new(&said.script, &said.adapter)
        .adapter_args(said.adapter_args.iter().cloned())
        .shim(said.shim.clone().unwrap_or_else(|| hatchery::ShimMode::USUAL.to_vec()))
        .unsafe_bind(said.unsafe_bind);
    let app = said.python.iter().fold(app, Snakepit::python);
    let app = said.env.iter().fold(app, |app, (name, value)| app.env(name, value));
    match pool.concurrency {
        Some(Concurrency::Thread { .. }) => checked(app.threaded(), pool, said),
        _ => app,
    }
}

fn checked(app: Snakepit, pool: &PoolConfig, said: &BridgeScript) -> Snakepit {
    let is_said = crate::app::has_flag(&said.adapter_args, CHECKS);
    match pool.thread_safety_checks == Some(true) && !is_said {
        true => app.adapter_args([CHECKS]),
        false => app,
    }
}

fn unknown(pool: &PoolConfig) -> hatchery::Error {
    let message = format!("pool {}: it runs something that this version does not know", pool.name);
    hatchery::Error::new(hatchery::ErrorKind::Validation, message)
}
