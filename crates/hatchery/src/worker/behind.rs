//! When calls that lie in a worker behind another are asked for back. Plain data, no clock.

use std::time::Duration;

use tokio::time::Instant;

/// Looks while there are any, at times this far apart. A call that has not ended from one look to the next takes long.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
pub(super) struct Behind(Option<Look>);

#[derive(Debug)]
struct Look {
    /// How many calls had ended when it was looked last.
    ended: u64,
    next: Instant,
}

impl Behind {
    /// When it is to be looked, if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.as_ref().map(|look| look.next)
    }

    /// Whether the first call has been the first since the last look. `ended`: how many calls have ended so far, if any are
    /// behind another.
    pub(super) fn takes_long(&mut self, ended: Option<u64>, now: Instant) -> bool {
        let before = self.0.take().map(|look| look.ended);
        self.0 = ended.map(|ended| Look { ended, next: now + LOOK });
        ended.is_some() && before == ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_long_when_nothing_has_ended_between_two_looks() {
        let (mut behind, now) = (Behind::default(), Instant::now());
        assert_eq!(behind.due(), None);
        assert!(!behind.takes_long(Some(7), now), "the first look");
        assert_eq!(behind.due(), Some(now + LOOK));
        assert!(!behind.takes_long(Some(9), now + LOOK), "two have ended since");
        assert!(behind.takes_long(Some(9), now + 2 * LOOK));
        assert!(!behind.takes_long(None, now + 3 * LOOK), "nothing is behind any more");
        assert_eq!(behind.due(), None);
        assert!(!behind.takes_long(Some(9), now + 9 * LOOK), "that was another time");
    }
}
