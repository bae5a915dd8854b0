//! The configuration, as far as a daemon knows of it: that somebody can read it again.

use hatchery::{Config, Result};

/// Reads the configuration again. In a thread where it may block.
pub trait Reload: Send + Sync + 'static {
    /// # Errors
    /// `validation`, with everything that is wrong.
    fn read(&self) -> Result<Config>;
}

impl<F: Fn() -> Result<Config> + Send + Sync + 'static> Reload for F {
    fn read(&self) -> Result<Config> {
        self()
    }
}
