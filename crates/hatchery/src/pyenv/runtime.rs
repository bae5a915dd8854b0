//! The Python side of hatchery, embedded in this library.

use std::path::PathBuf;

use super::embedded::Embedded;
use crate::error::Result;

// DIGEST, FILES: made by build.rs.
include!(concat!(env!("OUT_DIR"), "/runtime_files.rs"));

pub(super) const RUNTIME: Embedded = Embedded::new("runtime", DIGEST, FILES);

/// The folder that holds the Python package `hatchery` and its boot script; unpacks it on first use.
///
/// It lies in `$XDG_CACHE_HOME/hatchery` (by default `~/.cache/hatchery`), or in `/tmp/hatchery-<uid>` where there is no
/// home that can be written. Only this user can read it. Any number of threads and processes may ask at once.
///
/// # Errors
/// [`ErrorKind::Validation`](crate::ErrorKind::Validation) if no such folder can be made, or if somebody else had a hand in the one that is there.
pub fn runtime_dir() -> Result<PathBuf> {
    RUNTIME.folder()
}
