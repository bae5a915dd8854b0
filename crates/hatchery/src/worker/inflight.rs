//! The open calls of one worker: who waits for what, and how much a stream may still send.

mod open;
mod row;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use open::Heritage;
use open::{Kept, Open};
use row::Row;

use super::{Call, Given, Journey, Line, WireId};
use crate::error::{Error, Result};
use crate::id::CallId;
use crate::value::Payload;
use crate::wire::HEALTH_TOOL;

/// What a caller gets, and how it came about.
pub(crate) struct Answer {
    pub(crate) result: Result<Payload>,
    pub(crate) journey: Journey,
}

/// Where the answer of a call goes.
pub(crate) enum Sink {
    /// One answer.
    Unary(oneshot::Sender<Answer>),
    /// Chunks, then an end. Unbounded, because credit bounds it.
    Stream(mpsc::UnboundedSender<Item>),
}

/// What a stream's reader gets.
pub(crate) enum Item {
    /// A worker has it; credit is granted there.
    Begun(Arc<Line>),
    Chunk {
        payload: Payload,
        cost: u64,
    },
    End(Result<()>, Journey),
}

impl Sink {
    /// It was never given to a worker, or nobody knows when.
    pub(crate) fn fail(self, error: Error) {
        self.tell(Answer { result: Err(error), journey: Journey::default() });
    }

    pub(crate) fn tell(self, answer: Answer) {
        // Nobody listening is fine: the caller gave up.
        match self {
            Sink::Unary(caller) => drop(caller.send(answer)),
            // What a generator returned is nobody's.
            Sink::Stream(caller) => drop(caller.send(Item::End(answer.result.map(drop), answer.journey))),
        }
    }
}

/// A call that has ended, and whose caller does not know it yet.
pub(crate) struct Ended {
    /// As the pool knows it.
    pub(crate) id: CallId,
    sink: Sink,
    answer: Answer,
}

impl Ended {
    pub(crate) fn tell(self) {
        self.sink.tell(self.answer);
    }
}

/// The table. Once closed, it takes no more calls.
#[derive(Default)]
pub(crate) struct Inflight {
    table: Mutex<Table>,
    /// Rung when a call ends.
    less: Notify,
    /// Rung when a call is behind another.
    behind: Notify,
}

#[derive(Default)]
struct Table {
    /// In the order in which they were sent, which is that in which a worker that runs one at a time answers.
    open: Row<Open>,
    answered: Answered,
    /// The highest that was answered.
    last_answered: WireId,
    /// When the last call has ended.
    last_end: Option<Instant>,
    /// How many have left the table, however they did.
    ended: u64,
    /// Those that were asked for and not yet spoken of.
    recalled: Option<Range<WireId>>,
    /// Up to here, it was asked for calls and gave some back. What is open below, it has begun.
    given_back: WireId,
    is_closed: bool,
}

/// How many calls the worker has answered for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) calls: u64,
    /// Of these, with an error.
    pub(crate) errors: u64,
}

/// How a call is to be taken in.
pub(crate) struct Opening {
    /// What a stream may send, in bytes.
    pub(crate) credit: u32,
    /// It is a call again if the worker does not begin it.
    pub(crate) is_kept: bool,
    pub(crate) given: Given,
}

/// How a call was taken in.
pub(crate) enum Opened {
    /// The worker has no other.
    First,
    /// It has.
    Behind,
    /// It is on its way out.
    Dying(Box<Call>),
}

/// What the worker sent cannot be about this call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    NotOpen,
    NotAStream,
    IsAStream,
    NoCredit,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mismatch::NotOpen => "which is not open",
            Mismatch::NotAStream => "which is not a stream",
            Mismatch::IsAStream => "which is a stream",
            Mismatch::NoCredit => "which has no credit left",
        })
    }
}

impl Inflight {
    /// Takes a call in, before it is written to the worker.
    pub(crate) fn open(&self, wire: WireId, id: CallId, call: Call, opening: Opening) -> Opened {
        let mut table = self.lock();
        if table.is_closed {
            return Opened::Dying(Box::new(call));
        }
        let counts = &*call.tool != HEALTH_TOOL;
        let Opening { credit, is_kept, given } = opening;
        let Call { tool, arguments, correlation_id, session, handles, trace_parent, deadline, sink, deaths, .. } = call;
        let kept = is_kept.then_some(Kept { tool, arguments, handles, deaths });
        let (is_behind, credit) = (table.open.len() > 0, credit.into());
        let open = Open { id, counts, sink, given, correlation_id, session, trace_parent, deadline, credit, kept };
        table.open.append(wire, open);
        if !is_behind {
            return Opened::First;
        }
        self.behind.notify_one();
        Opened::Behind
    }

    /// A RESULT came. The call is closed, and its caller still to be told.
    pub(crate) fn result(&self, wire: WireId, payload: Payload) -> Result<Ended, Mismatch> {
        let (open, journey) = self.remove(wire, |sink| matches!(sink, Sink::Unary(_)), Mismatch::IsAStream)?;
        Ok(open.ended(Ok(payload), journey))
    }

    /// A CHUNK came.
    pub(crate) fn chunk(&self, wire: WireId, payload: Payload, cost: u64) -> Result<(), Mismatch> {
        let mut table = self.lock();
        let open = table.open.get_mut(wire).ok_or(Mismatch::NotOpen)?;
        let Sink::Stream(caller) = &open.sink else { return Err(Mismatch::NotAStream) };
        if open.credit <= 0 {
            return Err(Mismatch::NoCredit);
        }
        open.credit = open.credit.saturating_sub_unsigned(cost);
        let _given_up = caller.send(Item::Chunk { payload, cost });
        Ok(())
    }

    /// An END came. As [`Inflight::result`].
    pub(crate) fn end(&self, wire: WireId, payload: Payload) -> Result<Ended, Mismatch> {
        let (open, journey) = self.remove(wire, |sink| matches!(sink, Sink::Stream(_)), Mismatch::NotAStream)?;
        Ok(open.ended(Ok(payload), journey))
    }

    /// An ERROR came. As [`Inflight::result`].
    pub(crate) fn error(&self, wire: WireId, error: Error) -> Result<Ended, Mismatch> {
        let (open, journey) = self.remove(wire, |_| true, Mismatch::NotOpen)?;
        self.lock().answered.errors += u64::from(open.counts);
        Ok(open.ended(Err(error), journey))
    }

    /// More credit for a stream. `None` if it has ended.
    pub(crate) fn grant(&self, id: CallId, bytes: u32) -> Option<WireId> {
        let mut table = self.lock();
        let (wire, open) = table.open.iter_mut().find(|(_, open)| open.id == id)?;
        open.credit += i64::from(bytes);
        Some(wire)
    }

    /// The number on the wire of a call that is open. Looks through all of them: there are few.
    pub(crate) fn wire_id(&self, id: CallId) -> Option<WireId> {
        self.lock().open.iter_mut().find(|(_, open)| open.id == id).map(|(wire, _)| wire)
    }

    /// How far the call would have come if it ended now, if it is open.
    pub(crate) fn journey(&self, id: CallId) -> Option<Journey> {
        let mut table = self.lock();
        let (last_end, first) = (table.last_end, table.open.nth(0));
        let (wire, open) = table.open.iter_mut().find(|(_, open)| open.id == id)?;
        Some(open.given.cut_off(Instant::now(), last_end, first == Some(wire)))
    }

    pub(crate) fn is_open(&self, wire: WireId) -> bool {
        self.lock().open.get(wire).is_some()
    }

    /// Whether it is what a worker that runs one call at a time is at.
    pub(crate) fn is_first(&self, wire: WireId) -> bool {
        self.lock().open.nth(0) == Some(wire)
    }

    /// How many have ended so far, if a call is behind another.
    pub(crate) fn ended_before_those_behind(&self) -> Option<u64> {
        let table = self.lock();
        (table.open.len() > 1).then_some(table.ended)
    }

    /// Waits until a call is behind another; one that came since the last wait counts. Cancel safe.
    pub(crate) async fn one_behind(&self) {
        self.behind.notified().await;
    }

    /// Everything behind the first one that may not have been begun is asked for, unless an answer to that is still due.
    pub(crate) fn recall(&self) -> Option<Range<WireId>> {
        let mut table = self.lock();
        if table.recalled.is_some() {
            return None;
        }
        // Never again those that it has given back.
        let asked = table.open.nth(1)?.max(table.given_back)..table.open.last()? + 1;
        table.recalled = (!asked.is_empty()).then_some(asked);
        table.recalled.clone()
    }

    /// The worker gives back so many from `first` on. They are no longer its calls.
    pub(crate) fn recalled(&self, first: WireId, count: u32) -> Result<Vec<(CallId, Call)>, String> {
        let mut table = self.lock();
        let asked = table.recalled.take().ok_or("which nobody asked for")?;
        let end = first.saturating_add(count.into());
        if first < asked.start || end != asked.end {
            return Err(format!("and {} to {} were asked for", asked.start, asked.end - 1));
        }
        let is_kept = |wire: &WireId| table.open.get(*wire).is_some_and(|open| open.kept.is_some());
        if let Some(wrong) = (first..end).find(|wire| !is_kept(wire)) {
            return Err(format!("of which {wrong} cannot be given back"));
        }
        let back: Vec<Open> = (first..end).filter_map(|wire| table.open.remove(wire)).collect();
        if count > 0 {
            table.given_back = end;
        }
        table.ended += u64::from(count);
        self.less.notify_one();
        Ok(back.into_iter().filter_map(|open| open.into_call().ok()).collect())
    }

    /// Waits until a call ends; one that has ended since the last wait counts. Cancel safe.
    pub(crate) async fn one_less(&self) {
        self.less.notified().await;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().open.len()
    }

    pub(crate) fn answered(&self) -> Answered {
        self.lock().answered
    }

    pub(crate) fn correlation_id(&self, wire: WireId) -> Option<Arc<str>> {
        self.lock().open.get(wire).map(|open| Arc::clone(&open.correlation_id))
    }

    /// What a call hands down, as long as it is open.
    pub(crate) fn heritage(&self, wire: WireId) -> Option<Heritage> {
        self.lock().open.get(wire).map(Open::heritage)
    }

    /// The worker is gone: takes no more calls, and fails those that it had begun. The others are given back. Without a word on
    /// which call it began last, it had begun all.
    #[must_use]
    pub(crate) fn close(&self, error: &Error, last_begun: Option<WireId>) -> Vec<(CallId, Call)> {
        let (open, last_answered, last_end) = {
            let mut table = self.lock();
            table.is_closed = true;
            (std::mem::take(&mut table.open), table.last_answered, table.last_end)
        };
        let now = Instant::now();
        // A word that what was answered belies is none.
        let last_begun = last_begun.filter(|last| *last >= last_answered).unwrap_or(WireId::MAX);
        let mut is_first = true;
        let mut untouched = Vec::new();
        for (wire, call) in open.into_entries() {
            match call.untouched(wire > last_begun, is_first) {
                Ok(call) => untouched.push(call),
                Err((sink, given)) => {
                    let journey = given.cut_off(now, last_end, is_first);
                    sink.tell(Answer { result: Err(error.clone()), journey });
                }
            }
            is_first = false;
        }
        untouched
    }

    fn remove(
        &self,
        wire: WireId,
        fits: impl Fn(&Sink) -> bool,
        otherwise: Mismatch,
    ) -> Result<(Open, Journey), Mismatch> {
        let mut table = self.lock();
        let open = table.open.get(wire).ok_or(Mismatch::NotOpen)?;
        if !fits(&open.sink) {
            return Err(otherwise);
        }
        let open = table.open.remove(wire).ok_or(Mismatch::NotOpen)?;
        table.last_answered = table.last_answered.max(wire);
        table.ended += 1;
        table.answered.calls += u64::from(open.counts);
        let now = Instant::now();
        let journey = open.given.ended(now, table.last_end.replace(now));
        self.less.notify_one();
        Ok((open, journey))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every section leaves the table whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
