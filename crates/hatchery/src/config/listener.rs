//! `[bridge]`: where others than workers reach the host's side of `snakepit.bridge`.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use super::layer::Layer;
use super::words::Word;

/// `[bridge]` with an external mode: where clients that are no workers reach the host's side of `snakepit.bridge`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeListener {
    /// `host`: what clients are told.
    pub host: String,
    /// `bind_host`, else `host`: where it listens.
    pub bind: IpAddr,
    /// The ports of which it takes the first that is free: one, if the mode is `external`.
    pub ports: RangeInclusive<u16>,
}

/// Who reaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BridgeMode {
    /// Nobody but workers, each by a listener of its own.
    #[default]
    Internal,
    /// Others too, at one address.
    External,
    /// Others too, at the first free port of several.
    ExternalPool,
}

impl Word for BridgeMode {
    const WORDS: &'static [(&'static str, BridgeMode)] = &[
        ("internal", BridgeMode::Internal),
        ("external", BridgeMode::External),
        ("external_pool", BridgeMode::ExternalPool),
    ];
}

impl BridgeListener {
    /// So many ports are tried if nobody says how many.
    pub(super) const POOL_SIZE: u16 = 32;

    /// `None`: there is none, or something is missing, which is among the problems.
    pub(super) fn of(said: &Layer) -> Option<BridgeListener> {
        let ports = match said.word::<BridgeMode>("bridge.mode")? {
            BridgeMode::Internal => return None,
            BridgeMode::External => {
                let port = said.whole("bridge.port")?;
                port..=port
            }
            BridgeMode::ExternalPool => pool(said)?,
        };
        let host = said.text("bridge.host")?;
        let bind = address(said.text("bridge.bind_host").unwrap_or(host))?;
        Some(BridgeListener { host: host.to_owned(), bind, ports })
    }
}

/// The ports from the first one on; `None` if there are not so many.
pub(super) fn pool(said: &Layer) -> Option<RangeInclusive<u16>> {
    let first: u16 = said.whole("bridge.base_port")?;
    let size = said.whole("bridge.pool_size").unwrap_or(BridgeListener::POOL_SIZE);
    Some(first..=first.checked_add(size.checked_sub(1)?)?)
}

/// What can be listened on: names mean several addresses, and other ones tomorrow.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host == "localhost" { Some(Ipv4Addr::LOCALHOST.into()) } else { bare.parse().ok() }
}
