//! What happens to single sessions, for those who want to hear of it.

use std::sync::Arc;

use super::super::conversation::SessionWorker;
use crate::telemetry::{Kind, SessionEvent};

#[derive(Clone, Debug, PartialEq)]
pub(in crate::session) enum News {
    Created(Arc<str>),
    Deleted(Arc<str>),
    Expired(Arc<str>),
    /// Another worker than before serves it.
    Assigned(Arc<str>, SessionWorker),
}

impl News {
    pub(in crate::session) fn kind(&self) -> Kind {
        const CREATED: Kind = Kind::named("session.created");
        const DESTROYED: Kind = Kind::named("session.destroyed");
        const ASSIGNED: Kind = Kind::named("session.affinity_assigned");
        match self {
            News::Created(_) => CREATED,
            News::Deleted(_) | News::Expired(_) => DESTROYED,
            News::Assigned(..) => ASSIGNED,
        }
    }

    /// The id of a session that is no more.
    pub(in crate::session) fn ended(&self) -> Option<&str> {
        match self {
            News::Deleted(id) | News::Expired(id) => Some(id),
            News::Created(_) | News::Assigned(..) => None,
        }
    }

    pub(in crate::session) fn event(&self) -> SessionEvent {
        let destroyed = |id: &Arc<str>, reason| SessionEvent::Destroyed { session: id.to_string(), reason };
        match self {
            News::Created(id) => SessionEvent::Created { session: id.to_string() },
            News::Deleted(id) => destroyed(id, "deleted"),
            News::Expired(id) => destroyed(id, "expired"),
            News::Assigned(id, SessionWorker { worker, generation, .. }) => SessionEvent::AffinityAssigned {
                session: id.to_string(),
                worker: worker.clone(),
                generation: *generation,
            },
        }
    }
}
