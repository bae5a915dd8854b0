//! What a run is. Told what has happened, the machine says in which state the run is, when a limit is due, and what has become of
//! it. It does nothing itself, and what time it is, is an argument.

use std::time::{Duration, Instant, SystemTime};

use super::{
    AgentLimits, AgentSessionId, AgentSpec, AgentState, Asked, CommandPlan, ExitHow, Id, Input, Leftover, LineAdapter,
    Outcome, OutcomeKind, Phase, Signal, Start, Stream, Tail, Usage,
};
use end::{End, Terminal, fate};
pub(super) use limits::Limit;
use limits::Watch;
use work::Work;

mod end;
mod limits;
#[cfg(test)]
mod tests;
mod work;

/// So many names of a conversation are remembered of one run.
const MOST_NAMES: usize = 256;

/// What the machine needs to know beforehand.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) limits: AgentLimits,
    pub(super) start: Start,
    /// Whether it says that it is done: then an exit without that is not a good one.
    pub(super) has_terminal_message: bool,
    /// Whether it takes turns for as long as its input is open.
    pub(super) is_conversation: bool,
    /// What its conversation is called, where that is known before there is a process.
    pub(super) session: Option<AgentSessionId>,
}

/// Something that has happened to a run.
#[derive(Debug)]
pub(super) enum Fact<'a> {
    /// There is a process.
    Spawned,
    /// There will be none.
    NotSpawned { why: String },
    /// It has written a line.
    Line(Stream),
    /// And this is what the line means, or what an answer to it does.
    Signal(&'a Signal),
    /// A turn was written to it.
    TurnSent,
    /// Nothing more can be written to it.
    InputClosed,
    /// Somebody wants something of it. `by`: who, in a few words, or why.
    Ordered { asked: Asked, by: &'a str },
    /// This rung of its ladder has begun.
    Rung(u32),
    /// Its process has ended.
    Exited(ExitHow),
    /// What it has written is read, all of it.
    OutputEnded(Tail),
    /// Of its members, so many are ended, and these live on.
    MembersEnded { ended: u32, left: Vec<Leftover> },
}

/// What follows of a fact, for whoever wants to hear of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// [`Machine::state`] says something else.
    State,
    /// The agent calls its conversation something else; what it was called before keeps leading to it.
    Session { now: AgentSessionId, was: Option<AgentSessionId> },
    /// [`Machine::resumable`] says something else.
    Resumable,
    /// It has not said who it is for so long.
    StartLate { after: Duration },
    /// If nothing changes, a limit passes after `left`.
    LimitNear { limit: Limit, left: Duration },
    /// A limit has passed: the run is to be stopped. Told once.
    LimitPassed { limit: Limit },
}

/// One run, from its record to its end.
#[derive(Debug)]
pub(super) struct Machine {
    plan: Plan,
    clock: Clock,
    state: AgentState,
    life: Life,
    work: Work,
    wishes: Wishes,
    watch: Watch,
    /// The latest first.
    sessions: Vec<AgentSessionId>,
    resumable: Option<bool>,
    has_said_who_it_is: bool,
    has_written_a_line: bool,
    is_input_closed: bool,
    tail: Option<Tail>,
    /// How many members were ended, and which live on.
    members: Option<(u32, Vec<Leftover>)>,
}

/// Runs forward only, and is set by nobody: the wall is looked at once.
#[derive(Debug)]
struct Clock {
    began: Instant,
    wall: SystemTime,
    now: Instant,
}

#[derive(Debug)]
enum Life {
    NotYet,
    Running {
        since: Instant,
    },
    /// What it has left is looked after.
    Exited(ExitHow),
    Over,
}

/// What is wanted of the run, and by whom.
#[derive(Debug, Default)]
struct Wishes {
    interrupt: Option<Interrupt>,
    stop: Option<String>,
    kill: Option<String>,
    limit: Option<Limit>,
    rung: Option<u32>,
}

#[derive(Debug)]
struct Interrupt {
    by: String,
    /// It has done its work: the next turn is another matter.
    has_ended_a_turn: bool,
}

impl Plan {
    /// Of what is to be started.
    pub(super) fn of(spec: &AgentSpec, command: &CommandPlan, adapter: &dyn LineAdapter) -> Plan {
        let session = match &command.session {
            Id::Known(session) => Some(session.clone()),
            Id::Unknown => None,
        };
        Plan {
            limits: spec.limits,
            start: command.start,
            has_terminal_message: adapter.has_terminal_message(),
            is_conversation: matches!(spec.input, Input::Conversation(_)),
            session,
        }
    }
}

impl Machine {
    /// Of a run that is being recorded.
    pub(super) fn new(plan: Plan, now: Instant, wall: SystemTime) -> Machine {
        let sessions = plan.session.iter().cloned().collect();
        let has_said_who_it_is = plan.start == Start::Silently;
        Machine {
            plan,
            clock: Clock { began: now, wall, now },
            state: AgentState { phase: Phase::Spawning, since: wall, reason: String::new() },
            life: Life::NotYet,
            work: Work::new(now),
            wishes: Wishes::default(),
            watch: Watch::default(),
            sessions,
            resumable: None,
            has_said_who_it_is,
            has_written_a_line: false,
            is_input_closed: false,
            tail: None,
            members: None,
        }
    }

    /// What follows of this. A run that is over hears nothing more.
    pub(super) fn hear(&mut self, fact: Fact<'_>, now: Instant) -> Vec<Change> {
        self.clock.pass_to(now);
        if matches!(self.life, Life::Over) {
            return Vec::new();
        }
        let now = self.clock.now;
        let mut changes = Vec::new();
        match fact {
            // It happens for each line, and changes nothing that is shown.
            Fact::Line(stream) => {
                self.has_written_a_line |= stream == Stream::Stdout;
                self.work.active(now);
                return changes;
            }
            Fact::Spawned => self.spawned(now),
            Fact::NotSpawned { why } => return self.not_spawned(why),
            Fact::Signal(signal) => self.signal(signal, now, &mut changes),
            Fact::TurnSent => self.turn_begins(now),
            Fact::InputClosed => self.is_input_closed = true,
            Fact::Ordered { asked, by } => self.ordered(asked, by),
            Fact::Rung(rung) => self.wishes.rung = Some(rung),
            Fact::Exited(exit) => self.exited(exit),
            Fact::OutputEnded(tail) => self.tail = Some(tail),
            Fact::MembersEnded { ended, left } => self.members = Some((ended, left)),
        }
        let change = self.conclude().or_else(|| self.refresh());
        changes.extend(change);
        changes
    }

    /// What follows of the time that has passed.
    pub(super) fn pass(&mut self, now: Instant) -> Vec<Change> {
        self.clock.pass_to(now);
        let mut changes = Vec::new();
        for limit in Limit::ALL {
            self.pass_limit(limit, &mut changes);
        }
        changes.extend(self.refresh());
        changes
    }

    /// When [`Machine::pass`] has something to say, if nothing happens before.
    pub(super) fn due(&self) -> Option<Instant> {
        Limit::ALL.into_iter().filter_map(|limit| self.watch.next(limit, self.since(limit)?, &self.plan.limits)).min()
    }

    pub(super) fn state(&self) -> &AgentState {
        &self.state
    }

    /// What its conversation is called, the latest first.
    pub(super) fn sessions(&self) -> &[AgentSessionId] {
        &self.sessions
    }

    /// Whether the conversation can be resumed, as far as the agent has said so.
    pub(super) fn resumable(&self) -> Option<bool> {
        self.resumable
    }

    /// Turns that it has ended.
    pub(super) fn turns(&self) -> u32 {
        self.work.turns
    }

    /// What they have cost together.
    pub(super) fn usage(&self) -> Usage {
        self.work.usage
    }

    /// What has become of it, once it is over.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        match &self.state.phase {
            Phase::Exited { outcome } => Some(outcome),
            _ => None,
        }
    }
}

/// What facts do.
impl Machine {
    fn spawned(&mut self, now: Instant) {
        if !matches!(self.life, Life::NotYet) {
            return;
        }
        self.life = Life::Running { since: now };
        self.work.active(now);
        // What it is to do, it has with its input or its command line.
        if !self.plan.is_conversation {
            self.work.begin_turn(now);
        }
    }

    fn not_spawned(&mut self, why: String) -> Vec<Change> {
        if !matches!(self.life, Life::NotYet) {
            return Vec::new();
        }
        let mut outcome = self.outcome_of(ExitHow::NeverStarted);
        if outcome.kind == OutcomeKind::BadCommandLine {
            outcome.reason = why;
        }
        vec![self.end(outcome)]
    }

    fn signal(&mut self, signal: &Signal, now: Instant, changes: &mut Vec<Change>) {
        self.has_said_who_it_is |= !matches!(signal, Signal::Warning { .. });
        match signal {
            Signal::SessionSeen { session } => changes.extend(self.session_seen(session)),
            Signal::SessionResumable => changes.extend(self.resumable_is(true)),
            Signal::TurnStarted | Signal::ToolStarted { .. } => self.turn_begins(now),
            Signal::TurnEnded { not_found, .. } => {
                if *not_found {
                    changes.extend(self.resumable_is(false));
                }
                if let Some(interrupt) = &mut self.wishes.interrupt {
                    interrupt.has_ended_a_turn = true;
                }
            }
            _ => {}
        }
        self.work.hear(signal, now);
    }

    fn turn_begins(&mut self, now: Instant) {
        self.work.begin_turn(now);
        if self.wishes.interrupt.as_ref().is_some_and(|interrupt| interrupt.has_ended_a_turn) {
            self.wishes.interrupt = None;
        }
    }

    fn session_seen(&mut self, session: &AgentSessionId) -> Option<Change> {
        if self.sessions.first() == Some(session) {
            return None;
        }
        let was = self.sessions.first().cloned();
        self.sessions.retain(|known| known != session);
        self.sessions.insert(0, session.clone());
        self.sessions.truncate(MOST_NAMES);
        // That was said of another conversation.
        self.resumable = None;
        Some(Change::Session { now: session.clone(), was })
    }

    fn resumable_is(&mut self, is_resumable: bool) -> Option<Change> {
        let was = self.resumable.replace(is_resumable);
        (was != Some(is_resumable)).then_some(Change::Resumable)
    }

    /// Of a process that has ended by itself nothing can be asked any more.
    fn ordered(&mut self, asked: Asked, by: &str) {
        if matches!(self.life, Life::Exited(_)) {
            return;
        }
        let by = by.to_owned();
        match asked {
            Asked::Interrupt => {
                let has_ended_a_turn = matches!(self.life, Life::Running { .. }) && !self.work.is_in_turn();
                self.wishes.interrupt = Some(Interrupt { by, has_ended_a_turn });
            }
            Asked::Stop => drop(self.wishes.stop.get_or_insert(by)),
            Asked::Kill => drop(self.wishes.kill.get_or_insert(by)),
        }
    }

    fn exited(&mut self, exit: ExitHow) {
        if !matches!(self.life, Life::Exited(_)) {
            self.life = Life::Exited(exit);
        }
    }

    fn pass_limit(&mut self, limit: Limit, changes: &mut Vec<Change>) {
        while let Some(since) = self.since(limit) {
            match self.watch.pass(limit, since, &self.plan.limits, self.clock.now) {
                None => return,
                Some(Change::LimitPassed { limit }) => {
                    self.wishes.limit = Some(limit);
                    changes.push(Change::LimitPassed { limit });
                }
                Some(change) => changes.push(change),
            }
        }
    }
}

/// What the facts come to.
impl Machine {
    /// Since when a limit counts; `None` if it does not now.
    fn since(&self, limit: Limit) -> Option<Instant> {
        let Life::Running { since } = self.life else { return None };
        if self.wishes.is_ending() {
            return None;
        }
        let is_quiet_for_a_reason = self.is_starting() || self.work.is_busy_elsewhere();
        match limit {
            Limit::Start if self.plan.start == Start::AtFirstTurn => {
                self.work.first_turn.filter(|_| self.is_starting())
            }
            Limit::Start => Some(since).filter(|_| self.is_starting()),
            Limit::Turn => self.work.turn_since(),
            Limit::Idle => Some(self.work.last_active).filter(|_| !is_quiet_for_a_reason),
            Limit::Runtime => Some(since),
        }
    }

    /// Whether it is to say who it is, and has not.
    fn is_starting(&self) -> bool {
        let waits_for_a_turn = self.plan.start == Start::AtFirstTurn && self.work.first_turn.is_none();
        !self.has_said_who_it_is && !waits_for_a_turn
    }

    /// All of it follows from what was heard, so that there is no transition that could be wrong. `None`: it is over.
    fn phase(&self) -> Option<(Phase, String)> {
        let draining = |why: &str| Some((Phase::Draining, why.to_owned()));
        match (&self.life, self.wishes.rung, self.work.asked.first()) {
            (Life::Over, ..) => None,
            (Life::NotYet, ..) => Some((Phase::Spawning, String::new())),
            (Life::Exited(_), ..) => draining("its process has ended"),
            (_, Some(rung), _) => Some((Phase::Stopping { rung }, self.wishes.why())),
            (.., Some(asked)) => Some((Phase::WaitingInput { request: asked.request.clone() }, asked.what.clone())),
            _ if self.is_starting() => Some((Phase::Starting, String::new())),
            _ if self.work.is_in_turn() => Some((Phase::Busy { tool: self.work.oldest_tool() }, self.work.trouble())),
            _ if self.is_input_closed => draining("its input is closed"),
            _ if !self.plan.is_conversation => draining("it is done"),
            _ => Some((Phase::Idle, self.work.last_failure())),
        }
    }

    /// Makes [`Machine::state`] say what is so now.
    fn refresh(&mut self) -> Option<Change> {
        let (phase, reason) = self.phase()?;
        if phase == self.state.phase && reason == self.state.reason {
            return None;
        }
        self.enter(phase, reason);
        Some(Change::State)
    }

    fn enter(&mut self, phase: Phase, reason: String) {
        let since = if phase == self.state.phase { self.state.since } else { self.clock.wall_now() };
        self.state = AgentState { phase, since, reason };
    }

    /// The three that end a run may come in any order.
    fn conclude(&mut self) -> Option<Change> {
        let (Life::Exited(exit), Some(_), Some(_)) = (&self.life, self.tail, &self.members) else { return None };
        let outcome = self.outcome_of(*exit);
        Some(self.end(outcome))
    }

    fn end(&mut self, outcome: Outcome) -> Change {
        self.life = Life::Over;
        let reason = outcome.reason.clone();
        self.enter(Phase::Exited { outcome }, reason);
        Change::State
    }

    fn outcome_of(&mut self, exit: ExitHow) -> Outcome {
        let tail = self.tail.unwrap_or(Tail::Missing);
        let (members_ended, leftovers) = self.members.take().unwrap_or_default();
        let (kind, reason) = fate(&End {
            asked: self.wishes.asked(),
            by: &self.wishes.why(),
            limit: self.wishes.limit.map(|limit| (limit, limit.allowed(&self.plan.limits).unwrap_or_default())),
            terminal: self.work.terminal.as_ref(),
            owes_an_answer: self.work.is_in_turn(),
            exit,
            tail,
            has_terminal_message: self.plan.has_terminal_message,
            has_written_a_line: self.has_written_a_line,
        });
        Outcome {
            kind,
            exit,
            asked: self.wishes.asked(),
            reason,
            turns: self.work.turns,
            last_result: self.work.last_result.clone(),
            tail,
            members_ended,
            leftovers,
            took_ms: self.clock.age_ms(),
        }
    }
}

impl Wishes {
    /// The hardest.
    fn asked(&self) -> Option<Asked> {
        let kill = self.kill.as_ref().map(|_| Asked::Kill);
        let stop = self.stop.as_ref().map(|_| Asked::Stop);
        kill.or(stop).or(self.interrupt.as_ref().map(|_| Asked::Interrupt))
    }

    /// Who asked for the hardest; or which limit has passed.
    fn why(&self) -> String {
        let limit = || self.limit.map(|limit| limit.to_string());
        let interrupt = || self.interrupt.as_ref().map(|interrupt| interrupt.by.clone());
        self.kill.clone().or_else(|| self.stop.clone()).or_else(limit).or_else(interrupt).unwrap_or_default()
    }

    /// Whether its end is wanted, for whatever reason: then no limit counts any more.
    fn is_ending(&self) -> bool {
        self.kill.is_some() || self.stop.is_some() || self.limit.is_some() || self.rung.is_some()
    }
}

impl Clock {
    fn pass_to(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn age(&self) -> Duration {
        self.now.saturating_duration_since(self.began)
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX)
    }

    fn wall_now(&self) -> SystemTime {
        self.wall.checked_add(self.age()).unwrap_or(self.wall)
    }
}
