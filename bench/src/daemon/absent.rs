//! A build that cannot measure the daemon.

use serde::Serialize;

use crate::Result;
use crate::grid::Grid;
use crate::options::Options;

const ABSENT: &str = "built without the feature `daemon`, which `cargo xtask bench` turns on";

/// There is none.
#[derive(Debug, Serialize)]
pub(crate) enum Table {}

impl Table {
    pub(crate) fn grids(&self) -> Vec<Grid> {
        match *self {}
    }
}

pub(crate) fn measure_all(_: &Options) -> Result<Table> {
    Err(ABSENT.into())
}

pub(crate) fn floor() -> Result<()> {
    Err(ABSENT.into())
}
