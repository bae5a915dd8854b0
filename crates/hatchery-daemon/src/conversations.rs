//! Sessions, and what is stored in them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hatchery::{Error, ErrorKind, Result, Session, SessionWorker, Sessions};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::house::House;

/// So many sessions are listed at once if nobody says otherwise, and at most.
pub(crate) const PAGE: usize = 100;
pub(crate) const LARGEST_PAGE: usize = 1000;

/// A session in a list.
#[derive(Serialize)]
pub(crate) struct Summary {
    pub(crate) id: String,
    /// In seconds since 1970; so the next.
    pub(crate) created_at: f64,
    pub(crate) last_accessed: f64,
    /// So long after its last access it is gone; null is never.
    pub(crate) ttl_seconds: Option<f64>,
    /// Which worker served it last.
    pub(crate) last_worker: Option<SessionWorker>,
    pub(crate) program_count: usize,
    pub(crate) metadata_count: usize,
    /// How much memory it takes, estimated.
    pub(crate) memory_bytes: usize,
}

/// A session with what is in it. Programs can be large: their names only.
#[derive(Serialize)]
pub(crate) struct Whole {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    pub(crate) programs: Vec<String>,
    pub(crate) metadata: BTreeMap<String, Value>,
}

/// Some of the sessions, by id.
#[derive(Serialize)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Summary>,
    /// After which id the next page begins; null: this was the last.
    pub(crate) next: Option<String>,
}

/// A session that is there now.
#[derive(Serialize)]
pub(crate) struct Made {
    /// False: there was one of this id, which is as it was.
    pub(crate) created: bool,
    #[serde(flatten)]
    pub(crate) session: Whole,
}

/// How a new session is to be.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Without one, it gets 128 random bits.
    pub(crate) id: Option<String>,
    /// Without one, the one of the configuration.
    pub(crate) ttl: Option<Duration>,
    pub(crate) metadata: Map<String, Value>,
}

/// Whether something was there to delete.
#[derive(Serialize)]
pub(crate) struct Deleted {
    pub(crate) deleted: bool,
}

/// Those after this id, at most so many. None is accessed by this.
///
/// # Errors
/// `validation` for a limit that is not 1 to 1000.
pub(crate) fn list(house: &House, limit: usize, after: Option<&str>) -> Result<Page> {
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(invalid(format!("limit: expected 1 to {LARGEST_PAGE}, found {limit}")));
    }
    let now = SystemTime::now();
    let mut rest = sessions(house)?.list().into_iter().filter(|session| after.is_none_or(|after| &*session.id > after));
    let sessions: Vec<Summary> = rest.by_ref().take(limit).map(|session| Summary::of(&session, now)).collect();
    let next = rest.next().and_then(|_there_are_more| sessions.last()).map(|last| last.id.clone());
    Ok(Page { sessions, next })
}

/// Makes a session, or finds the one of this id.
///
/// # Errors
/// `limit` if there is no room for another; `validation`.
pub(crate) fn create(house: &House, wish: Wish) -> Result<Made> {
    let sessions = sessions(house)?;
    let Wish { id, ttl, metadata } = wish;
    let id = id.map_or_else(random_id, Ok)?;
    let mut created = false;
    let session = sessions.create_with(&id, |session| {
        created = true;
        // A time without end is said by one that no clock can express.
        session.ttl = ttl.map_or(session.ttl, |ttl| (ttl != Duration::MAX).then_some(ttl));
        session.metadata.extend(metadata);
    })?;
    Ok(Made { created, session: Whole::of(&session) })
}

/// The session, accessed by this.
///
/// # Errors
/// `not_found`.
pub(crate) fn get(house: &House, id: &str) -> Result<Whole> {
    Ok(Whole::of(&stored(house, id)?))
}

/// The same, as the store has it.
///
/// # Errors
/// `not_found`.
pub(crate) fn stored(house: &House, id: &str) -> Result<Session> {
    sessions(house)?.get(id)
}

/// Keeps it for as long as a session lives that was just accessed.
///
/// # Errors
/// `not_found`.
pub(crate) fn touch(house: &House, id: &str) -> Result<()> {
    sessions(house)?.touch(id)
}

/// Deletes it. What its worker knows of it is the worker's.
///
/// # Errors
/// `not_found`.
pub(crate) fn delete(house: &House, id: &str) -> Result<Deleted> {
    let sessions = sessions(house)?;
    // Looked for first, so that an id that was never one is told in the words of the store.
    if !sessions.exists(id) {
        sessions.get(id)?;
    }
    Ok(Deleted { deleted: sessions.delete(id) })
}

pub(crate) fn program(house: &House, id: &str, name: &str) -> Result<Value> {
    sessions(house)?.get_program(id, name)
}

/// In the place of one that was there.
pub(crate) fn store_program(house: &House, id: &str, name: &str, program: Value) -> Result<()> {
    sessions(house)?.put_program(id, name, program)
}

/// # Errors
/// `not_found`, also if there is no such program.
pub(crate) fn delete_program(house: &House, id: &str, name: &str) -> Result<Deleted> {
    found(id, "program", name, sessions(house)?.delete_program(id, name)?)
}

/// # Errors
/// `not_found`, also if nothing was set under this name.
pub(crate) fn fact(house: &House, id: &str, name: &str) -> Result<Value> {
    sessions(house)?.get_metadata(id, name)?.ok_or_else(|| missing(id, "metadata", name))
}

pub(crate) fn set_fact(house: &House, id: &str, name: &str, value: Value) -> Result<()> {
    sessions(house)?.put_metadata(id, name, value)
}

/// # Errors
/// `not_found`, also if nothing was set under this name.
pub(crate) fn delete_fact(house: &House, id: &str, name: &str) -> Result<Deleted> {
    let deleted = sessions(house)?.update(id, |session| Ok(session.metadata.remove(name).is_some()))?;
    found(id, "metadata", name, deleted)
}

fn sessions(house: &House) -> Result<Sessions> {
    Ok(house.filled()?.sessions().clone())
}

fn found(id: &str, what: &str, name: &str, deleted: bool) -> Result<Deleted> {
    if deleted { Ok(Deleted { deleted }) } else { Err(missing(id, what, name)) }
}

fn missing(id: &str, what: &str, name: &str) -> Error {
    let details = serde_json::json!({ "session": id, "reason": format!("{what}_not_found") });
    Error::new(ErrorKind::NotFound, format!("session `{id}`: no {what} `{name}`")).with_details(details)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

/// Who knows it may use the session: not to be guessed.
fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|why| Error::new(ErrorKind::Internal, format!("make an id for a session: {why}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

impl Summary {
    fn of(session: &Session, now: SystemTime) -> Summary {
        let since_1970 = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Summary {
            id: session.id.to_string(),
            created_at: since_1970(session.created_at),
            last_accessed: since_1970(session.last_accessed),
            ttl_seconds: session.ttl.map(|ttl| ttl.as_secs_f64()),
            last_worker: session.last_worker.clone(),
            program_count: session.programs.len(),
            metadata_count: session.metadata.len(),
            memory_bytes: session.stats(now).memory_bytes,
        }
    }
}

impl Whole {
    fn of(session: &Session) -> Whole {
        Whole {
            summary: Summary::of(session, SystemTime::now()),
            programs: session.programs.keys().cloned().collect(),
            metadata: BTreeMap::clone(&session.metadata),
        }
    }
}
