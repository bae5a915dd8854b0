//! In place of `otlp.rs`, where the feature `otlp` is off: whoever wants to export is told.

use std::convert::Infallible;
use std::sync::Arc;

use hatchery::{Error, ErrorKind, Hatchery, OtlpConfig, Result};

use crate::house::House;

/// There is none.
pub(crate) struct Exporting(Infallible);

impl Exporting {
    pub(crate) fn of(config: &OtlpConfig) -> Result<Option<Exporting>> {
        let told = "telemetry.otlp.endpoint: this build cannot export: it was made without the feature `otlp`";
        match config.endpoint {
            None => Ok(None),
            Some(_) => Err(Error::new(ErrorKind::Validation, told)),
        }
    }

    pub(crate) fn sample_ratio(&self) -> f64 {
        match self.0 {}
    }

    pub(crate) fn begin(&self, _: &Arc<House>, _: &Arc<Hatchery>) -> Result<Exporter> {
        match self.0 {}
    }
}

/// There is none.
pub(crate) struct Exporter(Infallible);

impl Exporter {
    pub(crate) async fn end(self) {
        match self.0 {}
    }
}
