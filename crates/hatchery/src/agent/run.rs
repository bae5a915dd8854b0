//! The handle of a run.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::log::{AgentEvents, Log};
use super::order::{Order, StopReport, Stopping};
use super::{AgentInfo, AgentRunId, Answer, Asked, Outcome, Phase, StopLadder, Stream};
use crate::error::{Error, ErrorKind, Result};

/// A run that is, or was until a moment ago. Cheap to clone; dropping one changes nothing: the run belongs to the
/// [`Hatchery`](crate::Hatchery) that started it, and ends with it.
#[derive(Clone, Debug)]
pub struct AgentRun {
    id: AgentRunId,
    seen: watch::Receiver<Seen>,
    orders: mpsc::UnboundedSender<Order>,
    log: Log,
}

/// What its owner shows of a run.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) info: Arc<AgentInfo>,
    /// What ended it, if somebody asked for that; once it is over.
    pub(super) report: Option<StopReport>,
}

impl AgentRun {
    pub(super) fn new(
        id: AgentRunId,
        seen: watch::Receiver<Seen>,
        orders: mpsc::UnboundedSender<Order>,
        log: Log,
    ) -> AgentRun {
        AgentRun { id, seen, orders, log }
    }

    /// Its name, for ever.
    pub fn id(&self) -> AgentRunId {
        self.id
    }

    /// What it is doing now. Never waits.
    pub fn info(&self) -> Arc<AgentInfo> {
        Arc::clone(&self.seen.borrow().info)
    }

    /// What it says, from the event of this number on, or from its first one for 0. It ends when the run is over and all was read.
    pub fn events(&self, from: u64) -> AgentEvents {
        self.log.from(from)
    }

    /// So many bytes of a line that an event names by its place ([`Line::Spooled`](super::Line::Spooled)), from there on.
    ///
    /// # Errors
    /// `not_found` if the spool has forgotten them.
    pub async fn line(&self, stream: Stream, offset: u64, length: usize) -> Result<Bytes> {
        let gone = |why: &str| Error::new(ErrorKind::NotFound, format!("agent run {}: that line {why}", self.id));
        match self.log.bytes(stream, offset, length).await {
            Ok(bytes) => bytes.ok_or_else(|| gone("is not there any more")),
            Err(error) => Err(gone(&format!("cannot be read: {error}"))),
        }
    }

    /// Resolves when it does something else than when this was called: a state, a name, a turn. With what it does then.
    /// Cancel safe.
    pub async fn changed(&mut self) -> Arc<AgentInfo> {
        let _it_is_over_else = self.seen.changed().await;
        self.info()
    }

    /// Writes a turn. Returns when it is on its way: an agent that is busy reads it later.
    ///
    /// # Errors
    /// `conflict` if it takes no turns, or no more; `saturated` if it does not read.
    pub async fn send(&self, turn: impl Into<String>) -> Result<()> {
        let text = turn.into();
        self.told(|told| Order::Turn { text, told }).await
    }

    /// Answers what it has asked ([`Signal::NeedsInput`](super::Signal::NeedsInput)).
    ///
    /// # Errors
    /// `not_found` if it has not asked that, or has its answer; those of [`AgentRun::send`].
    pub async fn answer(&self, request: impl Into<String>, answer: Answer) -> Result<()> {
        let request = request.into();
        self.told(|told| Order::Answer { request, answer, told }).await
    }

    /// Tells it that no turn follows: its input ends once it has read what was sent. Most agents end then, with the turn that they
    /// work on.
    ///
    /// # Errors
    /// `conflict` if it is over.
    pub async fn end_input(&self) -> Result<()> {
        self.told(|told| Order::EndInput { told }).await
    }

    /// Ends its turn, and not its process, where its protocol has a word for that; else it is sent SIGINT, which ends some. Returns when
    /// that is on its way.
    ///
    /// # Errors
    /// `conflict` if it is over.
    pub async fn interrupt(&self) -> Result<()> {
        self.told(|told| Order::Interrupt { told }).await
    }

    /// Ends it by its ladder, or by this one. All who ask for that at once see one ladder and get the same report. Of a run that is over, that of
    /// its end. Dropping the future takes back nothing.
    pub async fn stop(&self, ladder: Option<StopLadder>) -> StopReport {
        self.end(Asked::Stop, ladder, "stop was asked for").await
    }

    /// Ends it and all its members at once.
    pub async fn kill(&self) -> StopReport {
        self.end(Asked::Kill, None, "kill was asked for").await
    }

    /// What has become of it, once it is over and nothing that it may not leave is left. Cancel safe.
    pub async fn wait(&self) -> Outcome {
        let mut seen = self.seen.clone();
        // An owner that is gone without a word was dropped with its hatchery.
        let over = seen.wait_for(|seen| seen.info.state.phase.is_over()).await;
        match over.map(|seen| seen.info.state.phase.clone()) {
            Ok(Phase::Exited { outcome }) => outcome,
            _ => Outcome::lost("its hatchery was dropped"),
        }
    }

    pub(super) async fn end(&self, asked: Asked, ladder: Option<StopLadder>, reason: &str) -> StopReport {
        let reason = reason.to_owned();
        let _over_already = self.orders.send(Order::Stop(Stopping { asked, ladder, reason }));
        let outcome = self.wait().await;
        let report = self.seen.borrow().report.clone();
        report.unwrap_or_else(|| StopReport::of_one_that_ended_itself(self.id, &outcome))
    }

    async fn told(&self, order: impl FnOnce(oneshot::Sender<Result<()>>) -> Order) -> Result<()> {
        let (told, answer) = oneshot::channel();
        let over = || Error::new(ErrorKind::Conflict, format!("agent run {}: it is over", self.id));
        self.orders.send(order(told)).map_err(|_| over())?;
        answer
            .await
            .unwrap_or_else(|_| Err(over()))
            .map_err(|error| error.context(format_args!("agent run {}", self.id)))
    }
}
