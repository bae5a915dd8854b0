//! One live run for each conversation, whichever supervisor has it: a lock on a file that is named by whose conversation it is.
//!
//! The lock is the kernel's (`flock`), so it is free at once when its holder ends, however that happens. What is in the file only names the
//! holder for whoever comes second. A file that nobody holds means nothing, and is removed in passing.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AgentRunId, AgentSessionId};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Folder, Refusal, lock};

const AGENTS: &str = "agents";
const CLAIMS: &str = "claims";

/// A holder says who it is right after it has the lock.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Where the claims of a data dir lie. Its calls block, for well under a millisecond.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    data_dir: PathBuf,
}

/// Whose conversation it is: agents of one family keep those of one user in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    file: String,
    session: AgentSessionId,
}

/// The right to carry a conversation on. Dropped, it is anybody's.
#[derive(Debug)]
#[must_use]
pub(super) struct Claim {
    key: Key,
    claims: Claims,
    /// `None` once it was given up or handed on.
    file: Option<File>,
    holder: Holder,
}

/// Who carries it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) run: AgentRunId,
    /// The supervisor of that run.
    pub(super) pid: u32,
}

impl Key {
    /// `family`: what the agent is called, whoever speaks to it; `home`: where its user's conversations are.
    pub(super) fn new(family: &str, home: &Path, session: &AgentSessionId) -> Key {
        let mut hash = Sha256::new();
        for part in [family.as_bytes(), home.as_os_str().as_encoded_bytes(), session.as_str().as_bytes()] {
            // So that no two triples are one text.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        let file = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Key { file, session: session.clone() }
    }
}

impl Claims {
    pub(super) fn new(data_dir: &Path) -> Claims {
        Claims { data_dir: data_dir.to_owned() }
    }

    /// Takes a conversation for a run of this process.
    ///
    /// # Errors
    /// `conflict` if another run has it, with `run` and `pid` of the holder in its details; `unavailable` if the data dir cannot be
    /// written.
    pub(super) fn take(&self, key: &Key, run: AgentRunId) -> Result<Claim> {
        let holder = Holder { run, pid: std::process::id() };
        let folder = self.folder().map_err(|refusal| cannot(key, &refusal))?;
        // Each turn means that somebody else has just let go of the same file.
        for _ in 0..LOOKS {
            let file = folder.append(&key.file).map_err(|refusal| cannot(key, &refusal))?;
            match lock(file).map_err(|error| cannot(key, &error))? {
                None => return Err(conflict(key, run, self.holder(key))),
                Some(file) if is_at(&file, &folder, &key.file) => {
                    write_down(&file, holder).map_err(|error| cannot(key, &error))?;
                    return Ok(Claim { key: key.clone(), claims: self.clone(), file: Some(file), holder });
                }
                Some(_gone_meanwhile) => {}
            }
        }
        Err(conflict(key, run, self.holder(key)))
    }

    /// Takes over what another process has handed on with [`Claim::hand_on`]: the lock comes with the descriptor.
    #[cfg_attr(not(test), expect(dead_code, reason = "for runs that outlive their supervisor"))]
    pub(super) fn take_over(&self, key: Key, run: AgentRunId, descriptor: OwnedFd) -> Claim {
        let (file, holder) = (File::from(descriptor), Holder { run, pid: std::process::id() });
        let _names_the_one_before = write_down(&file, holder);
        Claim { key, claims: self.clone(), file: Some(file), holder }
    }

    /// Removes the files that nobody holds. How many.
    pub(super) fn remove_stale(&self) -> usize {
        let Ok(folder) = self.folder() else { return 0 };
        let names = folder.names().unwrap_or_default();
        names.into_iter().filter(|name| self.is_stale(&folder, name)).count()
    }

    fn is_stale(&self, folder: &Folder, name: &str) -> bool {
        let free = folder.read(name).ok().and_then(|file| lock(file).ok()?);
        // Only who holds the lock of the very file may remove it: else it may be somebody's by now.
        free.filter(|file| is_at(file, folder, name)).is_some_and(|_held| self.remove(name))
    }

    /// Who has it, if that can be read.
    fn holder(&self, key: &Key) -> Option<Holder> {
        let read = || {
            let mut text = String::new();
            let file = self.folder().ok()?.read(&key.file).ok()?;
            file.take(1024).read_to_string(&mut text).ok()?;
            serde_json::from_str(&text).ok()
        };
        (0..LOOKS).find_map(|look| {
            if look > 0 {
                std::thread::sleep(LOOK_AGAIN);
            }
            read()
        })
    }

    fn folder(&self) -> Result<Folder, Refusal> {
        Folder::make_base(&self.data_dir)?.make(AGENTS)?.make(CLAIMS)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data_dir.join(AGENTS).join(CLAIMS).join(name)
    }

    fn remove(&self, name: &str) -> bool {
        std::fs::remove_file(self.path(name)).is_ok()
    }
}

impl Claim {
    /// The agent calls its conversation something else now: that is taken, then the old one let go. There is no moment without either.
    ///
    /// # Errors
    /// As for [`Claims::take`]; then the old one is still held.
    pub(super) fn rekey(&mut self, key: &Key) -> Result<()> {
        if *key != self.key {
            // What was there before goes when this is dropped.
            let mut taken = self.claims.take(key, self.holder.run)?;
            std::mem::swap(self, &mut taken);
        }
        Ok(())
    }

    /// Gives the lock to whoever gets the descriptor: it is free when the last copy is closed.
    #[cfg_attr(not(test), expect(dead_code, reason = "for runs that outlive their supervisor"))]
    pub(super) fn hand_on(mut self) -> Option<OwnedFd> {
        self.file.take().map(OwnedFd::from)
    }

    /// For a process that is to hold it as well.
    #[expect(dead_code, reason = "for runs that outlive their supervisor")]
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // In a host's fork the run is still the original's.
        if self.holder.pid != std::process::id() {
            return;
        }
        // As long as it is locked, nobody else can have made it theirs.
        self.claims.remove(&self.key.file);
        // A fork that has not yet become another program has a copy of the descriptor; this lets go in all of them.
        let _free_when_closed = flock(&file, FlockOperation::Unlock);
    }
}

/// Whether that name still leads to this file.
fn is_at(file: &File, folder: &Folder, name: &str) -> bool {
    let inode = |file: &File| fstat(file).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let there = folder.read(name).ok();
    there.as_ref().and_then(inode).is_some_and(|there| inode(file) == Some(there))
}

fn write_down(mut file: &File, holder: Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(&holder)?.as_bytes())
}

fn conflict(key: &Key, run: AgentRunId, holder: Option<Holder>) -> Error {
    let session = &key.session;
    let by = match holder {
        Some(Holder { run, pid }) => format!("run {run} has it, under the supervisor {pid}"),
        None => "another run has it".to_owned(),
    };
    let message = format!(
        "start run {run}: one run at a time can carry on session {session}, and {by}; stop that, or fork the session"
    );
    let error = Error::new(ErrorKind::Conflict, message);
    match holder {
        Some(Holder { run, pid }) => {
            error.with_details(serde_json::json!({ "session": session, "run": run, "pid": pid }))
        }
        None => error.with_details(serde_json::json!({ "session": session })),
    }
}

fn cannot(key: &Key, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("claim session {}: {why}", key.session))
}

#[cfg(test)]
mod tests;
