//! What a line of JSON means, by the rules of a table.

use serde_json::Value;

use super::recall::{Ended, Recall};
use super::sieve::Sieve;
use super::table::{Conditions, Meaning, Pick, Rule, TurnEnd, as_text};
use crate::agent::Usage;

/// Tells what a line means: nothing, if it is no JSON object or no rule knows it.
pub(super) fn hear(sieve: &Sieve, rules: &[Rule], line: &[u8], recall: &mut Recall) {
    if let Some(object) = sieve.read(line) {
        hear_object(&object, rules, line.len(), recall);
    }
}

/// `bytes`: of its line.
pub(super) fn hear_object(object: &Value, rules: &[Rule], bytes: usize, recall: &mut Recall) {
    for rule in rules {
        rule.visit(object, &mut |meaning, at| tell(meaning, at, bytes, recall));
    }
}

/// What lacks its name is not told: nobody could refer to it.
fn tell(meaning: &Meaning, at: &Value, bytes: usize, recall: &mut Recall) {
    let optional = |pick: &Option<Pick>| pick.as_ref().and_then(|pick| pick.text(at));
    match meaning {
        Meaning::SessionSeen(id) => with(id.text(at), |id| recall.session(&id)),
        Meaning::SessionResumable => recall.resumable(),
        Meaning::TurnStarted => recall.turn_started(),
        Meaning::ToolStarted { id, name } => {
            with(id.text(at), |id| recall.tool_started(id, optional(name).unwrap_or_default()));
        }
        Meaning::ToolEnded(id) => with(id.text(at), |id| recall.tool_ended(id)),
        Meaning::Text(text) => with(text.text(at), |text| recall.text(text)),
        Meaning::NeedsInput { request, what, input } => with(request.text(at), |request| {
            let input = input.as_ref().and_then(|pick| pick.value(at)).cloned();
            recall.needs_input(request, optional(what).unwrap_or_default(), input, bytes);
        }),
        Meaning::InputSettled(request) => with(request.text(at), |request| recall.input_settled(request)),
        Meaning::Retry { attempt, max, status } => with(attempt.whole(at), |attempt| {
            recall.retry(attempt, whole(max, at), whole(status, at));
        }),
        Meaning::BackgroundStarted { id, tool } => {
            with(id.text(at), |id| recall.background_started(id, optional(tool)));
        }
        Meaning::BackgroundEnded(id) => with(id.text(at), |id| recall.background_ended(&id)),
        Meaning::TurnEnded(end) => recall.turn_ended(ended(end, at)),
        Meaning::Warning(words) => {
            let found = |pointer: &str| Some(at.pointer(pointer).and_then(as_text).unwrap_or_default());
            with(words.fill(found), |text| recall.warning(text));
        }
    }
}

fn ended(end: &TurnEnd, at: &Value) -> Ended {
    let ok = end.ok.hold(at);
    let reason = if ok { &end.reason } else { &end.failure };
    let usage = Usage {
        input_tokens: whole(&end.input_tokens, at),
        output_tokens: whole(&end.output_tokens, at),
        cost: amount(&end.cost, at),
    };
    Ended {
        ok,
        not_found: !ok && end.not_found.as_ref().is_some_and(|conditions: &Conditions| conditions.hold(at)),
        reason: reason.as_ref().and_then(|pick| pick.text(at)),
        status: whole(&end.status, at),
        usage,
        cost_so_far: amount(&end.cost_so_far, at),
        result: end.result.as_ref().and_then(|pick| pick.value(at)).cloned(),
        result_is_last_text: end.result_is_last_text,
    }
}

fn with<T>(found: Option<T>, then: impl FnOnce(T)) {
    if let Some(found) = found {
        then(found);
    }
}

fn whole<N: TryFrom<u64>>(pick: &Option<Pick>, at: &Value) -> Option<N> {
    pick.as_ref().and_then(|pick| pick.whole(at))
}

fn amount(pick: &Option<Pick>, at: &Value) -> Option<f64> {
    pick.as_ref().and_then(|pick| pick.amount(at))
}
