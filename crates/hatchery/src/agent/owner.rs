//! The task that owns a run: all that is done to it is done here, one thing after another.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::input::StandardInput;
use super::ladder::{Action, Ladder, Means, Next};
use super::machine::Fact;
use super::order::{Order, StopReport, Stopping};
use super::story::{Said, Story};
use super::{AgentRunId, Answer, Asked, ExitHow, Leftover, Outcome, Step, StopLadder};
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Child, Death, Escalation, Pid, Status, command_of};
use crate::registry::Entry;

/// How long what a run has left unread may take to be read once its process has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Everything of one run. Dropped, its process ends with all its members.
pub(super) struct Owner {
    // The process goes first.
    pub(super) child: Child,
    pub(super) entry: Entry,
    pub(super) input: StandardInput,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// Its own way to be ended.
    pub(super) ladder: StopLadder,
    /// Its protocol has a word that ends a turn.
    pub(super) has_interrupt: bool,
    pub(super) ending: Option<Ending>,
    pub(super) story: Story,
}

/// An end that is under way.
pub(super) struct Ending {
    ladder: Ladder,
    since: Instant,
    /// When its next step is due.
    due: Option<Instant>,
    /// The last step that was taken.
    last: Option<Action>,
}

/// What has happened, one at a time.
enum Happened {
    Ordered(Option<Order>),
    Exited,
    Due,
    Flowed(io::Result<()>),
    Said(Said),
}

impl Owner {
    /// The whole life.
    pub(super) async fn live(mut self, first_turn: Option<String>) {
        self.story.begin().await;
        if let Some(text) = first_turn
            && let Err(error) = self.turn(&text).await
        {
            self.story.warn(format!("its first turn: {error}")).await;
        }
        self.story.show();
        self.until_it_exits().await;
        self.wind_up().await;
    }

    async fn until_it_exits(&mut self) {
        loop {
            match self.next().await {
                Happened::Exited => return,
                Happened::Ordered(Some(order)) => self.obey(order).await,
                Happened::Ordered(None) => self.stop(Stopping::of_an_abandoned_run()).await,
                Happened::Due => self.pass_time().await,
                Happened::Flowed(flowed) => self.flowed(flowed).await,
                Happened::Said(said) => self.story.listen(said).await,
            }
        }
    }

    async fn next(&mut self) -> Happened {
        let due = self.ending.as_ref().and_then(|ending| ending.due);
        let due = due.into_iter().chain(self.story.machine.due()).min();
        let Owner { orders, child, input, story, .. } = self;
        tokio::select! {
            biased;
            // A run that never stops writing is to be stopped all the same.
            order = orders.recv(), if !orders.is_closed() || !orders.is_empty() => Happened::Ordered(order),
            // And what it has left is read afterwards, to a bound.
            () = child.exited() => Happened::Exited,
            // No flood of lines puts a limit off.
            () = until(due) => Happened::Due,
            // What it waits for comes before what it says.
            flowed = input.flow(), if input.has_work() => Happened::Flowed(flowed),
            said = story.next() => Happened::Said(said),
        }
    }

    /// What is told of the time that has passed, and the next rung of an end that is under way.
    async fn pass_time(&mut self) {
        self.story.pass_time().await;
        if std::mem::take(&mut self.story.is_past_a_limit) {
            self.begin_end(None, false).await;
        }
        self.climb().await;
    }
}

/// What is wanted of it.
impl Owner {
    async fn obey(&mut self, order: Order) {
        match order {
            Order::Turn { text, told } => {
                let done = self.turn(&text).await;
                tell(told, done);
            }
            Order::Answer { request, answer, told } => {
                let done = self.answer(&request, &answer).await;
                tell(told, done);
            }
            Order::EndInput { told } => {
                self.end_input().await;
                tell(told, Ok(()));
            }
            Order::Interrupt { told } => {
                let done = self.interrupt();
                self.story.hear(Fact::Ordered { asked: Asked::Interrupt, by: "an interrupt was asked for" }).await;
                tell(told, done);
            }
            Order::Stop(stopping) => self.stop(stopping).await,
        }
        self.story.show();
    }

    async fn turn(&mut self, text: &str) -> Result<()> {
        let takes_none = || Error::new(ErrorKind::Conflict, "it takes no turns");
        let bytes = self.story.dialogue.turn(text).ok_or_else(takes_none)?;
        self.input.put(bytes)?;
        self.story.hear(Fact::TurnSent).await;
        Ok(())
    }

    async fn answer(&mut self, request: &str, answer: &Answer) -> Result<()> {
        let adapted = self.story.dialogue.answer(request, answer)?;
        self.input.put(adapted.bytes)?;
        for signal in &adapted.signals {
            self.story.hear(Fact::Signal(signal)).await;
        }
        Ok(())
    }

    /// It reads what waits for it, and then the end.
    async fn end_input(&mut self) {
        self.input.end();
        self.story.hear(Fact::InputClosed).await;
    }

    /// By its own word if it has one and can read it, else by the signal that a terminal would send.
    fn interrupt(&mut self) -> Result<()> {
        if self.input.is_open()
            && let Some(bytes) = self.story.dialogue.interrupt()
        {
            return self.input.put(bytes);
        }
        self.child.signal(libc::SIGINT);
        Ok(())
    }

    async fn flowed(&mut self, flowed: io::Result<()>) {
        if let Err(error) = flowed {
            self.story.warn(format!("it does not read its input any more: {error}")).await;
        }
        if !self.input.is_open() {
            self.story.hear(Fact::InputClosed).await;
        }
        self.story.show();
    }
}

/// How it ends.
impl Owner {
    /// Whoever comes second sees the end that is under way, unless it wants a harder one.
    async fn stop(&mut self, stopping: Stopping) {
        let Stopping { asked, ladder, reason } = stopping;
        self.story.hear(Fact::Ordered { asked, by: &reason }).await;
        self.begin_end(ladder, asked == Asked::Kill).await;
    }

    async fn begin_end(&mut self, plan: Option<StopLadder>, at_once: bool) {
        let now = Instant::now();
        let (plan, means) = (plan.unwrap_or_else(|| self.ladder.clone()), self.means());
        let ending = match &mut self.ending {
            Some(ending) => {
                ending.ladder.join(&plan, means, now);
                ending
            }
            none => {
                self.entry.terminating();
                none.insert(Ending { ladder: Ladder::new(&plan, now), since: now, due: None, last: None })
            }
        };
        if at_once {
            ending.ladder.kill();
        }
        self.climb().await;
    }

    /// Takes the steps that are due.
    async fn climb(&mut self) {
        loop {
            let means = self.means();
            let Some(ending) = &mut self.ending else { return };
            match ending.ladder.next(means, Instant::now()) {
                Next::Wait(until) => {
                    ending.due = until;
                    return self.story.show();
                }
                Next::Take { rung, action } => {
                    ending.last = Some(action);
                    self.act(action).await;
                    self.story.hear(Fact::Rung(rung)).await;
                }
            }
        }
    }

    fn means(&self) -> Means {
        let has_stdin = self.input.is_open();
        Means { has_interrupt: has_stdin && self.has_interrupt, has_stdin }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Step(Step::Interrupt) => drop(self.interrupt()),
            Action::Step(Step::CloseStdin) => self.end_input().await,
            Action::Step(Step::Signal(signal)) => self.child.signal(signal),
            Action::Kill => drop(self.child.kill_now()),
        }
    }

    /// Its process has ended. What it has left in its pipes is read, what it has left running is ended, and then it is over.
    async fn wind_up(mut self) {
        self.input.close();
        let _whoever_holds_it_is_not_waited_for = tokio::time::timeout(LAST_WORDS, self.story.hear_out()).await;
        let Owner { child, entry, mut story, ending, .. } = self;
        let death = process::end(child, &Escalation::AT_ONCE, || ()).await;
        story.give_up_listening().await;
        story.hear(Fact::Exited(how(&death.status))).await;
        story.hear(Fact::MembersEnded { ended: death.escaped, left: leftovers(&death) }).await;
        story.conclude(|outcome, run| ending.map(|ending| ending.report(outcome, run)));
        if let Some(remains) = death.remains {
            remains.gone().await;
        }
        entry.release();
    }
}

impl Ending {
    fn report(self, outcome: &Outcome, run: AgentRunId) -> StopReport {
        let took_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let rung = self.last.map_or_else(|| "itself".to_owned(), |action| action.to_string());
        StopReport { rung, took_ms, ..StopReport::of_one_that_ended_itself(run, outcome) }
    }
}

/// Of members that live on, as they may.
fn leftovers(death: &Death) -> Vec<Leftover> {
    let leftover = |pid: &u32| {
        let pid = Pid::new(pid.cast_signed())?;
        Some(Leftover { pid: pid.get(), command: command_of(pid) })
    };
    death.left.iter().filter_map(leftover).collect()
}

fn how(status: &Status) -> ExitHow {
    match *status {
        Status::Exited(code) => ExitHow::Code(code),
        Status::Signaled { signal, .. } => ExitHow::Signal(signal),
        Status::Unguarded => ExitHow::Unknown,
        Status::Unkillable => ExitHow::Unkillable,
    }
}

/// Whoever asked may have gone away meanwhile.
fn tell(told: oneshot::Sender<Result<()>>, done: Result<()>) {
    let _gone = told.send(done);
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
