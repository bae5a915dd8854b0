//! The page of memory in which a worker writes the number of each call before it begins it (`docs/design/wire.md`, 5.1).
//!
//! The host does not map it: it reads it once, when the worker is dead, and a read of the file says the same as the memory does.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::pread;

use super::WireId;
use crate::memory::sealed;

const LENGTH: u64 = 4096;

#[derive(Debug)]
pub(super) struct Ledger(OwnedFd);

impl Ledger {
    /// A new one, and the descriptor that its worker inherits.
    pub(super) fn new() -> io::Result<(Ledger, OwnedFd)> {
        let page = sealed("hatchery-ledger", LENGTH)?;
        let inherited = page.try_clone()?;
        Ok((Ledger(page), inherited))
    }

    /// The call that was begun last, 0 if none was. `None`: it cannot be read.
    pub(super) fn last_begun(&self) -> Option<WireId> {
        let mut number = [0; 8];
        let length = pread(&self.0, &mut number, 0).ok()?;
        (length == number.len()).then(|| WireId::from_ne_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::ftruncate;
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_the_worker_writes_is_read_and_its_size_is_nobodys_to_change() {
        let (ledger, theirs) = Ledger::new().unwrap();
        assert_eq!(ledger.last_begun(), Some(0));
        assert_eq!(rustix::io::pwrite(&theirs, &77u64.to_ne_bytes(), 0), Ok(8));
        assert_eq!(ledger.last_begun(), Some(77));
        assert_eq!(ftruncate(&theirs, 0), Err(Errno::PERM));
        assert_eq!(ftruncate(&theirs, 2 * LENGTH), Err(Errno::PERM));
    }
}
