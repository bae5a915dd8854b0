//! The machine, by scripts of what happens to a run.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A machine, and a clock that only the test moves.
struct Script {
    machine: Machine,
    now: Instant,
    changes: Vec<Change>,
}

impl Script {
    fn new(plan: Plan) -> Script {
        let now = Instant::now();
        Script { machine: Machine::new(plan, now, SystemTime::now()), now, changes: Vec::new() }
    }

    /// One that has its work, and will say who it is.
    fn one_shot() -> Script {
        Script::new(plan(AgentLimits::default()))
    }

    /// One that takes turns, and says who it is when it has got the first.
    fn conversation(limits: AgentLimits) -> Script {
        let start = Start::AtFirstTurn;
        Script::new(Plan { is_conversation: true, start, ..plan(limits) })
    }

    fn hear(&mut self, fact: Fact<'_>) -> &mut Script {
        self.changes = self.machine.hear(fact, self.now);
        self
    }

    fn says(&mut self, signal: Signal) -> &mut Script {
        self.hear(Fact::Line(Stream::Stdout)).hear(Fact::Signal(&signal))
    }

    fn wait(&mut self, time: Duration) -> &mut Script {
        self.now += time;
        self.changes = self.machine.pass(self.now);
        self
    }

    fn asked(&mut self, asked: Asked) -> &mut Script {
        self.hear(Fact::Ordered { asked, by: "a test" })
    }

    fn over(&mut self, exit: ExitHow, tail: Tail) -> Outcome {
        self.hear(Fact::Exited(exit))
            .hear(Fact::OutputEnded(tail))
            .hear(Fact::MembersEnded { ended: 0, left: Vec::new() });
        self.machine.outcome().unwrap().clone()
    }

    fn open_tools(&self) -> Vec<&str> {
        self.machine.work.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    fn phase(&self) -> &'static str {
        self.machine.state().phase.name()
    }

    fn limits_passed(&self) -> Vec<Limit> {
        let passed = |change: &Change| if let Change::LimitPassed { limit } = change { Some(*limit) } else { None };
        self.changes.iter().filter_map(passed).collect()
    }
}

fn plan(limits: AgentLimits) -> Plan {
    Plan { limits, start: Start::ByItself, has_terminal_message: true, is_conversation: false, session: None }
}

fn session(name: &str) -> AgentSessionId {
    AgentSessionId::new(name)
}

fn seen(name: &str) -> Signal {
    Signal::SessionSeen { session: session(name) }
}

fn tool(id: &str) -> Signal {
    Signal::ToolStarted { id: id.into(), name: format!("tool {id}") }
}

fn tool_ends(id: &str) -> Signal {
    Signal::ToolEnded { id: id.into() }
}

fn needs(request: &str) -> Signal {
    Signal::NeedsInput { request: request.into(), what: "may it?".into() }
}

fn settled(request: &str) -> Signal {
    Signal::InputSettled { request: request.into() }
}

fn turn_ends(ok: bool) -> Signal {
    let usage = Usage { input_tokens: Some(10), output_tokens: None, cost: Some(0.25) };
    let (reason, result) = ((!ok).then(|| "API Error".to_owned()), ok.then(|| json!("pong")));
    Signal::TurnEnded { ok, reason, status: (!ok).then_some(400), not_found: false, usage: Some(usage), result }
}

#[test]
fn a_run_with_one_turn_from_its_record_to_its_end() {
    let mut run = Script::one_shot();
    assert_eq!(run.phase(), "spawning");
    assert_eq!(run.hear(Fact::Spawned).phase(), "starting");
    assert_eq!(run.changes, [Change::State]);
    assert_eq!(run.says(seen("a")).phase(), "busy");
    assert_eq!(run.changes, [Change::Session { now: session("a"), was: None }, Change::State]);
    run.says(tool("1")).says(tool("2"));
    assert_eq!(run.machine.state().phase, Phase::Busy { tool: Some("tool 1".into()) });
    run.says(tool_ends("1"));
    assert_eq!(run.open_tools(), ["tool 2"]);
    assert_eq!(run.says(turn_ends(true)).phase(), "draining");
    // The result is not the last line.
    run.says(Signal::Background { open: 0 });
    assert_eq!(run.hear(Fact::Exited(ExitHow::Code(0))).phase(), "draining");
    run.hear(Fact::OutputEnded(Tail::Clean));
    assert_eq!(run.machine.outcome(), None, "members may still be there");
    let left = Leftover { pid: 7, command: "server".into() };
    run.hear(Fact::MembersEnded { ended: 1, left: vec![left.clone()] });
    let outcome = run.machine.outcome().unwrap();
    assert_eq!((outcome.kind, outcome.turns, outcome.asked), (OutcomeKind::Completed, 1, None));
    assert_eq!((outcome.last_result.clone(), outcome.leftovers.clone()), (Some(json!("pong")), vec![left]));
    assert_eq!((run.machine.turns(), run.machine.usage().input_tokens), (1, Some(10)));
}

#[test]
fn a_conversation_is_idle_between_its_turns() {
    let mut run = Script::conversation(AgentLimits::default());
    assert_eq!(run.hear(Fact::Spawned).phase(), "idle", "it says nothing before its first turn");
    assert_eq!(run.hear(Fact::TurnSent).phase(), "starting");
    assert_eq!(run.says(seen("a")).phase(), "busy");
    assert_eq!(run.says(turn_ends(true)).phase(), "idle");
    assert_eq!(run.hear(Fact::TurnSent).phase(), "busy", "before the agent says so");
    run.says(turn_ends(false));
    assert_eq!(run.machine.state().reason, "status 400: API Error");
    assert_eq!(run.says(Signal::TurnStarted).phase(), "busy", "it may begin one by itself");
    run.says(turn_ends(true));
    assert_eq!(run.machine.usage(), Usage { input_tokens: Some(30), output_tokens: None, cost: Some(0.75) });
    assert_eq!(run.hear(Fact::InputClosed).phase(), "draining");
    let outcome = run.over(ExitHow::Code(0), Tail::Clean);
    assert_eq!((outcome.kind, outcome.turns), (OutcomeKind::Completed, 3));
}

#[test]
fn an_input_that_is_closed_in_a_turn_ends_the_run_after_it() {
    let mut run = Script::conversation(AgentLimits::default());
    run.hear(Fact::Spawned).hear(Fact::TurnSent).says(seen("a"));
    assert_eq!(run.hear(Fact::InputClosed).phase(), "busy");
    assert_eq!(run.says(turn_ends(true)).phase(), "draining");
}

#[test]
fn a_conversation_without_a_turn_owes_nothing() {
    let mut run = Script::conversation(AgentLimits::default());
    run.hear(Fact::Spawned).hear(Fact::InputClosed);
    assert_eq!(run.over(ExitHow::Code(0), Tail::Missing).kind, OutcomeKind::Completed);
}

#[test]
fn it_waits_for_the_oldest_question_until_all_are_answered() {
    let mut run = Script::one_shot();
    run.hear(Fact::Spawned).says(seen("a")).says(tool("1")).says(needs("p")).says(needs("q"));
    assert_eq!(run.machine.state().phase, Phase::WaitingInput { request: "p".into() });
    assert_eq!(run.machine.state().reason, "may it?");
    run.says(settled("p"));
    assert_eq!(run.machine.state().phase, Phase::WaitingInput { request: "q".into() });
    assert_eq!(run.says(settled("q")).phase(), "busy");
    run.says(needs("r"));
    assert_eq!(run.says(turn_ends(true)).phase(), "draining", "a turn that has ended waits for nothing");
}

#[test]
fn what_is_silent_and_takes_no_turns_is_busy_from_its_start() {
    let mut run =
        Script::new(Plan { start: Start::Silently, has_terminal_message: false, ..plan(AgentLimits::default()) });
    assert_eq!(run.hear(Fact::Spawned).phase(), "busy");
    assert!(run.wait(SECOND * 1000).changes.is_empty(), "it cannot be late");
    assert_eq!(run.over(ExitHow::Code(0), Tail::Partial(3)).kind, OutcomeKind::Completed);
}

#[test]
fn init_is_said_at_every_turn_and_another_name_is_one_more() {
    let mut run = Script::conversation(AgentLimits::default());
    run.hear(Fact::Spawned);
    for _turn in 0..5 {
        run.hear(Fact::TurnSent).says(seen("a"));
        run.says(Signal::SessionResumable).says(turn_ends(true));
    }
    assert_eq!((run.machine.sessions(), run.machine.resumable()), (&[session("a")][..], Some(true)));
    run.hear(Fact::TurnSent).says(seen("b"));
    assert_eq!(run.changes, [Change::Session { now: session("b"), was: Some(session("a")) }]);
    assert_eq!(run.machine.sessions(), [session("b"), session("a")]);
    assert_eq!(run.machine.resumable(), None, "that was said of the other one");
    run.says(seen("a"));
    assert_eq!(run.machine.sessions(), [session("a"), session("b")]);
}

#[test]
fn a_session_that_is_not_there_cannot_be_resumed() {
    let mut run = Script::new(Plan { session: Some(session("a")), ..plan(AgentLimits::default()) });
    assert_eq!(run.machine.sessions(), [session("a")]);
    let (usage, result, reason) = (None, None, Some("No conversation found".to_owned()));
    run.hear(Fact::Spawned);
    run.says(Signal::TurnEnded { ok: false, reason, status: None, not_found: true, usage, result });
    assert_eq!(run.changes, [Change::Resumable, Change::State]);
    assert_eq!(run.machine.resumable(), Some(false));
    assert_eq!(run.over(ExitHow::Code(1), Tail::Clean).kind, OutcomeKind::ResumeNotFound);
}

#[test]
fn an_interrupted_run_goes_on() {
    let mut run = Script::conversation(AgentLimits::default());
    run.hear(Fact::Spawned).hear(Fact::TurnSent).says(seen("a")).says(tool("1"));
    assert_eq!(run.asked(Asked::Interrupt).phase(), "busy");
    run.says(turn_ends(false));
    assert_eq!((run.phase(), run.open_tools().len()), ("idle", 0));
    run.hear(Fact::TurnSent).says(seen("a")).says(turn_ends(true)).hear(Fact::InputClosed);
    let outcome = run.over(ExitHow::Code(0), Tail::Clean);
    assert_eq!((outcome.kind, outcome.asked), (OutcomeKind::Completed, None), "that was another turn");
}

#[test]
fn a_run_that_ends_by_an_interrupt_says_so() {
    for (exit, tail) in
        [(ExitHow::Code(0), Tail::Clean), (ExitHow::Code(1), Tail::Partial(5)), (ExitHow::Signal(2), Tail::Missing)]
    {
        let mut run = Script::one_shot();
        run.hear(Fact::Spawned).says(seen("a")).asked(Asked::Interrupt).says(turn_ends(false));
        assert_eq!(run.over(exit, tail).kind, OutcomeKind::Interrupted);
    }
    let mut early = Script::one_shot();
    early.hear(Fact::Spawned).asked(Asked::Interrupt).says(Signal::TurnStarted);
    assert_eq!(early.over(ExitHow::Code(0), Tail::Clean).kind, OutcomeKind::Interrupted, "the turn that it meant");
}

#[test]
fn a_stop_shows_its_rungs_and_who_asked() {
    let mut run = Script::one_shot();
    run.hear(Fact::Spawned).says(seen("a")).says(needs("p")).asked(Asked::Stop);
    run.hear(Fact::Rung(1));
    assert_eq!(
        (&run.machine.state().phase, run.machine.state().reason.as_str()),
        (&Phase::Stopping { rung: 1 }, "a test")
    );
    run.hear(Fact::Rung(2)).says(turn_ends(false));
    assert_eq!(run.machine.state().phase, Phase::Stopping { rung: 2 });
    let outcome = run.over(ExitHow::Signal(15), Tail::Partial(9));
    assert_eq!(
        (outcome.kind, outcome.asked, outcome.reason.as_str()),
        (OutcomeKind::Stopped, Some(Asked::Stop), "a test")
    );
    assert_eq!(outcome.tail, Tail::Partial(9));
}

#[test]
fn what_is_asked_after_the_exit_has_not_caused_it() {
    let mut run = Script::one_shot();
    run.hear(Fact::Spawned).says(seen("a")).says(turn_ends(true)).hear(Fact::Exited(ExitHow::Code(0)));
    run.asked(Asked::Kill);
    assert_eq!(run.over(ExitHow::Signal(9), Tail::Clean).kind, OutcomeKind::Completed);
}

#[test]
fn what_could_not_be_started_is_over_with_the_reason() {
    let mut run = Script::one_shot();
    run.hear(Fact::NotSpawned { why: "no such file: agent".into() });
    let outcome = run.machine.outcome().unwrap();
    assert_eq!((outcome.kind, outcome.exit), (OutcomeKind::BadCommandLine, ExitHow::NeverStarted));
    assert_eq!(outcome.reason, "no such file: agent");
    assert!(run.hear(Fact::Spawned).changes.is_empty());
    let mut killed = Script::one_shot();
    killed.asked(Asked::Kill).hear(Fact::NotSpawned { why: "it was ended".into() });
    assert_eq!(killed.machine.outcome().unwrap().kind, OutcomeKind::Killed);
}

#[test]
fn a_late_start_is_told_once_and_ends_nothing() {
    let mut run = Script::one_shot();
    run.hear(Fact::Spawned).wait(SECOND * 59);
    assert!(run.changes.is_empty());
    assert_eq!(run.machine.due(), Some(run.now + SECOND));
    assert_eq!(run.wait(SECOND).changes, [Change::StartLate { after: SECOND * 60 }]);
    assert!(run.wait(SECOND * 600).changes.is_empty());
    assert_eq!((run.machine.due(), run.phase()), (None, "starting"));
    run.says(Signal::Warning { text: "no data".into() });
    assert_eq!(run.phase(), "starting");
    assert_eq!(run.says(seen("a")).phase(), "busy");
}

#[test]
fn a_start_that_may_not_be_late_is_stopped() {
    let mut run =
        Script::new(plan(AgentLimits { start: Some(SECOND * 10), start_stops: true, ..AgentLimits::default() }));
    run.hear(Fact::Spawned);
    assert_eq!(run.wait(SECOND * 8).changes, [Change::LimitNear { limit: Limit::Start, left: SECOND * 2 }]);
    assert_eq!(run.wait(SECOND * 2).limits_passed(), [Limit::Start]);
    assert_eq!(run.machine.due(), None);
    run.hear(Fact::Rung(1));
    assert_eq!(run.machine.state().reason, "the limit for its start");
    assert_eq!(run.over(ExitHow::Signal(15), Tail::Missing).kind, OutcomeKind::StartTimeout);
}

#[test]
fn an_agent_that_waits_for_its_first_turn_is_not_late() {
    let mut run = Script::conversation(AgentLimits::default());
    run.hear(Fact::Spawned);
    assert!(run.wait(SECOND * 600).changes.is_empty());
    run.hear(Fact::TurnSent);
    assert_eq!(run.wait(SECOND * 60).changes, [Change::StartLate { after: SECOND * 60 }]);
}

#[test]
fn only_silence_without_a_reason_is_idle() {
    let limits = AgentLimits { idle: Some(SECOND * 10), ..AgentLimits::default() };
    let mut run = Script::conversation(limits);
    run.hear(Fact::Spawned).hear(Fact::TurnSent).says(seen("a")).says(tool("1"));
    assert!(run.wait(SECOND * 30).changes.is_empty(), "a tool is silent for as long as it takes");
    run.says(needs("p")).says(tool_ends("1"));
    assert!(run.wait(SECOND * 30).changes.is_empty(), "so is whoever is asked");
    run.says(settled("p")).says(Signal::Background { open: 1 });
    assert!(run.wait(SECOND * 30).changes.is_empty(), "and what runs beside");
    run.says(Signal::Background { open: 0 }).says(Signal::SessionResumable).says(turn_ends(true));
    assert_eq!(run.wait(SECOND * 8).changes, [Change::LimitNear { limit: Limit::Idle, left: SECOND * 2 }]);
    run.hear(Fact::Line(Stream::Stderr));
    assert!(run.wait(SECOND * 7).changes.is_empty(), "a line is a sign of life");
    assert_eq!(run.wait(SECOND * 30).limits_passed(), [Limit::Idle]);
    let outcome = run.over(ExitHow::Code(0), Tail::Clean);
    assert_eq!((outcome.kind, outcome.asked), (OutcomeKind::Stopped, None));
    assert_eq!(outcome.reason, "the limit for being idle, 10s, has passed");
    assert_eq!(run.machine.resumable(), Some(true));
}

#[test]
fn a_turn_s_limit_does_not_count_while_somebody_is_asked() {
    let limits = AgentLimits { turn: Some(SECOND * 100), ..AgentLimits::default() };
    let mut run = Script::conversation(limits);
    run.hear(Fact::Spawned);
    assert!(run.wait(SECOND * 500).changes.is_empty(), "there is no turn");
    run.hear(Fact::TurnSent).says(seen("a")).wait(SECOND * 50);
    run.says(needs("p")).wait(SECOND * 500);
    assert_eq!(run.says(settled("p")).machine.due(), Some(run.now + SECOND * 30));
    run.wait(SECOND * 20).says(turn_ends(true)).hear(Fact::TurnSent);
    assert!(run.wait(SECOND * 79).changes.is_empty(), "each turn has its own");
    assert_eq!(run.wait(SECOND).changes, [Change::LimitNear { limit: Limit::Turn, left: SECOND * 20 }]);
    assert_eq!(run.wait(SECOND * 20).limits_passed(), [Limit::Turn]);
}

#[test]
fn the_run_time_is_limited_whatever_it_does() {
    let mut run = Script::new(plan(AgentLimits { runtime: Some(SECOND * 10), ..AgentLimits::default() }));
    run.hear(Fact::Spawned).says(seen("a")).says(tool("1"));
    let changes = run.wait(SECOND * 20).changes.clone();
    let near = Change::LimitNear { limit: Limit::Runtime, left: Duration::ZERO };
    assert_eq!(changes, [near, Change::LimitPassed { limit: Limit::Runtime }], "the warning first, however late");
    assert!(run.wait(SECOND * 20).changes.is_empty());
    run.says(turn_ends(false));
    assert_eq!(run.over(ExitHow::Code(1), Tail::Clean).kind, OutcomeKind::Stopped, "it ended its turn by that");
}

#[test]
fn a_run_that_is_being_ended_has_no_limits() {
    for asked in [Asked::Stop, Asked::Kill] {
        let mut run = Script::new(plan(AgentLimits { runtime: Some(SECOND), ..AgentLimits::default() }));
        run.hear(Fact::Spawned).asked(asked);
        assert_eq!((run.machine.due(), run.wait(SECOND * 5).changes.len()), (None, 0));
    }
}

#[test]
fn a_clock_that_goes_back_hurts_nothing() {
    let mut run = Script::new(plan(AgentLimits { idle: Some(SECOND * 10), ..AgentLimits::default() }));
    run.hear(Fact::Spawned).says(seen("a")).wait(SECOND * 5);
    run.now -= SECOND * 4;
    run.hear(Fact::Line(Stream::Stdout));
    assert_eq!(run.machine.due(), Some(run.now + SECOND * 4 + SECOND * 8));
    assert!(run.wait(SECOND).changes.is_empty());
}

/// A17: the wall is looked at once, and what it says then decides nothing.
#[test]
fn a_wall_clock_that_is_days_off_stops_nothing_and_puts_nothing_off() {
    let (days, now, wall) = (SECOND * 2 * 86_400, Instant::now(), SystemTime::now());
    let limits = AgentLimits { idle: Some(SECOND * 3), runtime: Some(SECOND * 5), ..AgentLimits::default() };
    let told = [wall - days, wall, wall + days].map(|wall| {
        let mut run = Script { machine: Machine::new(plan(limits), now, wall), now, changes: Vec::new() };
        run.hear(Fact::Spawned).says(seen("a"));
        (1..=6).map(|_| run.wait(SECOND).changes.clone()).collect::<Vec<_>>()
    });
    assert!(told.iter().all(|each| *each == told[1]), "{told:?}");
    let stopping = |changes: &Vec<Change>| changes.iter().any(|change| matches!(change, Change::LimitPassed { .. }));
    assert_eq!(told[1].iter().position(stopping), Some(2), "{told:?}");
}

#[test]
fn a_refusing_service_is_told_until_it_gives_in() {
    let mut run = Script::one_shot();
    run.hear(Fact::Spawned).says(seen("a")).says(Signal::Retry { attempt: 2, max: Some(10), status: Some(529) });
    assert_eq!(run.machine.state().reason, "its service refuses it (529): attempt 2 of 10");
    run.says(Signal::Text { text: "here".into() });
    assert_eq!(run.machine.state().reason, "");
}

/// One line of the rule for each.
#[test]
fn the_first_line_of_the_rule_that_fits_is_the_answer() {
    use OutcomeKind::*;
    let (well, badly) = (said(true, false), said(false, false));
    let limit = |limit| Some((limit, SECOND));
    let usual = End {
        asked: None,
        by: "a test",
        limit: None,
        terminal: None,
        owes_an_answer: true,
        exit: ExitHow::Code(0),
        tail: Tail::Clean,
        has_terminal_message: true,
        has_written_a_line: true,
    };
    let answered = End { terminal: Some(&well), owes_an_answer: false, ..usual.clone() };
    let failed = End { terminal: Some(&badly), exit: ExitHow::Code(1), ..answered.clone() };
    let everything = End { limit: limit(Limit::Turn), exit: ExitHow::Signal(9), ..failed.clone() };
    let plain = End { has_terminal_message: false, ..usual.clone() };
    let code = ExitHow::Code(2);
    let rows = [
        (End { asked: Some(Asked::Kill), ..everything.clone() }, Killed),
        (End { asked: Some(Asked::Stop), ..everything.clone() }, Stopped),
        (End { asked: Some(Asked::Interrupt), ..everything.clone() }, Stopped),
        (End { limit: limit(Limit::Start), ..everything.clone() }, StartTimeout),
        (everything, Stopped),
        (End { asked: Some(Asked::Interrupt), ..failed.clone() }, Interrupted),
        (End { terminal: Some(&said(false, true)), ..failed.clone() }, ResumeNotFound),
        (failed.clone(), Failed { status: Some(400) }),
        (End { exit: ExitHow::Code(0), ..failed.clone() }, Failed { status: Some(400) }),
        (End { owes_an_answer: true, ..failed.clone() }, Crashed),
        (End { exit: ExitHow::Signal(11), ..answered.clone() }, Crashed),
        (End { exit: ExitHow::Unknown, ..answered.clone() }, Crashed),
        (End { exit: code, ..usual.clone() }, Crashed),
        (End { exit: code, has_written_a_line: false, ..usual.clone() }, BadCommandLine),
        (End { exit: code, ..plain.clone() }, Crashed),
        (End { terminal: Some(&well), ..usual.clone() }, Incomplete),
        (usual, Incomplete),
        (End { tail: Tail::Partial(17), ..answered.clone() }, Incomplete),
        (End { exit: code, ..answered.clone() }, Completed),
        (answered, Completed),
        (End { tail: Tail::Partial(17), ..plain.clone() }, Completed),
        (plain, Completed),
    ];
    for (n, (end, expected)) in rows.into_iter().enumerate() {
        assert_eq!(fate(&end).0, expected, "row {n}: {end:?}");
    }
}

fn said(ok: bool, not_found: bool) -> Terminal {
    Terminal { ok, reason: None, status: (!ok).then_some(400), not_found }
}

/// A fact that owns what it says.
#[derive(Clone, Debug)]
enum Happening {
    Fact(u8, u32),
    Signal(Signal),
    Time,
}

fn happening() -> impl Strategy<Value = Happening> {
    let name = (0..4u8).prop_map(|n| n.to_string());
    let signal = prop_oneof![
        name.clone().prop_map(|name| seen(&name)),
        name.clone().prop_map(|id| tool(&id)),
        name.clone().prop_map(|id| tool_ends(&id)),
        name.clone().prop_map(|id| needs(&id)),
        name.prop_map(|id| settled(&id)),
        any::<bool>().prop_map(turn_ends),
        (0..3u32).prop_map(|open| Signal::Background { open }),
        Just(Signal::TurnStarted),
        Just(Signal::SessionResumable),
    ];
    prop_oneof![
        3 => signal.prop_map(Happening::Signal),
        2 => (0..10u8, 0..4u32).prop_map(|(which, n)| Happening::Fact(which, n)),
        1 => Just(Happening::Time),
    ]
}

fn tell(machine: &mut Machine, happening: &Happening, now: Instant) -> Vec<Change> {
    let fact = match happening {
        Happening::Time => return machine.pass(now),
        Happening::Signal(signal) => Fact::Signal(signal),
        Happening::Fact(0, _) => Fact::Spawned,
        Happening::Fact(1, 0) => Fact::NotSpawned { why: "no such file".into() },
        Happening::Fact(1 | 2, _) => Fact::Line(Stream::Stdout),
        Happening::Fact(3, _) => Fact::TurnSent,
        Happening::Fact(4, _) => Fact::InputClosed,
        Happening::Fact(5, n) => {
            Fact::Ordered { asked: [Asked::Interrupt, Asked::Stop, Asked::Kill][*n as usize % 3], by: "a test" }
        }
        Happening::Fact(6, n) => Fact::Rung(*n),
        Happening::Fact(7, n) => Fact::Exited(ExitHow::Code(n.cast_signed())),
        Happening::Fact(8, _) => Fact::OutputEnded(Tail::Clean),
        Happening::Fact(_, _) => Fact::MembersEnded { ended: 0, left: Vec::new() },
    };
    machine.hear(fact, now)
}

proptest! {
    #[test]
    fn whatever_happens_it_is_somewhere_and_an_end_is_final(
        is_conversation: bool,
        at_first_turn: bool,
        happenings in proptest::collection::vec((happening(), 0..200u64), 0..120),
    ) {
        let limit = Some(SECOND * 60);
        let limits = AgentLimits { start: limit, start_stops: true, turn: limit, idle: limit, runtime: Some(SECOND * 3600) };
        let start = if at_first_turn { Start::AtFirstTurn } else { Start::ByItself };
        let base = Instant::now();
        let mut machine = Machine::new(Plan { is_conversation, start, ..plan(limits) }, base, SystemTime::now());
        let (mut limits_passed, mut sessions) = (0, 0);
        for (happening, second) in &happenings {
            // It jumps back and forth.
            let now = base + SECOND * u32::try_from(*second).unwrap();
            let before = machine.state().clone();
            let changes = tell(&mut machine, happening, now);
            if before.phase.is_over() {
                prop_assert_eq!((&before, changes.len()), (machine.state(), 0));
                prop_assert_eq!(machine.due(), None);
            }
            prop_assert_eq!(changes.contains(&Change::State), &before != machine.state());
            prop_assert!(machine.state().since >= before.since);
            prop_assert!(machine.sessions().len() >= sessions, "what it was called keeps leading to it");
            sessions = machine.sessions().len();
            limits_passed += changes.iter().filter(|change| matches!(change, Change::LimitPassed { .. })).count();
            if matches!(happening, Happening::Time) {
                let latest = machine.clock.now;
                prop_assert!(machine.due().is_none_or(|due| due > latest), "all that was due is told");
            }
        }
        prop_assert!(limits_passed <= 1, "it is stopped once");
    }
}
