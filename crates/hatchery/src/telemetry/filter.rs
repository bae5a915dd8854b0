//! What a subscriber wants to hear.

use std::str::FromStr;

use super::catalogue::{EventKind, Standing, catalogue};
use super::event::Event;
use super::kinds::{Kind, Kinds};
use crate::error::{Error, ErrorKind, Result, near_match};

/// Which events somebody wants: of these names, and, if that is said, only of this pool, this worker, this call.
///
/// As text: names and patterns (`worker.ready`, `worker.*`, `*`; with `!` in front: not these), `pool=NAME`, `worker=ID`,
/// `correlation_id=ID`, with spaces or commas between. Without a name it is all but the few that are of every call, or of every one that
/// fails (`call.queued`, `call.started`, `call.finished`, `error.raised`): these come only if they are asked for.
///
/// ```
/// use hatchery::{Event, EventFilter, PoolEvent};
///
/// let filter: EventFilter = "pool.*, worker.gone pool=default".parse()?;
/// let drains = |pool: &str| Event::Pool(PoolEvent::Draining { pool: pool.into() });
/// assert!(filter.matches(&drains("default")) && !filter.matches(&drains("other")));
///
/// let error = "worker.redy".parse::<EventFilter>().unwrap_err();
/// assert_eq!(error.message(), "no such event: worker.redy (did you mean `worker.ready`?)");
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// `None`: the usual ones.
    kinds: Option<Kinds>,
    pool: Option<String>,
    worker: Option<String>,
    correlation_id: Option<String>,
}

/// Of every call, or every one that fails: who wants everything does not want these by the way.
const OF_EVERY_CALL: Kinds = Kinds::NONE
    .and(Kind::named("call.queued"))
    .and(Kind::named("call.started"))
    .and(Kind::named("call.finished"))
    .and(Kind::named("error.raised"));

impl Default for EventFilter {
    fn default() -> EventFilter {
        EventFilter::new()
    }
}

impl EventFilter {
    /// All but those that are of every call.
    pub const fn new() -> EventFilter {
        EventFilter { kinds: None, pool: None, worker: None, correlation_id: None }
    }

    /// These too, or with `!` in front: not these. What is said later beats what was said before; if a `!` comes first, it takes
    /// from all but those that are of every call.
    ///
    /// # Errors
    /// `validation` if there is no event of that name, with the near match or what the event is called here. Names that are
    /// reserved are accepted: there are no such events yet.
    pub fn name(mut self, pattern: &str) -> Result<EventFilter> {
        let (is_not, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        let named = named(pattern)?;
        self.kinds = Some(match (is_not, self.kinds) {
            (true, kinds) => kinds.unwrap_or(Kinds::ALL.without(OF_EVERY_CALL)).without(named),
            (false, kinds) => kinds.unwrap_or(Kinds::NONE).or(named),
        });
        Ok(self)
    }

    /// Only what is about this pool or its workers.
    #[must_use]
    pub fn pool(self, name: impl Into<String>) -> EventFilter {
        EventFilter { pool: Some(name.into()), ..self }
    }

    /// Only what is about this worker.
    #[must_use]
    pub fn worker(self, id: impl Into<String>) -> EventFilter {
        EventFilter { worker: Some(id.into()), ..self }
    }

    /// Only what is about this call.
    #[must_use]
    pub fn correlation_id(self, id: impl Into<String>) -> EventFilter {
        EventFilter { correlation_id: Some(id.into()), ..self }
    }

    /// Whether the event is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        let fits = |wanted: &Option<String>, found: fn(&Event) -> Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found(event) == Some(wanted))
        };
        self.kinds().contains(event.kind())
            && fits(&self.pool, Event::pool)
            && fits(&self.worker, Event::worker)
            && fits(&self.correlation_id, Event::correlation_id)
    }

    /// Of which names.
    pub(super) fn kinds(&self) -> Kinds {
        self.kinds.unwrap_or(Kinds::ALL.without(OF_EVERY_CALL))
    }
}

impl FromStr for EventFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<EventFilter> {
        let words = text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty());
        words.into_iter().try_fold(EventFilter::new(), |filter, word| match word.split_once('=') {
            None => filter.name(word),
            Some(("pool", name)) => Ok(filter.pool(name)),
            Some(("worker", id)) => Ok(filter.worker(id)),
            Some(("correlation_id", id)) => Ok(filter.correlation_id(id)),
            Some((key, _)) => {
                let near = near_match(key, ["pool", "worker", "correlation_id"]);
                Err(refused(format!("events can be told apart by pool, worker and correlation_id, not by {key}{near}")))
            }
        })
    }
}

/// Those whose name fits.
fn named(pattern: &str) -> Result<Kinds> {
    if catalogue().iter().any(|kind| fits(pattern, kind) && kind.standing != Standing::Explained) {
        return Ok(Kind::all().filter(|(_, kind)| fits(pattern, kind)).map(|(kind, _)| kind).collect());
    }
    if let Some(explained) = catalogue().iter().find(|kind| fits(pattern, kind) || is_of_family(pattern, kind)) {
        return Err(refused(format!("no such event: {pattern}: {}", explained.doc)));
    }
    let known = catalogue().iter().filter(|kind| kind.standing != Standing::Explained);
    let near = match pattern.strip_suffix(".*") {
        Some(room) => near_match(room, known.map(|kind| kind.room)),
        None => near_match(pattern, known.map(|kind| kind.name)),
    };
    Err(refused(format!("no such event: {pattern}{near}")))
}

/// A name, or the beginning of one and `*`.
fn fits(pattern: &str, kind: &EventKind) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => kind.name.starts_with(beginning),
        None => kind.name == pattern,
    }
}

/// Some names of others stand for many.
fn is_of_family(name: &str, kind: &EventKind) -> bool {
    kind.name.strip_suffix('*').is_some_and(|family| name.starts_with(family))
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}
