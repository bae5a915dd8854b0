//! A mistake in a table is told with its place, and with what was expected there.

use super::Adapters;
use crate::error::ErrorKind;

/// What is said of a table with a mistake.
fn refusal(table: &str) -> String {
    let error = Adapters::default().with_table("mine", table).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    error.message().strip_prefix("adapter mine: ").unwrap().to_owned()
}

#[test]
fn every_mistake_has_its_place() {
    let rules = |rule: &str| format!("family = \"jsonl\"\n[[rules]]\ntext = \"/x\"\n[[rules]]\n{rule}");
    let lines = |rest: &str| format!("family = \"lines\"\n{rest}");
    let cases = [
        (String::new(), "family: expected \"jsonl\" or \"lines\", found nothing"),
        ("family = 3".into(), "family: expected \"jsonl\" or \"lines\", found 3"),
        ("family = \"json\"".into(), "family: expected \"jsonl\" or \"lines\", found \"json\""),
        ("family = \"jsonl\"".into(), "rules: expected a list of rules: what a line means, found nothing"),
        (lines("[[rules]]"), "rules: belongs to another family than this table's"),
        (rules("text = \"/x\"\n[lines]"), "lines: belongs to another family than this table's"),
        (lines("comand = {}"), "comand: unknown key (did you mean `command`?)"),
        (lines("a\n"), "line 2: not valid TOML: "),
        (lines("command = 1"), "command: expected a table, found 1"),
        (lines("command.always = '-p'"), "command.always: expected a list of flags; one with a value is a list, too"),
        (lines("command.always = [['-p', 4]]"), "command.always[0][1]: expected a text, found 4"),
        (
            lines("command.resume = ['{id}']"),
            "command.resume[0]: expected a text, in which {session} may stand, found \"{id}\"",
        ),
        (lines("command.resume = ['{session']"), "command.resume[0]: expected a text, in which {session} may stand"),
        (lines("session.id = 'ulid'"), "session.id: expected \"uuid\", or a regular expression for the whole of it"),
        (lines("session.id = { matches = '(' }"), "session.id.matches: regex parse error"),
        (lines("session.transcript = ['{home}/x']"), "session.transcript[0]: expected a path, in which"),
        (lines("says.turn = '{prompt}'"), "says.turn: expected a text or a table, in which {text} may stand, found"),
        (lines("says.turn = { a = [{ b = '{prompt}' }] }"), "says.turn: expected a text or a table, in which {text}"),
        (lines("says.turn = { at = 2026-01-01 }"), "says.turn: expected a text or a table, in which {text} may stand"),
        (lines("lines.turn_ended = '['"), "lines.turn_ended: regex parse error"),
        (lines("lines.trun_ended = 'x'"), "lines.trun_ended: unknown key (did you mean `turn_ended`?)"),
        (lines("ladder.total_ms = 1"), "ladder.rungs: expected a list of rungs, found nothing"),
        (
            lines("ladder = { total_ms = -1, rungs = [] }"),
            "ladder.total_ms: expected a whole number of milliseconds, found -1",
        ),
        (
            lines("ladder = { total_ms = 1, rungs = [{ step = 'SIGKILL', grace_ms = 1 }] }"),
            "ladder.rungs[0].step: expected \"interrupt\", \"close_stdin\", or one of SIGHUP, ",
        ),
        (rules("when = { '/a' = 'b' }"), "rules[1]: says of no line what it means; expected one of session_seen, "),
        (
            rules("when = { type = 'b' }"),
            "rules[1].when.type: expected a JSON pointer, which begins with a slash (\"/type\")",
        ),
        (
            rules("when = { '/a' = { equal = 1 } }"),
            "rules[1].when.\"/a\".equal: unknown key; expected one of not, exists, contains",
        ),
        (rules("when = { '/a' = { not = 1, exists = true } }"), "rules[1].when.\"/a\": expected exactly one of not"),
        (rules("when = { '/a' = {} }"), "rules[1].when.\"/a\": expected exactly one of not, exists and contains"),
        (
            rules("text = 'x'"),
            "rules[1].text: expected a JSON pointer, which begins with a slash (\"/x\"), found \"x\"",
        ),
        (
            rules("text = []"),
            "rules[1].text: expected a JSON pointer, like \"/message/id\", or a list of them, found an empty",
        ),
        (rules("turn_started = 'yes'"), "rules[1].turn_started: expected true or false, found \"yes\""),
        (rules("tool_started = { name = '/n' }"), "rules[1].tool_started.id: expected a JSON pointer, like"),
        (
            rules("turn_ended = {}"),
            "rules[1].turn_ended.ok: expected the conditions under which the turn went well, found",
        ),
        (
            rules("turn_ended = { ok = true }"),
            "rules[1].turn_ended.ok: expected a table of JSON pointers, like { \"/type\"",
        ),
        (rules("warning = 'x {y}'"), "rules[1].warning: expected a text for people, in which JSON pointers in braces"),
        (rules("each = '/a'"), "rules[1].each: has no `items` beside it"),
        (rules("items = []"), "rules[1].items: has no `each` beside it"),
        (rules("each = '/a'\nitems = [{ text = 7 }]"), "rules[1].items[0].text: expected a JSON pointer, like"),
        (
            "like = 'stream-jsn'".into(),
            "like: expected one of the tables that are built in (codex-jsonl, plain, stream-json)",
        ),
    ];
    for (table, expected) in cases {
        let found = refusal(&table);
        assert!(found.starts_with(expected), "{table}\n\nexpected {expected}\nfound    {found}");
    }
}

#[test]
fn the_tables_that_are_built_in_have_none() {
    for (name, text) in super::super::adapters::TABLES {
        Adapters::default().with_table(name, text).unwrap();
    }
    assert_eq!(Adapters::default().names().count(), super::super::adapters::TABLES.len());
}
