//! Whatever is said, nobody panics, and what was skipped would have meant nothing.

use std::sync::LazyLock;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::recall::Recall;
use super::super::sieve::Sieve;
use super::super::table::{Hears, Rule, Table};
use super::super::tabled::Tabled;
use super::super::{CommandPlan, LineAdapter};
use super::super::{adapters, jsonl};
use super::stream_json::LINES;
use super::{dialogue, spec};
use crate::agent::{Answer, Signal};

const NAMES: [&str; 3] = ["stream-json", "codex-jsonl", "plain"];

/// JSON whose names and words are those of the tables, so that rules are hit.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "system",
        "init",
        "assistant",
        "user",
        "result",
        "success",
        "tool_use",
        "tool_result",
        "text",
        "t1",
        "t2",
        "control_request",
        "can_use_tool",
        "control_cancel_request",
        "task_started",
        "task_notification",
        "api_retry",
        "thread.started",
        "turn.completed",
        "item.started",
        "item.completed",
        "command_execution",
        "agent_message",
        "",
    ];
    let keys = [
        "type",
        "subtype",
        "session_id",
        "message",
        "content",
        "id",
        "name",
        "text",
        "tool_use_id",
        "request",
        "request_id",
        "task_id",
        "is_error",
        "errors",
        "usage",
        "input",
        "total_cost_usd",
        "item",
        "thread_id",
        "0",
    ];
    let leaf = prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        let key = proptest::sample::select(keys.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => btree_map(key, inner, 0..8).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Lines of a real agent, each with something in it replaced: of a kind that is nearly right.
fn nearly_right() -> impl Strategy<Value = Vec<Value>> {
    let line = (proptest::sample::select(LINES.to_vec()), vec(any::<proptest::sample::Index>(), 0..5), any_json());
    let replaced = line.prop_map(|(line, way, with)| {
        let mut value = serde_json::from_str(line).unwrap();
        if let Some((last, _)) = way.split_last() {
            replace(&mut value, &way, (last.index(3) > 0).then_some(with));
        }
        value
    });
    vec(replaced, 1..16)
}

/// Puts something at the end of a way through a value, or takes away what is there.
fn replace(value: &mut Value, way: &[proptest::sample::Index], with: Option<Value>) {
    let Some((step, way)) = way.split_first() else { return *value = with.unwrap_or_default() };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let key = members.keys().nth(step.index(members.len())).unwrap().clone();
            match with {
                None if way.is_empty() => drop(members.remove(&key)),
                with => replace(&mut members[&key], way, with),
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            let at = step.index(elements.len());
            replace(&mut elements[at], way, with);
        }
        _ => *value = with.unwrap_or_default(),
    }
}

static RULES: LazyLock<[(Sieve, Vec<Rule>); 2]> = LazyLock::new(|| ["stream-json", "codex-jsonl"].map(rules));

/// The rules of a table that is built in.
fn rules(name: &str) -> (Sieve, Vec<Rule>) {
    let (_, text) = adapters::TABLES.into_iter().find(|(known, _)| *known == name).unwrap();
    match Table::read(&text.parse().unwrap()).unwrap().stdout {
        Hears::Json { sieve, rules } => (sieve, rules),
        Hears::Text(_) => unreachable!("asked only of tables that have rules"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_heard(lines in vec(vec(any::<u8>(), 0..200), 0..8)) {
        for name in NAMES {
            let mut agent = dialogue(name);
            for line in &lines {
                agent.stdout(line);
                agent.stderr(line);
            }
        }
    }

    #[test]
    fn any_json_is_heard_and_every_question_can_be_answered(lines in prop_oneof![vec(any_json(), 0..12), nearly_right()]) {
        for name in NAMES {
            let mut agent = dialogue(name);
            for line in &lines {
                for signal in agent.stdout(line.to_string().as_bytes()) {
                    if let Signal::NeedsInput { request, .. } = signal {
                        // It may have been settled by what the same line says besides.
                        let _answered_or_settled = agent.answer(&request, &Answer::Allow { input: None });
                    }
                }
            }
        }
    }

    #[test]
    fn the_sieve_keeps_all_that_rules_look_at(lines in nearly_right()) {
        for (sieve, rules) in RULES.iter() {
            let (mut sieved, mut whole) = (Recall::new(true), Recall::new(true));
            for line in lines.iter().filter(|line| line.is_object()) {
                let text = line.to_string();
                jsonl::hear(sieve, rules, text.as_bytes(), &mut sieved);
                jsonl::hear_object(&serde_json::from_str(&text).unwrap(), rules, text.len(), &mut whole);
                prop_assert_eq!(sieved.take(), whole.take());
            }
        }
    }

    #[test]
    fn any_table_is_read_or_refused(way in vec(any::<proptest::sample::Index>(), 1..7), with in any_json(), which in 0..3_usize) {
        let table: toml::Table = adapters::TABLES[which].1.parse().unwrap();
        let mut table = serde_json::to_value(table).unwrap();
        replace(&mut table, &way, Some(with).filter(|with| !with.is_null()));
        if let Ok(table) = toml::Table::try_from(table)
            && let Ok(adapter) = Tabled::read("any", &table)
        {
            let mut agent = adapter.begin(&CommandPlan::default());
            LINES.iter().for_each(|line| drop(agent.stdout(line.as_bytes())));
            let _planned_or_refused = adapter.command(&spec("any"));
        }
    }

    #[test]
    fn tools_and_questions_open_and_close_in_pairs(lines in nearly_right()) {
        let mut agent = dialogue("stream-json");
        let mut open: Vec<String> = Vec::new();
        for signal in lines.iter().flat_map(|line| agent.stdout(line.to_string().as_bytes())) {
            match signal {
                Signal::ToolStarted { id, .. } | Signal::NeedsInput { request: id, .. } => open.push(id),
                Signal::ToolEnded { id } | Signal::InputSettled { request: id } => {
                    let at = open.iter().position(|one| *one == id);
                    prop_assert!(at.is_some(), "{} was not open", id);
                    open.swap_remove(at.unwrap());
                }
                Signal::TurnEnded { not_found: false, .. } => prop_assert!(open.is_empty(), "{open:?} outlived its turn"),
                _ => {}
            }
        }
    }
}

#[test]
fn what_nobody_looks_at_is_not_kept() {
    let [(sieve, _), _] = &*RULES;
    let line = json!({
        "type": "user",
        "message": { "content": [{ "type": "tool_result", "tool_use_id": "t", "content": vec![0; 1000] }] },
        "tool_use_result": { "stdout": "x".repeat(1000) },
    });
    let kept = json!({ "type": "user", "message": { "content": [{ "type": "tool_result", "tool_use_id": "t" }] } });
    assert_eq!(sieve.read(line.to_string().as_bytes()), Some(kept));
}
