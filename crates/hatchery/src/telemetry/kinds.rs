//! Kinds of events as numbers, and sets of them as bits: what an emitter looks at.

use super::catalogue::EventKind;
use super::event::ROOMS;

/// A kind of event that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    /// How many there are.
    pub(super) const COUNT: usize = before(ROOMS.len());

    /// By its name. Made where it is used as a constant, where a slip does not compile.
    pub(crate) const fn named(name: &str) -> Kind {
        let mut room = 0;
        while room < ROOMS.len() {
            let mut index = 0;
            while index < ROOMS[room].len() {
                if is_same(ROOMS[room][index].name, name) {
                    return Kind::new(room, index);
                }
                index += 1;
            }
            room += 1;
        }
        panic!("no event of this name is emitted")
    }

    pub(super) const fn new(room: usize, index: usize) -> Kind {
        Kind((before(room) + index) as u8)
    }

    pub(super) fn all() -> impl Iterator<Item = (Kind, &'static EventKind)> {
        (0..).map(Kind).zip(ROOMS.iter().copied().flatten())
    }

    pub(crate) fn name(self) -> &'static str {
        ROOMS.iter().copied().flatten().nth(self.0.into()).map_or("", |kind| kind.name)
    }

    /// Where its bit stands.
    pub(super) fn number(self) -> usize {
        self.0.into()
    }
}

const fn before(room: usize) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < room {
        count += ROOMS[at].len();
        at += 1;
    }
    count
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u128);

/// There is a bit for each.
const _: () = assert!(Kind::COUNT <= 128);

impl Kinds {
    pub(super) const NONE: Kinds = Kinds(0);
    pub(super) const ALL: Kinds = Kinds(u128::MAX);

    pub(super) const fn and(self, kind: Kind) -> Kinds {
        Kinds(self.0 | 1 << kind.0)
    }

    pub(super) const fn without(self, others: Kinds) -> Kinds {
        Kinds(self.0 & !others.0)
    }

    pub(super) const fn or(self, others: Kinds) -> Kinds {
        Kinds(self.0 | others.0)
    }

    pub(super) fn contains(self, kind: Kind) -> bool {
        self.0 >> kind.0 & 1 == 1
    }

    pub(super) fn includes(self, others: Kinds) -> bool {
        others.0 & !self.0 == 0
    }

    /// The bits, the lowest 64 first.
    pub(super) fn words(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Kinds {
        kinds.into_iter().fold(Kinds::NONE, Kinds::and)
    }
}
