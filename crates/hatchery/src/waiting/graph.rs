//! Which waits can come to an end. Plain data; how the pools are staffed is an argument.
//!
//! A call holds its place in a worker until everything that it waits for has ended. What runs ends when it waits for nothing, or
//! when all that it waits for does; what is in a pool's line begins as soon as one worker of that pool has a place. So it is
//! enough to look when a wait begins: nothing else takes away a place that would have become free.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::id::WorkerId;

/// One life of one worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) worker: WorkerId,
    pub(crate) generation: u64,
}

/// A call that has a place in a worker, by a number that no other call of that life has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Occupant {
    pub(crate) life: Life,
    pub(crate) call: u64,
}

/// The workers of a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staff {
    /// Those that take calls.
    pub(crate) ready: Vec<Life>,
    /// How many there are to be.
    pub(crate) wanted: usize,
    /// How many calls each may have at once.
    pub(crate) places: usize,
}

pub(super) type EdgeId = u64;

/// Everyone who waits.
#[derive(Default)]
pub(super) struct Graph {
    edges: BTreeMap<EdgeId, Edge>,
    last: EdgeId,
}

struct Edge {
    from: Occupant,
    to: Target,
}

/// What is waited for.
enum Target {
    /// In the line of a pool, or of one of its workers.
    Queued { pool: Arc<str>, only: Option<Arc<str>> },
    /// In a worker.
    Running(Occupant),
}

type Open<'a> = BTreeMap<EdgeId, &'a Edge>;

impl Graph {
    /// A call waits for another one, which is on its way to a pool.
    pub(super) fn begin(&mut self, from: Occupant, pool: Arc<str>, only: Option<&str>) -> EdgeId {
        self.last += 1;
        let to = Target::Queued { pool, only: only.map(Arc::from) };
        self.edges.insert(self.last, Edge { from, to });
        self.last
    }

    /// What is waited for has a place.
    pub(super) fn runs(&mut self, edge: EdgeId, occupant: Occupant) {
        if let Some(edge) = self.edges.get_mut(&edge) {
            edge.to = Target::Running(occupant);
        }
    }

    pub(super) fn end(&mut self, edge: EdgeId) {
        self.edges.remove(&edge);
    }

    /// In whose lines something is waited for.
    pub(super) fn pools(&self) -> BTreeSet<Arc<str>> {
        let queued = |edge: &Edge| match &edge.to {
            Target::Queued { pool, .. } => Some(Arc::clone(pool)),
            Target::Running(_) => None,
        };
        self.edges.values().filter_map(queued).collect()
    }

    /// The workers through which a wait leads back to where it began, if it cannot come to an end. Of a pool of which nothing is
    /// known nothing is feared.
    pub(super) fn circle(&self, edge: EdgeId, staffs: &HashMap<Arc<str>, Staff>) -> Option<Vec<WorkerId>> {
        let stuck = self.stuck(staffs);
        let first = stuck.get(&edge)?;
        Some(way_back(first, &stuck, staffs))
    }

    /// Those that cannot end: what is left when those that can are taken away, again and again.
    fn stuck(&self, staffs: &HashMap<Arc<str>, Staff>) -> Open<'_> {
        let mut open: Open<'_> = self.edges.iter().map(|(id, edge)| (*id, edge)).collect();
        loop {
            let held = Held::by(&open);
            let before = open.len();
            open.retain(|_, edge| !held.lets_end(&edge.to, staffs));
            if open.len() == before {
                return open;
            }
        }
    }
}

/// The places that may never become free.
struct Held<'a> {
    occupants: HashSet<&'a Occupant>,
    places: HashMap<&'a Life, usize>,
}

impl<'a> Held<'a> {
    fn by(open: &Open<'a>) -> Held<'a> {
        let occupants: HashSet<&Occupant> = open.values().map(|edge| &edge.from).collect();
        let mut places = HashMap::new();
        occupants.iter().for_each(|occupant| *places.entry(&occupant.life).or_default() += 1);
        Held { occupants, places }
    }

    fn lets_end(&self, target: &Target, staffs: &HashMap<Arc<str>, Staff>) -> bool {
        match target {
            Target::Running(occupant) => !self.occupants.contains(occupant),
            Target::Queued { pool, only } => staffs
                .get(pool)
                .is_none_or(|staff| staff.is_short_of(only.as_deref()) || self.has_room(staff, only.as_deref())),
        }
    }

    fn has_room(&self, staff: &Staff, only: Option<&str>) -> bool {
        staff.those(only).any(|life| self.places.get(life).is_none_or(|held| *held < staff.places))
    }
}

impl Staff {
    /// Whom a call may wait for.
    fn those(&self, only: Option<&str>) -> impl Iterator<Item = &Life> {
        self.ready.iter().filter(move |life| only.is_none_or(|only| life.worker.as_str() == only))
    }

    /// Somebody is still to come, or the one that is meant is not there: the pool knows what to say then.
    fn is_short_of(&self, only: Option<&str>) -> bool {
        match only {
            None => self.ready.len() < self.wanted,
            Some(_) => self.those(only).next().is_none(),
        }
    }
}

/// The shortest, breadth first.
fn way_back(first: &Edge, stuck: &Open<'_>, staffs: &HashMap<Arc<str>, Staff>) -> Vec<WorkerId> {
    let mut came_from: HashMap<&Occupant, Option<&Occupant>> = HashMap::new();
    let mut next: VecDeque<(&Edge, Option<&Occupant>)> = VecDeque::from([(first, None)]);
    while let Some((edge, through)) = next.pop_front() {
        for occupant in
            stuck.values().map(|edge| &edge.from).filter(|occupant| edge.to.may_be_held_by(occupant, staffs))
        {
            if came_from.contains_key(occupant) {
                continue;
            }
            came_from.insert(occupant, through);
            if *occupant == first.from {
                return names(occupant, &came_from);
            }
            next.extend(stuck.values().filter(|edge| edge.from == *occupant).map(|edge| (*edge, Some(occupant))));
        }
    }
    // It waits for others that wait for each other.
    std::iter::once(&first.from).chain(came_from.into_keys()).map(|occupant| occupant.life.worker.clone()).collect()
}

impl Target {
    fn may_be_held_by(&self, occupant: &Occupant, staffs: &HashMap<Arc<str>, Staff>) -> bool {
        match self {
            Target::Running(running) => running == occupant,
            Target::Queued { pool, only } => {
                staffs.get(pool).is_some_and(|staff| staff.those(only.as_deref()).any(|life| *life == occupant.life))
            }
        }
    }
}

/// From the last one back to itself.
fn names(last: &Occupant, came_from: &HashMap<&Occupant, Option<&Occupant>>) -> Vec<WorkerId> {
    let mut names = vec![last.life.worker.clone()];
    let mut at = came_from.get(last).copied().flatten();
    while let Some(occupant) = at {
        names.push(occupant.life.worker.clone());
        at = came_from.get(occupant).copied().flatten();
    }
    names.push(last.life.worker.clone());
    names.reverse();
    names
}
