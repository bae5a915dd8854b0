//! A map by numbers that rise, whose first entry is most often the next to go: nothing is moved when it does.

use std::collections::VecDeque;

use crate::worker::WireId;

#[derive(Debug)]
pub(super) struct Row<T>(VecDeque<(WireId, T)>);

impl<T> Default for Row<T> {
    fn default() -> Row<T> {
        Row(VecDeque::new())
    }
}

impl<T> Row<T> {
    /// The number must be above all others.
    pub(super) fn append(&mut self, number: WireId, value: T) {
        self.0.push_back((number, value));
    }

    pub(super) fn remove(&mut self, number: WireId) -> Option<T> {
        let at = self.at(number)?;
        self.0.remove(at).map(|(_, value)| value)
    }

    pub(super) fn get(&self, number: WireId) -> Option<&T> {
        self.at(number).map(|at| &self.0[at].1)
    }

    pub(super) fn get_mut(&mut self, number: WireId) -> Option<&mut T> {
        self.at(number).map(|at| &mut self.0[at].1)
    }

    /// The number that so many others are below.
    pub(super) fn nth(&self, n: usize) -> Option<WireId> {
        self.0.get(n).map(|(number, _)| *number)
    }

    pub(super) fn last(&self) -> Option<WireId> {
        self.0.back().map(|(number, _)| *number)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// From the lowest number to the highest.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (WireId, &mut T)> {
        self.0.iter_mut().map(|(number, value)| (*number, value))
    }

    /// From the lowest number to the highest.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (WireId, T)> {
        self.0.into_iter()
    }

    fn at(&self, number: WireId) -> Option<usize> {
        let is_first = self.nth(0) == Some(number);
        if is_first { Some(0) } else { self.0.binary_search_by_key(&number, |(number, _)| *number).ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_is_a_map(orders in prop::collection::vec((any::<bool>(), 1..40u64), 0..120)) {
            let (mut row, mut model, mut next) = (Row::default(), BTreeMap::new(), 1);
            for (adds, number) in orders {
                if adds {
                    next += number % 3 + 1;
                    row.append(next, number);
                    model.insert(next, number);
                } else {
                    prop_assert_eq!(row.get(number), model.get(&number));
                    prop_assert_eq!(row.remove(number), model.remove(&number));
                }
                prop_assert_eq!((row.len(), row.nth(1), row.last()), (model.len(), model.keys().nth(1).copied(), model.keys().last().copied()));
                prop_assert!(row.iter_mut().map(|(number, value)| (number, *value)).eq(model.iter().map(|(number, value)| (*number, *value))));
            }
            prop_assert!(row.into_entries().eq(model));
        }
    }
}
