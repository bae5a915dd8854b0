//! What a peer can do beyond plain calls, and what two peers agree on.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that both sides must know before either may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Capability {
    Streams,
    Cancel,
    Attachments,
    Progress,
    Log,
    HostTools,
    Telemetry,
    TelemetryControl,
    Health,
    Ahead,
}

impl Capability {
    const ALL: [Capability; 10] = [
        Capability::Streams,
        Capability::Cancel,
        Capability::Attachments,
        Capability::Progress,
        Capability::Log,
        Capability::HostTools,
        Capability::Telemetry,
        Capability::TelemetryControl,
        Capability::Health,
        Capability::Ahead,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Capability::Streams => "streams",
            Capability::Cancel => "cancel",
            Capability::Attachments => "attachments",
            Capability::Progress => "progress",
            Capability::Log => "log",
            Capability::HostTools => "host_tools",
            Capability::Telemetry => "telemetry",
            Capability::TelemetryControl => "telemetry_control",
            Capability::Health => "health",
            Capability::Ahead => "ahead",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities. In JSON an array of names, in which unknown ones (of a newer peer) are passed over.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(u16);

impl Capabilities {
    /// All that this version knows.
    pub(crate) fn all() -> Capabilities {
        Capability::ALL.into_iter().collect()
    }

    pub(crate) fn insert(&mut self, capability: Capability) {
        self.0 |= 1 << capability as u8;
    }

    pub(crate) fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// What is agreed between one who offers `self` and one who offers `other`.
    #[must_use]
    pub(crate) fn intersect(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |&capability| self.contains(capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Capabilities {
        let mut set = Capabilities::default();
        capabilities.into_iter().for_each(|capability| set.insert(capability));
        set
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Capability::name))
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Capabilities, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let known = |name: &String| Capability::ALL.into_iter().find(|capability| capability.name() == name);
        Ok(names.iter().filter_map(known).collect())
    }
}
