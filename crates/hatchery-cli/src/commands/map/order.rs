//! Puts results into the order of their lines.

use std::collections::BTreeMap;

/// Texts by number, given out in the order of their numbers, which are 0, 1, 2 and so on.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    next: u64,
    held: BTreeMap<u64, String>,
}

impl InOrder {
    pub(super) fn put(&mut self, number: u64, text: String) {
        self.held.insert(number, text);
    }

    /// The texts whose turn it is.
    pub(super) fn due(&mut self) -> impl Iterator<Item = String> {
        std::iter::from_fn(|| {
            let text = self.held.remove(&self.next)?;
            self.next += 1;
            Some(text)
        })
    }

    /// How many wait for an earlier one.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// How many have been given out.
    pub(super) fn passed(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_one_waits_for_those_before_it() {
        let mut order = InOrder::default();
        order.put(1, "b".into());
        assert_eq!(order.due().count(), 0);
        assert_eq!(order.held(), 1);
        order.put(0, "a".into());
        order.put(3, "d".into());
        assert_eq!(order.due().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((order.held(), order.passed()), (1, 2));
    }
}
