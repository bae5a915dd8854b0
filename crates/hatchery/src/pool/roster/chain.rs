//! Doubly linked lists through a slab: to append, unlink and look costs the same however long a list is, and what was
//! unlinked leaves nothing behind.

use slab::Slab;

/// Where the links of several [`Chain`]s lie, with what hangs on them.
#[derive(Debug)]
pub(super) struct Arena<T>(Slab<Node<T>>);

/// One list in an [`Arena`].
#[derive(Debug, Default)]
pub(super) struct Chain {
    first: Option<usize>,
    last: Option<usize>,
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    before: Option<usize>,
    after: Option<usize>,
}

impl<T> Default for Arena<T> {
    fn default() -> Arena<T> {
        Arena(Slab::new())
    }
}

impl Chain {
    pub(super) fn first(&self) -> Option<usize> {
        self.first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T> Arena<T> {
    /// Whether nothing hangs on any chain.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn append(&mut self, chain: &mut Chain, value: T) -> usize {
        let at = self.0.insert(Node { value, before: chain.last, after: None });
        match chain.last.replace(at) {
            Some(before) => self.0[before].after = Some(at),
            None => chain.first = Some(at),
        }
        at
    }

    pub(super) fn prepend(&mut self, chain: &mut Chain, value: T) -> usize {
        let at = self.0.insert(Node { value, before: None, after: chain.first });
        match chain.first.replace(at) {
            Some(after) => self.0[after].before = Some(at),
            None => chain.last = Some(at),
        }
        at
    }

    /// `at` must hang on this chain.
    pub(super) fn unlink(&mut self, chain: &mut Chain, at: usize) -> T {
        let Node { value, before, after } = self.0.remove(at);
        match before {
            Some(before) => self.0[before].after = after,
            None => chain.first = after,
        }
        match after {
            Some(after) => self.0[after].before = before,
            None => chain.last = before,
        }
        value
    }

    /// `at` must hang on this chain, and keeps its number.
    pub(super) fn move_to_end(&mut self, chain: &mut Chain, at: usize) {
        let Some(last) = chain.last.filter(|last| *last != at) else { return };
        let (before, after) = (self.0[at].before, self.0[at].after);
        match before {
            Some(before) => self.0[before].after = after,
            None => chain.first = after,
        }
        if let Some(after) = after {
            self.0[after].before = before;
        }
        self.0[last].after = Some(at);
        (self.0[at].before, self.0[at].after) = (Some(last), None);
        chain.last = Some(at);
    }

    pub(super) fn get(&self, at: usize) -> &T {
        &self.0[at].value
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut self.0[at].value
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_chain_is_a_deque_that_lets_go_in_its_middle(orders in proptest::collection::vec((0..5u8, any::<prop::sample::Index>()), 0..200)) {
            let (mut arena, mut chains) = (Arena::default(), [Chain::default(), Chain::default()]);
            let mut models: [VecDeque<(usize, u32)>; 2] = Default::default();
            for (value, (order, index)) in (0u32..).zip(orders) {
                let which = (value % 2) as usize;
                let (chain, model) = (&mut chains[which], &mut models[which]);
                match order {
                    0 | 1 => model.push_back((arena.append(chain, value), value)),
                    2 => model.push_front((arena.prepend(chain, value), value)),
                    _ if model.is_empty() => prop_assert!(chain.is_empty()),
                    3 => {
                        let moved = model.remove(index.index(model.len())).unwrap();
                        arena.move_to_end(chain, moved.0);
                        model.push_back(moved);
                    }
                    _ => {
                        let (at, expected) = model.remove(index.index(model.len())).unwrap();
                        prop_assert_eq!(arena.unlink(chain, at), expected);
                    }
                }
                prop_assert_eq!(chain.first().map(|at| *arena.get(at)), model.front().map(|(_, value)| *value));
            }
            for (mut chain, model) in chains.into_iter().zip(models) {
                for (_, expected) in model {
                    let at = chain.first().unwrap();
                    prop_assert_eq!(arena.unlink(&mut chain, at), expected);
                }
                prop_assert!(chain.is_empty());
            }
            prop_assert!(arena.is_empty());
        }
    }
}
