//! The page that names every event: `docs/events.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::catalogue::{EventKind, FieldKind, Standing, catalogue};

/// Every event with what stands in it, what is to come, and what others call otherwise, as Markdown.
pub fn event_reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (room, kinds) in rooms() {
        let _strings_do_not_fail = write!(page, "\n## `{room}`\n");
        kinds.into_iter().for_each(|kind| section(&mut page, kind));
    }
    table(
        &mut page,
        "What is to come",
        "There are no such events yet; the names are kept for them.",
        Standing::Reserved,
    );
    table(&mut page, "What others call otherwise", "For those who come from Snakepit.", Standing::Explained);
    page
}

const INTRODUCTION: &str = "\
# Events

Made from the declarations in `crates/hatchery/src/telemetry/event/`; change them there, then write it anew:
`HATCHERY_WRITE_PAGE=1 cargo test -p hatchery --lib the_page_is_up_to_date`.

An event is an object with its `name`, the time `at` at which it was told, in seconds since 1970, and the fields below; a field that is
absent has no key. Times are in seconds and their keys end with `_seconds`, sizes in bytes with `_bytes`.

`Hatchery::events_matching` takes a filter, `hatchery events` and the daemon the same as text: names and patterns (`worker.ready`,
`worker.*`, `*`; with `!` in front: not these), `pool=NAME`, `worker=ID`, `correlation_id=ID`. Without a name it is all but `call.queued`,
`call.started`, `call.finished` and `error.raised`, which are of every call, or every one that fails. A reader that is too slow loses the oldest, and is told how many by
`events.lagged`.
";

fn rooms() -> BTreeMap<&'static str, Vec<&'static EventKind>> {
    let emitted = catalogue().iter().filter(|kind| kind.standing == Standing::Emitted);
    emitted.fold(BTreeMap::new(), |mut rooms, kind| {
        rooms.entry(kind.room).or_insert_with(Vec::new).push(kind);
        rooms
    })
}

fn section(page: &mut String, kind: &EventKind) {
    let _strings_do_not_fail = write!(page, "\n### `{}`\n\n{}\n", kind.name, kind.doc);
    if !kind.fields.is_empty() {
        page.push_str("\n| field | is | what |\n|---|---|---|\n");
        kind.fields.iter().for_each(|field| row(page, field));
    }
}

fn row(page: &mut String, field: &FieldKind) {
    let FieldKind { name, is, unit, optional, doc } = field;
    let unit = unit.map_or_else(String::new, |unit| format!(", {unit}"));
    let optional = if *optional { ", may be absent" } else { "" };
    let _strings_do_not_fail = writeln!(page, "| `{name}` | {is}{unit}{optional} | {doc} |");
}

fn table(page: &mut String, title: &str, words: &str, standing: Standing) {
    let _strings_do_not_fail = write!(page, "\n## {title}\n\n{words}\n\n| name | |\n|---|---|\n");
    for EventKind { name, doc, .. } in catalogue().iter().filter(|kind| kind.standing == standing) {
        let _strings_do_not_fail = writeln!(page, "| `{name}` | {doc} |");
    }
}
