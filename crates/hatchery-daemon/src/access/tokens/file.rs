//! `tokens.json`: read whole, written anew and put in place at once, by one writer at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hatchery::{Error, ErrorKind, Result, Scope};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::Token;
use super::secret::Hash;

pub(super) const FILE: &str = "tokens.json";

/// Held by who writes. The file itself is another one after each change.
const LOCK: &str = "tokens.lock";

/// The form of the file, should there be another one day.
const VERSION: u32 = 1;

/// A token, and the hash by which it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) hash: Hash,
    pub(crate) token: Token,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    tokens: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    /// In hexadecimal.
    sha256: String,
    scopes: Vec<Scope>,
    /// In seconds since 1970.
    made: u64,
    expires: Option<u64>,
}

/// Which file it is, and whether it is the one of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Print {
    /// `None` if there is no file.
    pub(super) fn of(data_dir: &Path) -> io::Result<Option<Print>> {
        match std::fs::symlink_metadata(data_dir.join(FILE)) {
            Ok(found) => {
                let changed = (found.ctime(), found.ctime_nsec());
                Ok(Some(Print { device: found.dev(), inode: found.ino(), size: found.size(), changed }))
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }
}

/// All tokens. No file is no token; one that is damaged is an error, as is one that others may have written.
pub(super) fn read(data_dir: &Path) -> Result<Vec<Entry>> {
    let path = data_dir.join(FILE);
    let failed = |found: String| Error::new(ErrorKind::Validation, format!("read {}: {found}", path.display()));
    let text = match text(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|why| failed(why.to_string()))?,
    };
    let document: Document = serde_json::from_str(&text).map_err(|why| failed(damaged(&why)))?;
    if document.version != VERSION {
        return Err(failed(format!(
            "expected version {VERSION}, found {}: another hatchery wrote it",
            document.version
        )));
    }
    let entries: Option<Vec<Entry>> = document.tokens.into_iter().map(Line::entry).collect();
    entries.ok_or_else(|| failed(damaged(&"a hash is none")))
}

fn damaged(why: &dyn std::fmt::Display) -> String {
    format!("it is damaged ({why}); nobody is let in by a token until it is mended or removed")
}

fn text(path: &Path) -> io::Result<String> {
    // Neither a link nor a FIFO that would hold us up.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    let us = geteuid().as_raw();
    let wrong = match () {
        () if !found.is_file() => "it is no regular file".to_owned(),
        () if found.uid() != us && found.uid() != 0 => {
            format!("it belongs to user {}, and not to this one ({us})", found.uid())
        }
        () if found.mode() & 0o022 != 0 => {
            format!("others may write it (mode {:o}); `chmod 600` keeps them out", found.mode() & 0o777)
        }
        () => String::new(),
    };
    if !wrong.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, wrong));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Reads, lets `change` decide, and writes what came of it. What it refuses is not written.
pub(super) fn change<T>(data_dir: &Path, change: impl FnOnce(&mut Vec<Entry>) -> Result<T>) -> Result<T> {
    let path = data_dir.join(FILE);
    let failed = |why: io::Error| Error::new(ErrorKind::Validation, format!("write {}: {why}", path.display()));
    let _one_at_a_time = locked(data_dir).map_err(failed)?;
    let mut entries = read(data_dir)?;
    let outcome = change(&mut entries)?;
    let document = Document { version: VERSION, tokens: entries.iter().map(Line::of).collect() };
    let text = serde_json::to_string_pretty(&document).map_err(io::Error::from).map_err(failed)?;
    replace(data_dir, &text).map_err(failed)?;
    Ok(outcome)
}

fn locked(data_dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut lock = OpenOptions::new();
    lock.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = lock.open(data_dir.join(LOCK))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Whoever reads meanwhile sees the one or the other, and so does who reads after a crash.
fn replace(data_dir: &Path, text: &str) -> io::Result<()> {
    let fresh = data_dir.join("tokens.json.new");
    match std::fs::remove_file(&fresh) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _left_by_a_crash => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&fresh, data_dir.join(FILE))?;
    File::open(data_dir)?.sync_all()
}

impl Line {
    fn of(entry: &Entry) -> Line {
        let Entry { hash, token } = entry;
        Line {
            name: token.name.clone(),
            sha256: hash.0.iter().map(|byte| format!("{byte:02x}")).collect(),
            scopes: token.scopes.clone(),
            made: seconds(token.made),
            expires: token.expires.map(seconds),
        }
    }

    fn entry(self) -> Option<Entry> {
        let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let expires = match self.expires {
            Some(seconds) => Some(time(seconds)?),
            None => None,
        };
        let token = Token { name: self.name, scopes: self.scopes, made: time(self.made)?, expires };
        Some(Entry { hash: hash(&self.sha256)?, token })
    }
}

fn hash(hexadecimal: &str) -> Option<Hash> {
    let byte = |index: usize| u8::from_str_radix(hexadecimal.get(2 * index..2 * index + 2)?, 16).ok();
    let mut bytes = [0; 32];
    for (index, place) in bytes.iter_mut().enumerate() {
        *place = byte(index)?;
    }
    (hexadecimal.len() == 64).then_some(Hash(bytes))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
