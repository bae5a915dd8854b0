//! The text of a token.

use std::fmt;
use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hatchery::{Error, ErrorKind, Result};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

/// Tells what it is to those who look for secrets that lie about.
const PREFIX: &str = "hatchery_";

/// So many bits cannot be guessed, slowly or not: no salt and no slow hash are needed.
const BYTES: usize = 32;

/// A token itself. It is shown only if somebody asks for its text: there is no other way to write it.
pub struct Secret(String);

/// What a daemon keeps of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Secret {
    pub(crate) fn random() -> Result<Secret> {
        let mut bytes = [0; BYTES];
        let mut filled = 0;
        while filled < BYTES {
            match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                Err(why) => return Err(Error::new(ErrorKind::Internal, format!("new token: random bits: {why}"))),
            }
        }
        Ok(Secret(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// For whoever is to show it.
    pub fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Hash {
    pub(crate) fn of(text: &str) -> Hash {
        Hash(Sha256::digest(text).into())
    }

    /// Takes as long for any two: there is nothing to be learned from that.
    pub(crate) fn is(&self, other: &Hash) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |all, (one, other)| black_box(all | (one ^ other)));
        differing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_none_is_written_by_accident() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(one.text(), other.text());
        assert_eq!(one.text().len(), PREFIX.len() + 43);
        assert_eq!(format!("{one:?}"), "Secret(..)");
        assert!(one.hash().is(&Hash::of(one.text())) && !one.hash().is(&other.hash()));
    }

    #[test]
    fn hashes_differ_in_any_bit() {
        let hash = Hash([7; 32]);
        for bit in 0..256 {
            let mut other = hash;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!hash.is(&other));
        }
    }
}
