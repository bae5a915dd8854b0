//! Calls that wait for the same thing, in the order in which they are taken: by priority; within one, the tenants that
//! have any in turn; of a tenant, first come first served.

use std::collections::HashMap;
use std::sync::Arc;

use super::chain::{Arena, Chain};
use crate::call::Priority;

/// Whose turn it is; `None` is a tenant like any other.
pub(super) type Tenant = Option<Arc<str>>;

#[derive(Debug)]
pub(super) struct Queue<T> {
    entries: Arena<T>,
    /// By priority, the lowest first.
    levels: [Level; 3],
}

/// Where an entry stands, until it is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    priority: Priority,
    line: usize,
    at: usize,
}

/// The tenants that have something waiting. One whose last entry goes is forgotten with it.
#[derive(Debug, Default)]
struct Level {
    lines: Arena<Line>,
    turns: Chain,
    by_tenant: HashMap<Tenant, usize>,
}

#[derive(Debug)]
struct Line {
    tenant: Tenant,
    entries: Chain,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { entries: Arena::default(), levels: Default::default() }
    }
}

impl<T> Queue<T> {
    /// Behind all others of its priority and tenant.
    pub(super) fn append(&mut self, priority: Priority, tenant: &Tenant, entry: T) -> Place {
        let level = &mut self.levels[priority as usize];
        let line = level.line_of(tenant);
        let at = self.entries.append(&mut level.lines.get_mut(line).entries, entry);
        Place { priority, line, at }
    }

    /// Before all others of its priority and tenant: it has waited before.
    pub(super) fn prepend(&mut self, priority: Priority, tenant: &Tenant, entry: T) -> Place {
        let level = &mut self.levels[priority as usize];
        let line = level.line_of(tenant);
        let at = self.entries.prepend(&mut level.lines.get_mut(line).entries, entry);
        Place { priority, line, at }
    }

    /// The place must not have been taken yet.
    pub(super) fn get(&self, place: Place) -> &T {
        self.entries.get(place.at)
    }

    /// The place must not have been taken yet.
    pub(super) fn remove(&mut self, place: Place) -> T {
        let level = &mut self.levels[place.priority as usize];
        let entry = self.entries.unlink(&mut level.lines.get_mut(place.line).entries, place.at);
        level.forget_if_empty(place.line);
        entry
    }

    /// What [`Queue::pop`] would take.
    pub(super) fn front(&self) -> Option<(Priority, &T)> {
        let (priority, level) = self.first_level()?;
        let line = level.lines.get(level.turns.first()?);
        Some((priority, self.entries.get(line.entries.first()?)))
    }

    /// The next one. Its tenant goes behind the others.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (priority, _) = self.first_level()?;
        let level = &mut self.levels[priority as usize];
        let line = level.turns.first()?;
        let at = level.lines.get(line).entries.first()?;
        let entry = self.entries.unlink(&mut level.lines.get_mut(line).entries, at);
        level.end_turn(line);
        Some(entry)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn first_level(&self) -> Option<(Priority, &Level)> {
        [Priority::High, Priority::Normal, Priority::Low]
            .into_iter()
            .map(|priority| (priority, &self.levels[priority as usize]))
            .find(|(_, level)| !level.turns.is_empty())
    }
}

impl Level {
    /// A tenant that comes anew is the last to have its turn.
    fn line_of(&mut self, tenant: &Tenant) -> usize {
        if let Some(line) = self.by_tenant.get(tenant) {
            return *line;
        }
        let line = self.lines.append(&mut self.turns, Line { tenant: tenant.clone(), entries: Chain::default() });
        self.by_tenant.insert(tenant.clone(), line);
        line
    }

    fn forget_if_empty(&mut self, line: usize) -> bool {
        let is_empty = self.lines.get(line).entries.is_empty();
        if is_empty {
            let line = self.lines.unlink(&mut self.turns, line);
            self.by_tenant.remove(&line.tenant);
        }
        is_empty
    }

    fn end_turn(&mut self, line: usize) {
        if !self.forget_if_empty(line) {
            self.lines.move_to_end(&mut self.turns, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(name: u8) -> Tenant {
        (name > 0).then(|| name.to_string().into())
    }

    fn drained(mut queue: Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn higher_priorities_first_and_tenants_in_turn() {
        let mut queue = Queue::default();
        for (entry, (priority, name)) in (0..).zip([
            (Priority::Normal, 1),
            (Priority::Normal, 1),
            (Priority::Normal, 1),
            (Priority::Normal, 2),
            (Priority::Low, 3),
            (Priority::High, 1),
            (Priority::Normal, 0),
        ]) {
            queue.append(priority, &tenant(name), entry);
        }
        assert_eq!(drained(queue), [5, 0, 3, 6, 1, 2, 4]);
    }

    #[test]
    fn one_that_comes_back_is_the_first_of_its_tenant() {
        let mut queue = Queue::default();
        queue.append(Priority::Normal, &tenant(1), 1);
        queue.prepend(Priority::Normal, &tenant(1), 0);
        assert_eq!(drained(queue), [0, 1]);
    }

    proptest! {
        /// Held against lists that are searched.
        #[test]
        fn what_is_taken_is_the_first_of_the_tenant_whose_turn_it_is(
            orders in proptest::collection::vec((0..5u8, 0..3u8, 0..4u8, any::<prop::sample::Index>()), 0..300)
        ) {
            let mut queue = Queue::default();
            let mut places: Vec<(u32, Place)> = Vec::new();
            let mut model: Vec<Vec<(u8, Vec<u32>)>> = vec![Vec::new(); 3];
            for (entry, (order, level, name, index)) in (0u32..).zip(orders) {
                let priority = [Priority::Low, Priority::Normal, Priority::High][usize::from(level)];
                match order {
                    0..=2 => {
                        places.push((entry, queue.append(priority, &tenant(name), entry)));
                        let lines = &mut model[usize::from(level)];
                        match lines.iter_mut().find(|(of, _)| *of == name) {
                            Some((_, line)) => line.push(entry),
                            None => lines.push((name, vec![entry])),
                        }
                    }
                    3 => {
                        let expected = model.iter_mut().rev().find(|lines| !lines.is_empty()).map(|lines| {
                            let (name, mut line) = lines.remove(0);
                            let first = line.remove(0);
                            if !line.is_empty() {
                                lines.push((name, line));
                            }
                            first
                        });
                        prop_assert_eq!(queue.front().map(|(_, entry)| *entry), expected);
                        prop_assert_eq!(queue.pop(), expected);
                        places.retain(|(entry, _)| Some(*entry) != expected);
                    }
                    _ if places.is_empty() => prop_assert!(queue.is_empty()),
                    _ => {
                        let (entry, place) = places.remove(index.index(places.len()));
                        prop_assert_eq!(queue.remove(place), entry);
                        for lines in &mut model {
                            lines.iter_mut().for_each(|(_, line)| line.retain(|of| *of != entry));
                            lines.retain(|(_, line)| !line.is_empty());
                        }
                    }
                }
                prop_assert_eq!(queue.is_empty(), places.is_empty());
            }
        }
    }
}
