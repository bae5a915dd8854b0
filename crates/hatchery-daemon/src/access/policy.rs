//! What holds of `[server]`, with what is so if nobody says anything. A reload puts another one in its place.

use std::time::Duration;

use hatchery::{Auth, Scope, ServerConfig, ServerLimitsConfig};

use super::Scopes;
use super::rates::Rate;
use crate::bounded::Bounds;

/// Who may call, and how much.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy {
    /// Whether a credential is asked for on loopback too.
    pub(crate) auth: Auth,
    /// Whether it does for those who speak TLS to have no certificate, as far as `auth` lets them.
    pub(crate) without_certificate: bool,
    /// What clients with a certificate may do.
    pub(crate) certificate: Scopes,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) limits: Limits,
}

/// `server.limits`. None: no limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) rate: Option<Rate>,
    pub(crate) calls_per_client: Option<usize>,
    /// Over TCP.
    pub(crate) connections: usize,
    /// Of clients of this machine.
    pub(crate) connections_from_here: Option<usize>,
    pub(crate) connections_from_elsewhere: Option<usize>,
    /// Of the body of a request.
    pub(crate) body: Bounds,
    pub(crate) head: Duration,
    pub(crate) stall: Duration,
}

/// How long a client may take to send the body of a request.
const BODY: Duration = Duration::from_secs(60);

impl Policy {
    pub(crate) fn of(config: &ServerConfig) -> Policy {
        Policy {
            auth: config.auth.unwrap_or_default(),
            without_certificate: config.tls.client_ca.is_none(),
            certificate: Scopes::of(config.tls.client_scopes.as_deref().unwrap_or(&[Scope::Operate])),
            cors_origins: config.cors_origins.clone().unwrap_or_default(),
            limits: Limits::of(&config.limits),
        }
    }
}

impl Limits {
    fn of(config: &ServerLimitsConfig) -> Limits {
        let rate = config.requests_per_second.flatten();
        Limits {
            rate: rate.map(|per_second| Rate::new(per_second, config.burst)),
            calls_per_client: config.calls_per_client.unwrap_or(Some(1024)),
            connections: config.connections.unwrap_or(1024),
            connections_from_here: config.connections_per_client.flatten(),
            connections_from_elsewhere: config.connections_per_client.unwrap_or(Some(256)),
            body: Bounds { size: config.body.unwrap_or(Some(64 << 20)), time: BODY },
            head: config.head.unwrap_or(Duration::from_secs(30)),
            stall: config.stall.unwrap_or(Duration::from_secs(60)),
        }
    }
}
