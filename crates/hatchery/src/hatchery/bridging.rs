//! Pools of a configuration that are not spoken to by the native wire: who knows how makes an app and a transport of what it says.

use std::sync::Arc;

use super::Builder;
use crate::app::App;
use crate::config::{AppConfig, BridgeConfig, PoolConfig, without_a_bridge};
use crate::error::Result;
use crate::worker::Transport;

/// What a pool of a configuration with `transport = "grpc"` becomes: see [`Builder::bridging`].
#[non_exhaustive]
pub struct Bridged {
    /// What is started.
    pub app: Arc<dyn App>,
    /// How it is spoken to.
    pub transport: Arc<dyn Transport>,
}

impl Bridged {
    /// Of an app and a transport.
    pub fn new(app: impl App, transport: impl Transport) -> Bridged {
        Bridged { app: Arc::new(app), transport: Arc::new(transport) }
    }
}

/// Makes them.
pub(super) type Bridging = dyn Fn(&PoolConfig, &BridgeConfig) -> Result<Bridged> + Send + Sync;

impl Builder {
    /// How pools with `transport = "grpc"` are made of what the configuration says of them, which this library does not know:
    /// `hatchery_snakepit::configured` does. Without it such a pool is a mistake in the configuration. Asked at the start, and at each
    /// [`Hatchery::reconfigure`](crate::Hatchery::reconfigure).
    #[must_use]
    pub fn bridging<F>(mut self, make: F) -> Builder
    where
        F: Fn(&PoolConfig, &BridgeConfig) -> Result<Bridged> + Send + Sync + 'static,
    {
        self.bridging = Some(Arc::new(make));
        self
    }

    /// Gives the pools of the configuration that need one their bridge.
    pub(super) fn bridge_pools(&mut self) -> Result<()> {
        let configured = self.configured.iter().flat_map(|config| &config.pools);
        for pool in configured {
            let AppConfig::Bridged(bridge) = &pool.app else { continue };
            let make = self.bridging.as_ref().ok_or_else(|| without_a_bridge(&pool.name))?;
            let Bridged { app, transport } = make(pool, bridge)?;
            for (_, own, config) in self.pools.iter_mut().filter(|(name, _, _)| *name == pool.name) {
                (*own, config.transport) = (Arc::clone(&app), Some(Arc::clone(&transport)));
            }
        }
        Ok(())
    }
}
