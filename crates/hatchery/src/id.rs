//! Names of things: runs, workers, calls. Plain values that any room may use.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// One life of one supervisor: 128 random bits, written as 32 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u128);

impl RunId {
    /// A new one. Falls back to time and pid if the kernel has no randomness to give, which Linux documents as
    /// impossible after boot.
    pub(crate) fn random() -> RunId {
        RunId((u128::from(random_u64()) << 64) | u128::from(random_u64()))
    }

    /// All of them.
    pub(crate) fn bits(self) -> u128 {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn from_bits(bits: u128) -> RunId {
        RunId(bits)
    }

    /// From its 32 characters; `None` for anything else.
    ///
    /// ```
    /// use hatchery::RunId;
    ///
    /// let run = RunId::parse("00c0ffee00c0ffee00c0ffee00c0ffee").unwrap();
    /// assert_eq!(run.short(), "00c0ffe");
    /// assert_eq!(RunId::parse("c0ffee"), None);
    /// ```
    pub fn parse(text: &str) -> Option<RunId> {
        let is_written_as_ours = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_written_as_ours.then(|| u128::from_str_radix(text, 16).ok().map(RunId))?
    }

    /// The first seven characters, enough for people.
    pub fn short(&self) -> String {
        self.to_string()[..7].to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl serde::Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
        let text = String::deserialize(deserializer)?;
        RunId::parse(&text).ok_or_else(|| serde::de::Error::custom("not the id of a run"))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A worker's name: its pool's and the number of its seat from 1, like `default-3`. A worker that replaces another takes
/// over its name; its generation tells them apart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// `seat` counts from 0.
    pub(crate) fn new(pool: &str, seat: usize) -> WorkerId {
        WorkerId(format!("{pool}-{}", seat + 1).into())
    }

    /// Of the process from which the pool's workers are forked.
    pub(crate) fn template(pool: &str) -> WorkerId {
        WorkerId(format!("{pool}-template").into())
    }

    /// One that was written down.
    pub(crate) fn read(text: &str) -> WorkerId {
        WorkerId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for WorkerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One life in a seat of a pool. What is said of a worker names its life, so that nothing that comes late is taken to be about
/// its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LifeId {
    /// From 0.
    pub(crate) seat: usize,
    /// From 1.
    pub(crate) generation: u64,
}

/// A call's number: rises, never used twice in a pool.
pub(crate) type CallId = u64;

/// 16 hexadecimal characters, unique in this process and unlikely elsewhere: a random start and a counter, mixed
/// (splitmix64), so that making one costs no system call.
pub(crate) fn new_correlation_id() -> Arc<str> {
    static START: OnceLock<u64> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut z = START.get_or_init(random_u64).wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    std::str::from_utf8(&hexadecimal(z ^ (z >> 31))).unwrap_or_default().into()
}

/// Its 16 digits.
fn hexadecimal(number: u64) -> [u8; 16] {
    std::array::from_fn(|place| b"0123456789abcdef"[(number >> (60 - 4 * place)) as usize & 15])
}

/// 64 bits from the kernel.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Cannot happen on Linux for 8 bytes; std's hasher seeds are random per process and need no fallible call.
        _ => std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_ids_are_sixteen_characters_and_distinct() {
        let ids: std::collections::HashSet<Arc<str>> = (0..1000).map(|_| new_correlation_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }

    #[test]
    fn a_run_is_shown_by_its_first_seven_characters() {
        let run = RunId::random();
        assert_eq!(run.short(), run.to_string()[..7]);
        assert_eq!(run.to_string().len(), 32);
    }
}
