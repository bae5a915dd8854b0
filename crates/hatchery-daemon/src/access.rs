//! Who may reach the daemon, and what for. Each request has a [`Caller`] in its extensions before anything else looks at it
//! (`reception.rs` sees to that), and whoever answers asks that for the [`Scope`] that the answer takes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use axum::http::{HeaderMap, header};
use hatchery::{Auth, Result};
use rustix::process::geteuid;

mod arrival;
mod audit;
mod caller;
mod policy;
mod rates;
mod shares;
mod tokens;

pub(crate) use arrival::{Arrival, Entrance};

pub(crate) use caller::{Caller, Client, Scopes};
pub use hatchery::Scope;
pub(crate) use policy::{Limits, Policy};
pub(crate) use shares::Share;
pub use tokens::{NewToken, Secret, Token, Tokens};

use crate::denial::Denial;
use rates::Rates;
use shares::Shares;
use tokens::Known;

/// So many clients are told apart at once by how often they ask.
const CLIENTS: usize = 1 << 16;

/// Who is let in, and how much of the daemon each has.
pub(crate) struct Access {
    policy: RwLock<Arc<Policy>>,
    /// None: a daemon without a data directory has no tokens.
    tokens: Option<Known>,
    rates: Mutex<Rates<Client>>,
    calls: Shares,
    connections: Shares,
}

impl Access {
    pub(crate) fn new(policy: Policy, data_dir: Option<&Path>) -> Access {
        Access {
            policy: RwLock::new(Arc::new(policy)),
            tokens: data_dir.map(Known::of),
            rates: Mutex::new(Rates::new(CLIENTS)),
            calls: Shares::default(),
            connections: Shares::default(),
        }
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds from the next request on.
    pub(crate) fn obey(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// Whether somebody could show a token.
    pub(crate) fn has_tokens(&self) -> Result<bool> {
        self.tokens.as_ref().map_or(Ok(false), |tokens| tokens.has_valid(SystemTime::now()))
    }

    /// Who makes a request: who shows a token is judged by that alone, then a certificate counts, then the user at the other
    /// end of the Unix socket, then that the connection came over loopback.
    ///
    /// # Errors
    /// [`Denial::Unauthenticated`].
    pub(crate) fn caller(&self, policy: &Policy, arrival: &Arrival, headers: &HeaderMap) -> Result<Caller> {
        if let Some(token) = bearer(headers)? {
            let tokens = self.tokens.as_ref();
            let known = tokens.map_or(Ok(None), |tokens| tokens.caller(token, SystemTime::now()))?;
            return known.ok_or_else(|| Denial::Unauthenticated.error("the token is not known, or it has expired"));
        }
        let scopes = match (&arrival.certificate, arrival.entrance, &arrival.peer) {
            (Some(_), ..) => policy.certificate,
            (None, Entrance::Socket, Client::User(uid)) => of_user(*uid),
            (None, Entrance::Loopback(_), _) if policy.auth == Auth::None => Scopes::ALL,
            _ => return Err(Denial::Unauthenticated.error(NO_CREDENTIAL)),
        };
        Ok(Caller::new(arrival.client(), scopes))
    }

    /// Lets a client ask once more.
    ///
    /// # Errors
    /// [`Denial::TooMany`].
    pub(crate) fn pace(&self, policy: &Policy, client: &Client) -> Result<()> {
        let Some(rate) = policy.limits.rate else { return Ok(()) };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = rates.take(client, rate, Instant::now());
        taken.map_err(|retry_after| Denial::TooMany { retry_after }.error(format!("{client} asks too often")))
    }

    /// Lets one more request of a client be answered, until its share is dropped.
    ///
    /// # Errors
    /// [`Denial::TooMany`].
    pub(crate) fn call(&self, policy: &Policy, client: &Client) -> Result<Share> {
        let most = policy.limits.calls_per_client;
        let too_many = || {
            let found = format!("{client} has as many requests at once as it may have");
            Denial::TooMany { retry_after: SOON }.error(found)
        };
        self.calls.take(client, most).ok_or_else(too_many)
    }

    /// Lets one more connection of a client be open, until its share is dropped. `None`: it has too many.
    pub(crate) fn connection(&self, policy: &Policy, arrival: &Arrival) -> Option<Share> {
        let limits = &policy.limits;
        let most =
            if arrival.is_from_here() { limits.connections_from_here } else { limits.connections_from_elsewhere };
        self.connections.take(&arrival.client(), most)
    }
}

/// When a client has a request too many, one of them may be over at any moment.
const SOON: std::time::Duration = std::time::Duration::from_secs(1);

const NO_CREDENTIAL: &str =
    "nobody knows who makes this request: expected `Authorization: Bearer TOKEN` with a token of `hatchery token new`";

/// Root may do anything anyhow, and whoever the daemon runs as may end it.
fn of_user(uid: u32) -> Scopes {
    if uid == 0 || uid == geteuid().as_raw() { Scopes::ALL } else { Scopes::of(&[]) }
}

/// The token that is shown.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let token = text.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token {
        Some((_, token)) => Ok(Some(token.trim())),
        // What stands there is not repeated: it may be a secret.
        None => Err(Denial::Unauthenticated.error("Authorization: expected one, like `Bearer TOKEN`")),
    }
}

#[cfg(test)]
mod tests;
