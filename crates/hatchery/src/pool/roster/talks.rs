//! What the roster knows of sessions: to which life each is bound, and where its calls wait.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::queue::Tenant;
use super::{Line, SessionWants, Wants};
use crate::call::Priority;
use crate::id::{CallId, LifeId};

#[derive(Debug, Default)]
pub(super) struct Talks(HashMap<Arc<str>, Talk>);

#[derive(Debug)]
struct Talk {
    birth: u64,
    bound: Option<LifeId>,
    common: Stand,
    pinned: Stand,
}

/// Calls of one session in one line. All of them stand as the first one does, so that none overtakes another.
#[derive(Debug, Default)]
struct Stand {
    priority: Priority,
    tenant: Tenant,
    ids: BTreeSet<CallId>,
}

impl Talk {
    fn stand(&mut self, line: Line) -> &mut Stand {
        match line {
            Line::Common => &mut self.common,
            Line::Pinned(_) => &mut self.pinned,
        }
    }

    fn is_idle(&self) -> bool {
        self.bound.is_none() && self.common.ids.is_empty() && self.pinned.ids.is_empty()
    }
}

impl Talks {
    pub(super) fn bound(&self, session: &str, birth: u64) -> Option<LifeId> {
        self.0.get(session).filter(|talk| talk.birth == birth)?.bound
    }

    pub(super) fn is_bound(&self, wants: &Wants) -> bool {
        wants.session.as_ref().is_some_and(|session| self.bound(&session.id, session.birth).is_some())
    }

    /// A call of this session came: one of a deleted session of the same name is over, and what is known of it with it. Its calls
    /// that still wait stay where they are.
    pub(super) fn admitted(&mut self, session: &SessionWants) {
        if let Some(talk) = self.0.get_mut(&session.id).filter(|talk| talk.birth != session.birth) {
            (talk.birth, talk.bound) = (session.birth, None);
        }
    }

    /// True if it was bound to nobody before. A late call of a deleted session binds nothing.
    pub(super) fn bind(&mut self, session: &SessionWants, life: LifeId) -> bool {
        let talk = self.talk(session);
        let is_first = talk.bound.is_none() && talk.birth == session.birth;
        if is_first {
            talk.bound = Some(life);
        }
        is_first
    }

    pub(super) fn unbind(&mut self, session: &SessionWants) {
        if let Some(talk) = self.0.get_mut(&session.id).filter(|talk| talk.birth == session.birth) {
            talk.bound = None;
        }
        self.forget_if_idle(&session.id);
    }

    pub(super) fn has_waiting(&self, line: Line, session: &SessionWants) -> bool {
        self.0.get(&session.id).is_some_and(|talk| {
            talk.birth == session.birth
                && match line {
                    Line::Common => !talk.common.ids.is_empty(),
                    Line::Pinned(_) => !talk.pinned.ids.is_empty(),
                }
        })
    }

    /// In the order of their coming.
    pub(super) fn waiting_in_common(&self, session: &SessionWants) -> Vec<CallId> {
        self.0.get(&session.id).map(|talk| talk.common.ids.iter().copied().collect()).unwrap_or_default()
    }

    /// The call waits from now on. Says as what.
    pub(super) fn joined(&mut self, line: Line, wants: &Wants, id: CallId) -> (Priority, Tenant) {
        let Some(session) = &wants.session else { return (wants.priority, wants.tenant.clone()) };
        let stand = self.talk(session).stand(line);
        if stand.ids.is_empty() {
            (stand.priority, stand.tenant) = (wants.priority, wants.tenant.clone());
        }
        stand.ids.insert(id);
        (stand.priority, stand.tenant.clone())
    }

    /// It waits no more.
    pub(super) fn left(&mut self, line: Line, wants: &Wants, id: CallId) {
        let Some(session) = &wants.session else { return };
        if let Some(talk) = self.0.get_mut(&session.id) {
            talk.stand(line).ids.remove(&id);
        }
        self.forget_if_idle(&session.id);
    }

    pub(super) fn bound_ones(&self) -> Vec<(Arc<str>, u64)> {
        self.0.iter().filter(|(_, talk)| talk.bound.is_some()).map(|(id, talk)| (Arc::clone(id), talk.birth)).collect()
    }

    pub(super) fn bound_to(&self, life: LifeId) -> Vec<Arc<str>> {
        self.0.iter().filter(|(_, talk)| talk.bound == Some(life)).map(|(id, _)| Arc::clone(id)).collect()
    }

    /// What waits goes on waiting.
    pub(super) fn forget(&mut self, session: &Arc<str>, birth: u64) {
        if let Some(talk) = self.0.get_mut(session).filter(|talk| talk.birth == birth) {
            talk.bound = None;
        }
        self.forget_if_idle(session);
    }

    fn talk(&mut self, session: &SessionWants) -> &mut Talk {
        let new = || Talk { birth: session.birth, bound: None, common: Stand::default(), pinned: Stand::default() };
        self.0.entry(Arc::clone(&session.id)).or_insert_with(new)
    }

    fn forget_if_idle(&mut self, session: &Arc<str>) {
        if self.0.get(session).is_some_and(Talk::is_idle) {
            self.0.remove(session);
        }
    }
}
