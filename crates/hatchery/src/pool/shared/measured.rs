//! Which telemetry events the workers of a pool send.

use std::sync::{MutexGuard, PoisonError};

use super::Shared;
use crate::error::Result;
use crate::wire::Telemetry;
use crate::worker::Line;

impl Shared {
    /// Tells the workers that are ready, and from now on each that comes.
    pub(crate) fn measure(&self, settings: &Telemetry) -> Result<()> {
        let mut measured = self.lock_measured();
        *measured = settings.clone().over(std::mem::take(&mut *measured));
        let told = self.lines().into_iter().map(|line| line.telemetry(settings));
        told.fold(Ok(()), Result::and)
    }

    /// Tells one that comes. It is among those that are ready before the guard is dropped, and so misses nothing.
    pub(super) fn tell_newcomer(&self, line: &Line) -> MutexGuard<'_, Telemetry> {
        let measured = self.lock_measured();
        if !measured.is_all() {
            let _cannot_be_told = line.telemetry(&measured);
        }
        measured
    }

    fn lock_measured(&self) -> MutexGuard<'_, Telemetry> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
