//! Which session a call is of.

use super::Shared;
use crate::call::{Affinity, CallOptions};
use crate::error::Result;
use crate::pool::refused::state_lost;
use crate::pool::roster::SessionWants;

impl Shared {
    /// The session of a call is made if there is none.
    pub(super) fn session_of(&self, options: &CallOptions, usual: Affinity) -> Result<Option<SessionWants>> {
        let Some(id) = options.session.as_deref().filter(|_| !options.is_directed) else { return Ok(None) };
        let (birth, last_worker) = self.sessions.enter(id)?;
        let affinity = options.affinity.unwrap_or(usual);
        // Of an earlier run of this program, which has taken its workers along.
        let stranger = last_worker.filter(|last| last.run != self.sessions.run());
        match stranger.filter(|_| affinity != Affinity::Hint) {
            Some(last) => Err(state_lost(&last.worker, last.generation)),
            None => Ok(Some(SessionWants { id: id.into(), birth, affinity })),
        }
    }

    /// Forgets where sessions were bound that are no more.
    pub(in crate::pool) fn forget_sessions(&self) {
        let bound = self.roster().sessions();
        for (id, birth) in bound.into_iter().filter(|(id, birth)| !self.sessions.is_known(id, *birth)) {
            self.roster().forget_session(&id, birth);
        }
    }
}
