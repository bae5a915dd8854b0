//! Text with gaps: `--resume={session}`. What may stand in a gap is checked when the text is read. `{{` is a brace.

use super::place::Place;
use crate::error::Result;

/// Pieces of text, and between them gaps that have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Gap(String),
}

impl Words {
    /// Reads it. `expected` is told with what `allowed` refuses: which gaps there may be.
    pub(super) fn read(place: &Place<'_>, expected: &str, allowed: impl Fn(&str) -> bool) -> Result<Words> {
        let mut rest = place.text(expected)?;
        let mut pieces = Vec::new();
        while let Some((text, after)) = rest.split_once('{') {
            if let Some(after) = after.strip_prefix('{') {
                pieces.push(Piece::Text(format!("{text}{{")));
                rest = after;
                continue;
            }
            let Some((gap, after)) = after.split_once('}').filter(|(gap, _)| allowed(gap)) else {
                return Err(place.expected(expected));
            };
            pieces.extend([Piece::Text(text.to_owned()), Piece::Gap(gap.to_owned())]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Words(pieces))
    }

    /// With its gaps filled; `None` if one of them cannot be.
    pub(super) fn fill<S: AsRef<str>>(&self, filling: impl Fn(&str) -> Option<S>) -> Option<String> {
        let mut whole = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => whole.push_str(text),
                Piece::Gap(gap) => whole.push_str(filling(gap)?.as_ref()),
            }
        }
        Some(whole)
    }

    /// What its gaps are called.
    pub(super) fn gaps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Gap(gap) => Some(gap.as_str()),
        })
    }
}
