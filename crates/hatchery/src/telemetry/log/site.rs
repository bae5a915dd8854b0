//! What `tracing` knows of each kind of event: a name, a category, a level, fields. Made of the catalogue, so that a line says what
//! the event says; and asked once for each subscriber whether anybody listens.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{LazyLock, Once, OnceLock};

use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::LevelFilter;
use tracing_core::{Event, Interest, Kind as SiteKind, Level, Metadata, dispatcher};

use crate::telemetry::kinds::Kind;

/// The field that has the sentence.
pub(super) const MESSAGE: &str = "message";

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// A kind of event at one level.
pub(super) struct Site {
    number: usize,
    registered: Once,
    interest: AtomicU8,
    metadata: OnceLock<Metadata<'static>>,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

static SITES: LazyLock<Vec<Site>> = LazyLock::new(|| {
    let site = |number| Site {
        number,
        registered: Once::new(),
        interest: AtomicU8::new(SOMETIMES),
        metadata: OnceLock::new(),
    };
    (0..Kind::COUNT * LEVELS.len()).map(site).collect()
});

/// The fields of each kind, the sentence first.
static FIELDS: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let fields = |kind: &'static super::super::EventKind| {
        let own = kind.fields.iter().map(|field| field.name).filter(|name| *name != MESSAGE);
        std::iter::once(MESSAGE).chain(own).collect()
    };
    Kind::all().map(|(_, kind)| fields(kind)).collect()
});

impl Site {
    /// That of this kind and level, if somebody listens to it.
    pub(super) fn heard(kind: Kind, level: Level) -> Option<&'static Site> {
        if level > LevelFilter::current() {
            return None;
        }
        let place = LEVELS.iter().position(|other| *other == level)?;
        let site = SITES.get(kind.number() * LEVELS.len() + place)?;
        site.is_heard().then_some(site)
    }

    fn is_heard(&'static self) -> bool {
        self.registered.call_once(|| callsite::register(self));
        match self.interest.load(Ordering::Relaxed) {
            NEVER => false,
            ALWAYS => true,
            _ => dispatcher::get_default(|subscriber| subscriber.enabled(self.metadata())),
        }
    }

    /// The values stand in the order of the fields.
    pub(super) fn write(&'static self, values: &[Option<&dyn Value>]) {
        let metadata = self.described();
        if values.len() == metadata.fields().len() {
            Event::dispatch(metadata, &metadata.fields().value_set_all(values));
        }
    }

    fn described(&self) -> &Metadata<'static> {
        self.metadata.get_or_init(|| {
            let (kind, level) = (self.number / LEVELS.len(), LEVELS[self.number % LEVELS.len()]);
            let name = Kind::all().nth(kind).map_or("", |(_, kind)| kind.name);
            let fields = FieldSet::new(&FIELDS[kind], Identifier(&SITES[self.number]));
            Metadata::new(name, category(name), level, None, None, None, fields, SiteKind::EVENT)
        })
    }
}

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let interest = match interest {
            interest if interest.is_never() => NEVER,
            interest if interest.is_always() => ALWAYS,
            _ => SOMETIMES,
        };
        self.interest.store(interest, Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.described()
    }
}

/// What a line about an event of this name is about.
pub(super) fn category(name: &str) -> &'static str {
    if name == "worker.log" {
        return "hatchery::worker::output";
    }
    match name.split('.').next().unwrap_or_default() {
        "worker" | "heartbeat" | "shared" => "hatchery::worker",
        "call" | "tool" => "hatchery::call",
        "pool" => "hatchery::pool",
        "session" => "hatchery::session",
        "registry" => "hatchery::registry",
        "guardian" => "hatchery::guardian",
        "agent" => "hatchery::agent",
        "fault" | "retry" | "breaker" | "error" => "hatchery::fault",
        // The run as a whole is the service of services.
        _ => "hatchery::service",
    }
}
