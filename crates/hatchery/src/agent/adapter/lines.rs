//! What a line of text means, by regular expressions over its bytes. They take linear time, whatever the line.

use regex::bytes::{Regex, RegexBuilder};

use super::place::Place;
use super::recall::{Ended, Recall};
use crate::error::Result;

/// What a line means if it is like one of these. What the first group of an expression has matched is the name, the question or
/// the reason; without a group it is all that was matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<(Regex, Kind)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    SessionSeen,
    TurnStarted,
    Text,
    NeedsInput,
    Warning,
    TurnEnded,
    Failed,
    NotFound,
}

const KINDS: [(&str, Kind); 8] = [
    ("session_seen", Kind::SessionSeen),
    ("turn_started", Kind::TurnStarted),
    ("text", Kind::Text),
    ("needs_input", Kind::NeedsInput),
    ("warning", Kind::Warning),
    ("not_found", Kind::NotFound),
    ("failed", Kind::Failed),
    ("turn_ended", Kind::TurnEnded),
];

impl Patterns {
    pub(super) fn read(place: &Place<'_>) -> Result<Patterns> {
        let keys = place.keys(&KINDS.map(|(name, _)| name))?;
        let read = |(name, kind): &(&str, Kind)| Ok(keys.read(name, pattern)?.map(|pattern| (pattern, *kind)));
        KINDS.iter().filter_map(|kind| read(kind).transpose()).collect::<Result<_>>().map(Patterns)
    }

    pub(super) fn end_turns(&self) -> bool {
        self.has(&[Kind::TurnEnded])
    }

    pub(super) fn are_signs_of_life(&self) -> bool {
        self.has(&[Kind::SessionSeen, Kind::TurnStarted])
    }

    /// Tells what a line means. One end of a turn is enough: the first of those that fit.
    pub(super) fn hear(&self, line: &[u8], recall: &mut Recall) {
        let mut has_ended = false;
        for (pattern, kind) in &self.0 {
            let is_end = matches!(kind, Kind::TurnEnded | Kind::Failed | Kind::NotFound);
            if has_ended && is_end {
                continue;
            }
            if let Some(found) = first_group(pattern, line) {
                kind.tell(found, line.len(), recall);
                has_ended |= is_end;
            }
        }
    }
}

impl Patterns {
    fn has(&self, kinds: &[Kind]) -> bool {
        self.0.iter().any(|(_, kind)| kinds.contains(kind))
    }
}

impl Kind {
    fn tell(self, found: String, bytes: usize, recall: &mut Recall) {
        match self {
            Kind::SessionSeen => recall.session(&found),
            Kind::TurnStarted => recall.turn_started(),
            Kind::Text => recall.text(found),
            Kind::NeedsInput => {
                let request = recall.next_question();
                recall.needs_input(request, found, None, bytes);
            }
            Kind::Warning => recall.warning(found),
            Kind::TurnEnded => recall.turn_ended(Ended { ok: true, reason: Some(found), ..Ended::default() }),
            Kind::Failed => recall.turn_ended(Ended { reason: Some(found), ..Ended::default() }),
            Kind::NotFound => recall.not_found(found),
        }
    }
}

fn first_group(pattern: &Regex, line: &[u8]) -> Option<String> {
    let found = pattern.captures(line)?;
    let group = found.iter().skip(1).flatten().next().or_else(|| found.get(0))?;
    Some(String::from_utf8_lossy(group.as_bytes()).into_owned())
}

/// Over bytes: a line need not be UTF-8, and `.` is any byte of it.
fn pattern(place: &Place<'_>) -> Result<Regex> {
    let text = place.text("a regular expression")?;
    RegexBuilder::new(text).unicode(false).build().map_err(|error| place.refuse(error.to_string()))
}
