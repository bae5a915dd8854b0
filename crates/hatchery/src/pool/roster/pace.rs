//! How long calls of each tool take, as far as has been seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How much work may lie in a worker, the call that it is at included, before no more is sent ahead. Nobody waits longer than
/// this for having been sent to one worker and not to another.
pub(super) const MOST_WORK: Duration = Duration::from_millis(1);

/// A tool of the pool's, for as long as the pool lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToolNumber(usize);

#[derive(Debug, Default)]
pub(super) struct Paces {
    numbers: HashMap<Arc<str>, ToolNumber>,
    /// By number; `None` until a call has ended.
    expected: Vec<Option<Duration>>,
}

impl Paces {
    /// The same for the same name, always.
    pub(super) fn number(&mut self, tool: &Arc<str>) -> ToolNumber {
        if let Some(number) = self.numbers.get(tool) {
            return *number;
        }
        let number = ToolNumber(self.expected.len());
        self.expected.push(None);
        self.numbers.insert(Arc::clone(tool), number);
        number
    }

    /// Whether the next call of this tool will, by all that is known, be short.
    pub(super) fn is_short(&self, tool: Option<ToolNumber>) -> bool {
        self.expected(tool) < MOST_WORK
    }

    /// What it counts for; as much as may lie in a worker if that is not known, or is more.
    pub(super) fn expected(&self, tool: Option<ToolNumber>) -> Duration {
        tool.and_then(|tool| self.expected[tool.0]).map_or(MOST_WORK, |expected| expected.min(MOST_WORK))
    }

    /// A call took so long. Believed at once if that is longer than expected, and slowly if it is shorter.
    pub(super) fn saw(&mut self, tool: Option<ToolNumber>, took: Duration) {
        let Some(tool) = tool else { return };
        let expected = &mut self.expected[tool.0];
        *expected = Some(match *expected {
            None => took,
            Some(before) if took > before => before + (took - before) / 2,
            Some(before) => before - (before - took) / 8,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    #[test]
    fn a_tool_is_short_once_it_was_seen_to_be() {
        let mut paces = Paces::default();
        let tool = Some(paces.number(&"echo".into()));
        assert_eq!(tool, Some(paces.number(&"echo".into())));
        assert_ne!(tool, Some(paces.number(&"other".into())));
        assert!(!paces.is_short(tool) && !paces.is_short(None));
        paces.saw(tool, 10 * MICROSECOND);
        assert!(paces.is_short(tool));
        assert_eq!(paces.expected(tool), 10 * MICROSECOND);
    }

    #[test]
    fn one_long_call_weighs_more_than_many_short_ones() {
        let mut paces = Paces::default();
        let tool = Some(paces.number(&"echo".into()));
        (0..100).for_each(|_| paces.saw(tool, 10 * MICROSECOND));
        paces.saw(tool, 10_000 * MICROSECOND);
        assert_eq!((paces.is_short(tool), paces.expected(tool)), (false, MOST_WORK));
        let short_again = (1..).find(|_| {
            paces.saw(tool, 10 * MICROSECOND);
            paces.is_short(tool)
        });
        assert_eq!(short_again, Some(13));
    }
}
