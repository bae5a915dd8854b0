//! One open call: who waits for it, what it hands down, and what makes it a call again.

use std::sync::Arc;

use super::{Answer, Ended, Sink};
use crate::call::Deadline;
use crate::error::Result;
use crate::id::CallId;
use crate::value::Payload;
use crate::worker::{Call, Given, Journey};

/// A call that is open.
pub(super) struct Open {
    /// As the pool knows it.
    pub(super) id: CallId,
    /// It is somebody's call, and not a question of our own.
    pub(super) counts: bool,
    pub(super) sink: Sink,
    pub(super) given: Given,
    pub(super) correlation_id: Arc<str>,
    pub(super) session: Option<String>,
    pub(super) trace_parent: Option<Arc<str>>,
    pub(super) deadline: Option<Deadline>,
    /// What a stream may still send, in bytes; one chunk may take it below zero.
    pub(super) credit: i64,
    /// What is needed to make it a call again, if it can be.
    pub(super) kept: Option<Kept>,
}

/// The rest of a call, which another worker can run if this one has not begun it.
pub(super) struct Kept {
    pub(super) tool: Arc<str>,
    pub(super) arguments: Payload,
    pub(super) handles: bool,
    pub(super) deaths: u8,
}

/// What a call hands down to those that are made on its behalf.
#[derive(Clone, Debug)]
pub(crate) struct Heritage {
    pub(crate) correlation_id: Arc<str>,
    pub(crate) session: Option<String>,
    pub(crate) trace_parent: Option<Arc<str>>,
    pub(crate) deadline: Option<Deadline>,
}

impl Open {
    pub(super) fn heritage(&self) -> Heritage {
        Heritage {
            correlation_id: Arc::clone(&self.correlation_id),
            session: self.session.clone(),
            trace_parent: self.trace_parent.clone(),
            deadline: self.deadline,
        }
    }

    pub(super) fn ended(self, result: Result<Payload>, journey: Journey) -> Ended {
        Ended { id: self.id, sink: self.sink, answer: Answer { result, journey } }
    }

    /// The call as it was, of a worker that has died, if it was not begun.
    pub(super) fn untouched(mut self, is_untouched: bool, is_suspect: bool) -> Result<(CallId, Call), (Sink, Given)> {
        let deaths = self.kept.as_mut().map(|kept| {
            kept.deaths += u8::from(is_suspect);
            kept.deaths
        });
        match deaths {
            Some(..=MOST_DEATHS) if is_untouched => self.into_call(),
            _ => Err((self.sink, self.given)),
        }
    }

    /// The call as it was before it was sent, if it was kept.
    pub(super) fn into_call(self) -> Result<(CallId, Call), (Sink, Given)> {
        let Open { id, sink, given, correlation_id, session, trace_parent, deadline, kept: Some(kept), .. } = self
        else {
            return Err((self.sink, self.given));
        };
        let (Kept { tool, arguments, handles, deaths }, made, mark) = (kept, given.made, None);
        let call = Call {
            tool,
            arguments,
            correlation_id,
            session,
            handles,
            trace_parent,
            metadata: None,
            deadline,
            sink,
            made,
            deaths,
            mark,
        };
        Ok((id, call))
    }
}

/// So many workers may die over a call that none of them had begun, as the first that they had to read. More than that, and it
/// is thought to be the reason.
pub(super) const MOST_DEATHS: u8 = 2;
