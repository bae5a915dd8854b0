//! What an object on a line means.

use serde_json::Value;

use super::super::place::{Keys, Place};
use super::super::words::Words;
use super::condition::{Conditions, Pointer};
use crate::error::Result;

/// If an object is like this, it means that; and so may each element of a list in it.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Rule {
    when: Conditions,
    means: Vec<Meaning>,
    inside: Option<(Pointer, Vec<Rule>)>,
}

/// What an object means, and where in it the particulars are.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Meaning {
    SessionSeen(Pick),
    SessionResumable,
    TurnStarted,
    ToolStarted {
        id: Pick,
        name: Option<Pick>,
    },
    ToolEnded(Pick),
    Text(Pick),
    NeedsInput {
        request: Pick,
        what: Option<Pick>,
        /// What an answer that allows has to repeat.
        input: Option<Pick>,
    },
    InputSettled(Pick),
    Retry {
        attempt: Pick,
        max: Option<Pick>,
        status: Option<Pick>,
    },
    BackgroundStarted {
        id: Pick,
        /// The use of a tool that it is part of: while that is open, it runs in the conversation and not beside it.
        tool: Option<Pick>,
    },
    BackgroundEnded(Pick),
    TurnEnded(Box<TurnEnd>),
    Warning(Words),
}

/// Where a terminal message says what.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct TurnEnd {
    pub(in super::super) ok: Conditions,
    pub(in super::super) not_found: Option<Conditions>,
    /// Why it ended, and why if it is not ok.
    pub(in super::super) reason: Option<Pick>,
    pub(in super::super) failure: Option<Pick>,
    pub(in super::super) status: Option<Pick>,
    pub(in super::super) input_tokens: Option<Pick>,
    pub(in super::super) output_tokens: Option<Pick>,
    pub(in super::super) cost: Option<Pick>,
    /// Of all turns of the process together, this one the last of them.
    pub(in super::super) cost_so_far: Option<Pick>,
    pub(in super::super) result: Option<Pick>,
    /// It has no result of its own: that is the last text before it.
    pub(in super::super) result_is_last_text: bool,
}

/// Where something stands: at the first of these places that has it.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Pick(Vec<Pointer>);

const MEANINGS: [&str; 16] = [
    "when",
    "each",
    "items",
    "session_seen",
    "session_resumable",
    "turn_started",
    "tool_started",
    "tool_ended",
    "text",
    "needs_input",
    "input_settled",
    "retry",
    "background_started",
    "background_ended",
    "turn_ended",
    "warning",
];

impl Rule {
    pub(in super::super) fn read(place: &Place<'_>) -> Result<Rule> {
        let keys = place.keys(&MEANINGS)?;
        let rule = Rule {
            when: keys.read("when", Conditions::read)?.unwrap_or_default(),
            means: Meaning::read(&keys)?,
            inside: inside(&keys)?,
        };
        if rule.means.is_empty() && rule.inside.is_none() {
            return Err(
                place.refuse(format!("says of no line what it means; expected one of {}", MEANINGS[3..].join(", ")))
            );
        }
        Ok(rule)
    }

    /// Tells `hear` all that this object means, and where.
    pub(in super::super) fn visit(&self, object: &Value, hear: &mut impl FnMut(&Meaning, &Value)) {
        if !self.when.hold(object) {
            return;
        }
        self.means.iter().for_each(|meaning| hear(meaning, object));
        let Some((list, rules)) = &self.inside else { return };
        let elements = list.find(object).and_then(Value::as_array);
        for element in elements.into_iter().flatten() {
            rules.iter().for_each(|rule| rule.visit(element, hear));
        }
    }

    /// The members that it looks at, without those of the elements inside.
    pub(in super::super) fn pointers(&self) -> impl Iterator<Item = Pointer> {
        self.when.pointers().cloned().chain(self.means.iter().flat_map(Meaning::pointers))
    }

    /// The list whose elements may mean something, and the rules for them.
    pub(in super::super) fn inside(&self) -> Option<(&Pointer, &[Rule])> {
        self.inside.as_ref().map(|(list, rules)| (list, rules.as_slice()))
    }

    /// Whether it, or a rule inside it, has a meaning like this.
    pub(in super::super) fn may_mean(&self, like: &impl Fn(&Meaning) -> bool) -> bool {
        let mut inside = self.inside.iter().flat_map(|(_, rules)| rules);
        self.means.iter().any(like) || inside.any(|rule| rule.may_mean(like))
    }
}

fn inside(keys: &Keys<'_>) -> Result<Option<(Pointer, Vec<Rule>)>> {
    let rules = |place: &Place<'_>| place.each("a list of rules for the elements of `each`", Rule::read);
    match (keys.get("each"), keys.get("items")) {
        (None, None) => Ok(None),
        (Some(list), Some(items)) => Ok(Some((Pointer::read(&list)?, rules(&items)?))),
        (Some(alone), None) => Err(alone.refuse("has no `items` beside it: what its elements mean")),
        (None, Some(alone)) => Err(alone.refuse("has no `each` beside it: where the list is")),
    }
}

impl Meaning {
    /// In the order in which they are told, if a line means several things.
    fn read(keys: &Keys<'_>) -> Result<Vec<Meaning>> {
        let yes = |key, meaning| -> Result<_> { Ok(keys.read(key, Place::flag)?.unwrap_or(false).then_some(meaning)) };
        let read: [Option<Meaning>; 13] = [
            keys.read("session_seen", Pick::read)?.map(Meaning::SessionSeen),
            yes("turn_started", Meaning::TurnStarted)?,
            yes("session_resumable", Meaning::SessionResumable)?,
            keys.read("retry", retry)?,
            keys.read("text", Pick::read)?.map(Meaning::Text),
            keys.read("tool_started", tool_started)?,
            keys.read("background_started", background_started)?,
            keys.read("background_ended", Pick::read)?.map(Meaning::BackgroundEnded),
            keys.read("tool_ended", Pick::read)?.map(Meaning::ToolEnded),
            keys.read("needs_input", needs_input)?,
            keys.read("input_settled", Pick::read)?.map(Meaning::InputSettled),
            keys.read("warning", warning)?,
            keys.read("turn_ended", TurnEnd::read)?,
        ];
        Ok(read.into_iter().flatten().collect())
    }

    pub(in super::super) fn ends_turn(&self) -> bool {
        matches!(self, Meaning::TurnEnded(_))
    }

    pub(in super::super) fn is_sign_of_life(&self) -> bool {
        matches!(self, Meaning::SessionSeen(_) | Meaning::TurnStarted)
    }

    fn pointers(&self) -> Vec<Pointer> {
        let picks: Vec<Option<&Pick>> = match self {
            Meaning::SessionResumable | Meaning::TurnStarted => Vec::new(),
            Meaning::SessionSeen(pick)
            | Meaning::ToolEnded(pick)
            | Meaning::Text(pick)
            | Meaning::InputSettled(pick)
            | Meaning::BackgroundEnded(pick) => vec![Some(pick)],
            Meaning::ToolStarted { id, name } => vec![Some(id), name.as_ref()],
            Meaning::NeedsInput { request, what, input } => vec![Some(request), what.as_ref(), input.as_ref()],
            Meaning::Retry { attempt, max, status } => vec![Some(attempt), max.as_ref(), status.as_ref()],
            Meaning::BackgroundStarted { id, tool } => vec![Some(id), tool.as_ref()],
            Meaning::TurnEnded(end) => return end.pointers(),
            Meaning::Warning(words) => return words.gaps().map(Pointer::to).collect(),
        };
        picks.into_iter().flatten().flat_map(|pick| pick.0.iter().cloned()).collect()
    }
}

fn retry(place: &Place<'_>) -> Result<Meaning> {
    let keys = place.keys(&["attempt", "max", "status"])?;
    let attempt = keys.need("attempt", Pick::EXPECTED, Pick::read)?;
    Ok(Meaning::Retry { attempt, max: keys.read("max", Pick::read)?, status: keys.read("status", Pick::read)? })
}

fn tool_started(place: &Place<'_>) -> Result<Meaning> {
    let keys = place.keys(&["id", "name"])?;
    Ok(Meaning::ToolStarted { id: keys.need("id", Pick::EXPECTED, Pick::read)?, name: keys.read("name", Pick::read)? })
}

fn background_started(place: &Place<'_>) -> Result<Meaning> {
    let keys = place.keys(&["id", "tool"])?;
    let id = keys.need("id", Pick::EXPECTED, Pick::read)?;
    Ok(Meaning::BackgroundStarted { id, tool: keys.read("tool", Pick::read)? })
}

fn needs_input(place: &Place<'_>) -> Result<Meaning> {
    let keys = place.keys(&["request", "what", "input"])?;
    let request = keys.need("request", Pick::EXPECTED, Pick::read)?;
    Ok(Meaning::NeedsInput { request, what: keys.read("what", Pick::read)?, input: keys.read("input", Pick::read)? })
}

fn warning(place: &Place<'_>) -> Result<Meaning> {
    let expected = "a text for people, in which JSON pointers in braces stand for what they lead to: \"asks {/what}\"";
    Words::read(place, expected, |gap| gap.starts_with('/')).map(Meaning::Warning)
}

impl TurnEnd {
    fn read(place: &Place<'_>) -> Result<Meaning> {
        let known = ["ok", "not_found", "reason", "failure", "status", "input_tokens", "output_tokens", "cost"];
        let keys = place.keys(&[&known[..], &["cost_so_far", "result", "result_is_last_text"]].concat())?;
        let pick = |key| keys.read(key, Pick::read);
        Ok(Meaning::TurnEnded(Box::new(TurnEnd {
            ok: keys.need("ok", "the conditions under which the turn went well", Conditions::read)?,
            not_found: keys.read("not_found", Conditions::read)?,
            reason: pick("reason")?,
            failure: pick("failure")?,
            status: pick("status")?,
            input_tokens: pick("input_tokens")?,
            output_tokens: pick("output_tokens")?,
            cost: pick("cost")?,
            cost_so_far: pick("cost_so_far")?,
            result: pick("result")?,
            result_is_last_text: keys.read("result_is_last_text", Place::flag)?.unwrap_or(false),
        })))
    }
}

impl TurnEnd {
    fn pointers(&self) -> Vec<Pointer> {
        let conditions = self.ok.pointers().chain(self.not_found.iter().flat_map(Conditions::pointers));
        let why = [&self.reason, &self.failure, &self.status, &self.result];
        let picks = why.into_iter().chain([&self.input_tokens, &self.output_tokens, &self.cost, &self.cost_so_far]);
        conditions.chain(picks.flatten().flat_map(|pick| &pick.0)).cloned().collect()
    }
}

impl Pick {
    const EXPECTED: &str = "a JSON pointer, like \"/message/id\", or a list of them";

    fn read(place: &Place<'_>) -> Result<Pick> {
        if place.value().is_str() {
            return Ok(Pick(vec![Pointer::read(place)?]));
        }
        let pointers = place.each(Pick::EXPECTED, Pointer::read)?;
        if pointers.is_empty() {
            Err(place.refuse(format!("expected {}, found an empty list", Pick::EXPECTED)))
        } else {
            Ok(Pick(pointers))
        }
    }

    pub(in super::super) fn value<'v>(&self, object: &'v Value) -> Option<&'v Value> {
        self.0.iter().find_map(|pointer| pointer.find(object))
    }

    /// A text that is not empty; a number, too, as ids are that in some agents.
    pub(in super::super) fn text(&self, object: &Value) -> Option<String> {
        let found = self.0.iter().filter_map(|pointer| pointer.find(object));
        found.filter_map(as_text).find(|text| !text.is_empty())
    }

    /// A number that is whole, not negative, and fits.
    pub(in super::super) fn whole<N: TryFrom<u64>>(&self, object: &Value) -> Option<N> {
        self.0.iter().find_map(|pointer| N::try_from(pointer.find(object)?.as_u64()?).ok())
    }

    /// A number that is not negative.
    pub(in super::super) fn amount(&self, object: &Value) -> Option<f64> {
        self.0.iter().filter_map(|pointer| pointer.find(object)?.as_f64()).find(|amount| *amount >= 0.0)
    }
}

/// How a value reads in a sentence.
pub(in super::super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
