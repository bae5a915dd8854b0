//! The open calls of one worker: who waits for what, and how much a stream may still send.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{Line, WireId};
use crate::error::{Error, Result};
use crate::id::CallId;
use crate::value::Payload;

/// Where the answer of a call goes.
pub(crate) enum Sink {
    /// One answer.
    Unary(oneshot::Sender<Result<Payload>>),
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
    End(Result<()>),
}

impl Sink {
    pub(crate) fn fail(self, error: Error) {
        // Nobody listening is fine: the caller gave up.
        match self {
            Sink::Unary(caller) => drop(caller.send(Err(error))),
            Sink::Stream(caller) => drop(caller.send(Item::End(Err(error)))),
        }
    }
}

struct Open {
    /// As the pool knows it.
    id: CallId,
    /// It is somebody's call, and not a question of our own.
    counts: bool,
    sink: Sink,
    correlation_id: Arc<str>,
    /// What a stream may still send, in bytes; one chunk may take it below zero.
    credit: i64,
}

/// The table. Once closed, it takes no more calls.
#[derive(Default)]
pub(crate) struct Inflight {
    table: Mutex<Table>,
    /// Rung when a call ends.
    less: Notify,
}

#[derive(Default)]
struct Table {
    open: HashMap<WireId, Open>,
    answered: Answered,
    is_closed: bool,
}

/// How many calls the worker has answered for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) calls: u64,
    /// Of these, with an error.
    pub(crate) errors: u64,
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
    /// Takes a call in, before it is written to the worker. Gives the sink back if the worker is on its way out.
    pub(crate) fn open(
        &self,
        wire: WireId,
        id: CallId,
        counts: bool,
        sink: Sink,
        correlation_id: Arc<str>,
        credit: u32,
    ) -> Result<(), Sink> {
        let mut table = self.lock();
        if table.is_closed {
            return Err(sink);
        }
        table.open.insert(wire, Open { id, counts, sink, correlation_id, credit: credit.into() });
        Ok(())
    }

    /// A RESULT came. The call is closed; what is returned tells the caller.
    pub(crate) fn result(&self, wire: WireId, payload: Payload) -> Result<(CallId, impl FnOnce() + use<>), Mismatch> {
        let Open { id, sink, .. } = self.remove(wire, |sink| matches!(sink, Sink::Unary(_)), Mismatch::IsAStream)?;
        let tell = move || {
            if let Sink::Unary(caller) = sink {
                let _given_up = caller.send(Ok(payload));
            }
        };
        Ok((id, tell))
    }

    /// A CHUNK came.
    pub(crate) fn chunk(&self, wire: WireId, payload: Payload, cost: u64) -> Result<(), Mismatch> {
        let mut table = self.lock();
        let open = table.open.get_mut(&wire).ok_or(Mismatch::NotOpen)?;
        let Sink::Stream(caller) = &open.sink else { return Err(Mismatch::NotAStream) };
        if open.credit <= 0 {
            return Err(Mismatch::NoCredit);
        }
        open.credit = open.credit.saturating_sub_unsigned(cost);
        let _given_up = caller.send(Item::Chunk { payload, cost });
        Ok(())
    }

    /// An END came. As [`Inflight::result`].
    pub(crate) fn end(&self, wire: WireId) -> Result<(CallId, impl FnOnce() + use<>), Mismatch> {
        let Open { id, sink, .. } = self.remove(wire, |sink| matches!(sink, Sink::Stream(_)), Mismatch::NotAStream)?;
        let tell = move || {
            if let Sink::Stream(caller) = sink {
                let _given_up = caller.send(Item::End(Ok(())));
            }
        };
        Ok((id, tell))
    }

    /// An ERROR came. As [`Inflight::result`].
    pub(crate) fn error(&self, wire: WireId, error: Error) -> Result<(CallId, impl FnOnce() + use<>), Mismatch> {
        let Open { id, counts, sink, .. } = self.remove(wire, |_| true, Mismatch::NotOpen)?;
        self.lock().answered.errors += u64::from(counts);
        Ok((id, move || sink.fail(error)))
    }

    /// More credit for a stream. `None` if it has ended.
    pub(crate) fn grant(&self, id: CallId, bytes: u32) -> Option<WireId> {
        let mut table = self.lock();
        let (wire, open) = table.open.iter_mut().find(|(_, open)| open.id == id)?;
        open.credit += i64::from(bytes);
        Some(*wire)
    }

    /// The number on the wire of a call that is open. Looks through all of them: there are few.
    pub(crate) fn wire_id(&self, id: CallId) -> Option<WireId> {
        self.lock().open.iter().find(|(_, open)| open.id == id).map(|(wire, _)| *wire)
    }

    pub(crate) fn is_open(&self, wire: WireId) -> bool {
        self.lock().open.contains_key(&wire)
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
        self.lock().open.get(&wire).map(|open| Arc::clone(&open.correlation_id))
    }

    /// The worker is gone: takes no more calls, and fails those that are open.
    pub(crate) fn close(&self, error: &Error) {
        let open = {
            let mut table = self.lock();
            table.is_closed = true;
            std::mem::take(&mut table.open)
        };
        for call in open.into_values() {
            call.sink.fail(error.clone());
        }
    }

    fn remove(&self, wire: WireId, fits: impl Fn(&Sink) -> bool, otherwise: Mismatch) -> Result<Open, Mismatch> {
        let mut table = self.lock();
        match table.open.entry(wire) {
            Entry::Vacant(_) => Err(Mismatch::NotOpen),
            Entry::Occupied(open) if !fits(&open.get().sink) => Err(otherwise),
            Entry::Occupied(open) => {
                let open = open.remove();
                table.answered.calls += u64::from(open.counts);
                self.less.notify_one();
                Ok(open)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every section leaves the table whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn unary(inflight: &Inflight, id: WireId) -> oneshot::Receiver<Result<Payload>> {
        let (sink, reply) = oneshot::channel();
        assert!(inflight.open(id, id + 10, true, Sink::Unary(sink), "c".into(), 0).is_ok());
        reply
    }

    fn stream(inflight: &Inflight, id: WireId, credit: u32) -> mpsc::UnboundedReceiver<Item> {
        let (sink, items) = mpsc::unbounded_channel();
        assert!(inflight.open(id, id + 10, true, Sink::Stream(sink), "c".into(), credit).is_ok());
        items
    }

    fn payload() -> Payload {
        Payload::encode(&1).unwrap()
    }

    #[test]
    fn an_answer_comes_once() {
        let inflight = Inflight::default();
        let mut reply = unary(&inflight, 1);
        let (id, tell) = inflight.result(1, payload()).unwrap();
        assert_eq!(id, 11);
        assert!(!inflight.is_open(1) && reply.try_recv().is_err(), "closed first, told then");
        tell();
        assert!(reply.try_recv().unwrap().is_ok());
        assert_eq!(inflight.result(1, payload()).err(), Some(Mismatch::NotOpen));
    }

    #[test]
    fn answers_are_counted_and_failures_among_them() {
        let inflight = Inflight::default();
        let (_one, _two) = (unary(&inflight, 1), unary(&inflight, 2));
        assert!(inflight.result(1, payload()).is_ok());
        assert!(inflight.error(2, Error::new(ErrorKind::Remote, "raised")).is_ok());
        assert!(inflight.result(2, payload()).is_err());
        assert_eq!(inflight.answered(), Answered { calls: 2, errors: 1 });
    }

    #[test]
    fn frames_that_do_not_fit_the_call_are_mismatches() {
        let inflight = Inflight::default();
        let _reply = unary(&inflight, 1);
        let _items = stream(&inflight, 2, 10);
        assert_eq!(inflight.chunk(1, payload(), 1), Err(Mismatch::NotAStream));
        assert_eq!(inflight.end(1).err(), Some(Mismatch::NotAStream));
        assert_eq!(inflight.result(2, payload()).err(), Some(Mismatch::IsAStream));
        assert_eq!(inflight.chunk(3, payload(), 1), Err(Mismatch::NotOpen));
        assert!(inflight.is_open(1) && inflight.is_open(2));
    }

    #[test]
    fn a_stream_may_overdraw_its_credit_once() {
        let inflight = Inflight::default();
        let _items = stream(&inflight, 1, 10);
        assert_eq!(inflight.chunk(1, payload(), 100), Ok(()));
        assert_eq!(inflight.chunk(1, payload(), 1), Err(Mismatch::NoCredit));
        assert_eq!(inflight.grant(11, 91), Some(1));
        assert_eq!(inflight.chunk(1, payload(), 1), Ok(()));
    }

    #[test]
    fn closing_fails_what_is_open_and_refuses_the_rest() {
        let inflight = Inflight::default();
        let mut reply = unary(&inflight, 1);
        inflight.close(&Error::new(ErrorKind::WorkerDied, "died"));
        assert_eq!(reply.try_recv().unwrap().unwrap_err().kind(), ErrorKind::WorkerDied);
        let (sink, _reply) = oneshot::channel();
        assert!(inflight.open(2, 12, true, Sink::Unary(sink), "c".into(), 0).is_err());
    }
}
