//! What a session may hold. Nothing gets into the table that was not seen here.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::conversation::{Entries, Session};
use crate::error::{Error, ErrorKind, Result};

/// It stands in logs, paths of the HTTP interface and error messages.
const MAX_ID_BYTES: usize = 256;
/// The same, of an entry.
const MAX_NAME_BYTES: usize = 256;
/// Facts about a conversation, not its content: with 10 000 sessions all of them full, they are 640 MiB.
const METADATA: Bounds = Bounds { what: "metadata", reason: "invalid_metadata", entries: 256, bytes: 64 << 10 };
/// A program is text and parameters. A session is written as a whole, so this is what one change may cost the disk.
const PROGRAMS: Bounds = Bounds { what: "programs", reason: "invalid_programs", entries: 1024, bytes: 1 << 20 };
/// The JSON reader refuses 128: what is written must be read again.
const MAX_DEPTH: usize = 100;
/// The longest span, and the latest point after 1970, that can be written down: nanoseconds with a sign.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

struct Bounds {
    what: &'static str,
    reason: &'static str,
    entries: usize,
    bytes: usize,
}

/// A session that is valid, and how large it is.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    session: Session,
    /// Of the two maps, estimated, in memory.
    programs: usize,
    metadata: usize,
}

impl Checked {
    pub(super) fn of(session: Session) -> Result<Checked> {
        check_frame(&session)?;
        let (programs, metadata) =
            (PROGRAMS.check(&session, &session.programs)?, METADATA.check(&session, &session.metadata)?);
        Ok(Checked { session, programs, metadata })
    }

    /// The same session, changed: what is still the same is not looked at again.
    pub(super) fn changed(&self, session: Session) -> Result<Checked> {
        check_frame(&session)?;
        if session.id != self.session.id {
            let what = format!("its id was changed to `{}`; an id never changes", session.id);
            return Err(refused(&self.session.id, ErrorKind::Validation, "invalid_id", what));
        }
        let again = |bounds: &Bounds, old: &Entries, new: &Entries, size| {
            if new.is(old) { Ok(size) } else { bounds.check(&session, new) }
        };
        let programs = again(&PROGRAMS, &self.session.programs, &session.programs, self.programs)?;
        let metadata = again(&METADATA, &self.session.metadata, &session.metadata, self.metadata)?;
        Ok(Checked { session, programs, metadata })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// For what needs no second look: the time of its last access, and its worker.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Session)) {
        note(&mut self.session);
    }

    /// How much memory it takes, estimated.
    pub(super) fn memory(&self) -> usize {
        frame_memory(&self.session) + self.programs + self.metadata
    }
}

/// How much memory a session takes, estimated.
pub(super) fn memory_of(session: &Session) -> usize {
    frame_memory(session) + entries_memory(&session.programs) + entries_memory(&session.metadata)
}

/// An error about a session, with the reason for programs.
pub(super) fn refused(id: &str, kind: ErrorKind, reason: &str, what: impl std::fmt::Display) -> Error {
    let details = json!({ "session": id, "reason": reason });
    Error::new(kind, format!("session `{id}`: {what}")).with_details(details)
}

/// Whether an id may be one.
pub(super) fn check_id(id: &str) -> Result<()> {
    match id.len() {
        1..=MAX_ID_BYTES => Ok(()),
        len => {
            let what = format!("an id has 1 to {MAX_ID_BYTES} bytes, and this one has {len}");
            // A cut id tells which one is meant; a whole one may be anything.
            Err(refused(id.get(..32).unwrap_or_default(), ErrorKind::Validation, "invalid_id", what))
        }
    }
}

/// Nanoseconds since 1970, if they can be written down.
pub(super) fn written(time: SystemTime) -> Option<i64> {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_nanos()).ok())
}

fn check_frame(session: &Session) -> Result<()> {
    check_id(&session.id)?;
    let invalid = |reason, what| Err(refused(&session.id, ErrorKind::Validation, reason, what));
    match session {
        _ if written(session.created_at).is_none() => {
            invalid("invalid_created_at", "created before 1970 or after 2262")
        }
        _ if written(session.last_accessed).is_none() => {
            invalid("invalid_last_accessed", "last accessed before 1970 or after 2262")
        }
        _ if session.last_accessed < session.created_at => {
            invalid("invalid_timestamps", "last accessed before it was created")
        }
        _ if session.ttl.is_some_and(|ttl| ttl > LONGEST) => {
            invalid("invalid_ttl", "its time to live is longer than 292 years; `None` is for ever")
        }
        _ => Ok(()),
    }
}

impl Bounds {
    /// How much memory the entries take, if they may stay.
    fn check(&self, session: &Session, entries: &Entries) -> Result<usize> {
        let Bounds { what, reason, .. } = self;
        let limit = |found: String| Err(refused(&session.id, ErrorKind::Limit, reason, found));
        if entries.len() > self.entries {
            return limit(format!("{} {what} entries; there may be {}", entries.len(), self.entries));
        }
        if let Some((name, value)) = entries.iter().find(|(name, value)| !is_sound(name, value)) {
            let found = format!("{what} `{}`: {}", name.get(..32).unwrap_or(name), fault_of(name, value));
            return Err(refused(&session.id, ErrorKind::Validation, reason, found));
        }
        let bytes: usize = entries.iter().map(|(name, value)| name.len() + json_bytes(value)).sum();
        if bytes > self.bytes {
            return limit(format!("{what} of {bytes} bytes; there may be {}", self.bytes));
        }
        Ok(entries_memory(entries))
    }
}

fn is_sound(name: &str, value: &Value) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && is_within(value, MAX_DEPTH)
}

fn fault_of(name: &str, value: &Value) -> String {
    if is_within(value, MAX_DEPTH) {
        format!("a name has 1 to {MAX_NAME_BYTES} bytes, and this one has {}", name.len())
    } else {
        format!("nested more than {MAX_DEPTH} deep")
    }
}

/// Whether it is nested at most so deep.
fn is_within(value: &Value, depth: usize) -> bool {
    match (value, depth) {
        (Value::Array(_) | Value::Object(_), 0) => false,
        (Value::Array(items), _) => items.iter().all(|item| is_within(item, depth - 1)),
        (Value::Object(fields), _) => fields.values().all(|field| is_within(field, depth - 1)),
        _ => true,
    }
}

/// How long its JSON is, without making it.
fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A JSON value is always JSON, and counting never fails.
    let _always = serde_json::to_writer(&mut count, value);
    count.0
}

/// What an allocation costs beside what it holds.
const PER_ALLOCATION: usize = 16;

fn frame_memory(session: &Session) -> usize {
    // It, two empty maps, its place in the table (where a third to a half is free) and in the order of expiry: 900 bytes each were
    // measured, of 10 000 with an id of 30 bytes.
    const FRAME: usize = 6 * size_of::<Checked>();
    FRAME + session.id.len()
}

fn entries_memory(entries: &Entries) -> usize {
    let values = entries.iter().map(|(name, value)| PER_ALLOCATION + name.len() + value_memory(value));
    nodes_memory(entries.len()) + values.sum::<usize>()
}

/// The nodes of a tree map: each has room for 11 entries, and is half full at the least, unless it is the only one.
fn nodes_memory(entries: usize) -> usize {
    const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + PER_ALLOCATION;
    entries.div_ceil(8) * NODE
}

fn value_memory(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => PER_ALLOCATION + text.len(),
        Value::Array(items) => {
            PER_ALLOCATION + items.iter().map(|item| size_of::<Value>() + value_memory(item)).sum::<usize>()
        }
        Value::Object(fields) => {
            let values = fields.iter().map(|(name, field)| PER_ALLOCATION + name.len() + value_memory(field));
            nodes_memory(fields.len()) + values.sum::<usize>()
        }
    }
}
