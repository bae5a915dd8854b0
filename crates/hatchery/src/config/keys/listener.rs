//! The keys of the listener for clients that are no workers.

use super::{Fallback, Key, Kind, Value, key, of_word};
use crate::config::listener::BridgeMode;
use crate::config::words::words;

const ANY_PORT: Kind = Kind::Whole(1, 65_535);

pub(super) const BRIDGE: &[Key] = &[
    key(
        "mode",
        Kind::Words(words::<BridgeMode>),
        Fallback::Is(of_word::<BridgeMode>),
        "Who reaches it: workers only, each by a listener of its own (internal); others too, at one port (external) or at the first \
         free one of several (external_pool).",
    ),
    key(
        "host",
        Kind::Text,
        Fallback::Nothing("none; an external mode needs one"),
        "What clients are told to connect to, and without `bind_host` where it listens.",
    ),
    key(
        "bind_host",
        Kind::Text,
        Fallback::Nothing("`host`"),
        "Where it listens: an address, or localhost. One that is not on loopback takes `unsafe_bind`, and what `server.listen` takes there.",
    ),
    key(
        "port",
        ANY_PORT,
        Fallback::Nothing("none; external needs one"),
        "The port. If another program listens there, the start fails, before there is a worker.",
    ),
    key("base_port", ANY_PORT, Fallback::Nothing("none; external_pool needs one"), "The first port that is tried."),
    key("pool_size", ANY_PORT, Fallback::Nothing("32 with external_pool"), "How many are tried, from `base_port` on."),
    key(
        "unsafe_bind",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(false)),
        "Whether it may listen where other machines reach it.",
    ),
];
