//! Who may reach the daemon, and what for. Each request has a [`Caller`] in its extensions before anything else looks at it
//! (`reception.rs` sees to that), and whoever answers asks that for the [`Scope`] that the answer takes.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, header};
use hatchery::{Auth, Result};
use rustix::process::geteuid;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

mod arrival;
mod account;
mod audit;
mod caller;
mod policy;
mod rates;
mod shares;
mod standing;
mod tokens;

pub(crate) use arrival::{Arrival, Door, Entrance};

pub(crate) use caller::{Caller, Client, Scopes};
pub use hatchery::Scope;
pub(crate) use policy::{Limits, Policy};
pub(crate) use shares::Share;
pub(crate) use standing::Standing;
pub use tokens::{NewToken, Secret, Token, Tokens};

use crate::denial::Denial;
use account::Account;
use shares::Shares;
use tokens::{Hash, Known};

/// So many clients of a kind are told apart at once by how often they ask.
const CLIENTS: usize = 1 << 16;

/// How often is looked whether a token was revoked or is over, for those who have shown it and are still being answered.
const LOOK: Duration = Duration::from_secs(1);

/// Who is let in, and how much of the daemon each has.
pub(crate) struct Access {
    policy: RwLock<Arc<Policy>>,
    /// None: a daemon without a data directory has no tokens.
    tokens: Option<Known>,
    /// How often that has changed which decides who is let in.
    changes: watch::Sender<u64>,
    known: Account,
    strangers: Account,
    /// Of all who ask how the daemon is.
    health: Account,
    connections: Shares,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    /// How the daemon is. Whoever watches over it is not refused because others ask for much from the same place, nor are they
    /// because of that.
    Health,
    Other,
}

impl Access {
    pub(crate) fn new(policy: Policy, data_dir: Option<&Path>) -> Access {
        Access {
            policy: RwLock::new(Arc::new(policy)),
            tokens: data_dir.map(Known::of),
            changes: watch::Sender::new(0),
            known: Account::new(CLIENTS),
            strangers: Account::new(CLIENTS),
            health: Account::new(CLIENTS),
            connections: Shares::default(),
        }
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds from the next request on, and for answers under way.
    pub(crate) fn obey(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.changes.send_modify(|count| *count += 1);
    }

    /// How often that has changed which decides who is let in.
    pub(crate) fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Waits for another change than this.
    pub(crate) async fn changed(self: Arc<Access>, seen: u64) {
        let mut changes = self.changes.subscribe();
        let _we_hold_the_sender = changes.wait_for(|count| *count != seen).await;
    }

    /// For ever: tells of tokens that are made, revoked or over.
    pub(crate) async fn watch(&self) {
        let Some(tokens) = &self.tokens else { return std::future::pending().await };
        let mut before = tokens.state(SystemTime::now());
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = tokens.state(SystemTime::now());
            if std::mem::replace(&mut before, now) != now {
                self.changes.send_modify(|count| *count += 1);
            }
        }
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
        let shown = bearer(headers)?.map(Hash::of);
        self.known(policy, arrival, shown.as_ref())
    }

    /// Lets a caller go on who was let in.
    ///
    /// # Errors
    /// [`Denial::Unauthenticated`] if it would not be let in now with what it has shown, or not with all that it may do.
    pub(crate) fn again(&self, arrival: &Arrival, caller: &Caller) -> Result<()> {
        let now = self.known(&self.policy(), arrival, caller.shown())?;
        match now.may_all_of(caller) {
            true => Ok(()),
            false => Err(Denial::Unauthenticated.error("who gets this answer may not do any more what it did")),
        }
    }

    fn known(&self, policy: &Policy, arrival: &Arrival, shown: Option<&Hash>) -> Result<Caller> {
        if let Some(token) = shown {
            let tokens = self.tokens.as_ref();
            let known = tokens.map_or(Ok(None), |tokens| tokens.caller(token, SystemTime::now()))?;
            return known.ok_or_else(|| Denial::Unauthenticated.error("the token is not known, or it has expired"));
        }
        let scopes = match (&arrival.certificate, arrival.entrance, &arrival.peer) {
            (Some(_), ..) => policy.certificate,
            (None, Entrance::Socket, Client::User(uid)) => of_user(*uid),
            // It shook hands when a token would have done, and has shown none since.
            (None, Entrance::Loopback(_), _) if arrival.is_encrypted && !policy.without_certificate => {
                return Err(Denial::Unauthenticated.error(NO_CERTIFICATE));
            }
            (None, Entrance::Loopback(_), _) if policy.auth == Auth::None => Scopes::ALL,
            _ => return Err(Denial::Unauthenticated.error(NO_CREDENTIAL)),
        };
        Ok(Caller::new(arrival.client(), scopes))
    }

    /// Lets a client ask once more.
    ///
    /// # Errors
    /// [`Denial::TooMany`].
    pub(crate) fn pace(&self, policy: &Policy, client: &Client, matter: Matter) -> Result<()> {
        let Some(rate) = policy.limits.rate else { return Ok(()) };
        let taken = self.account(client, matter).ask(client, rate, Instant::now());
        taken.map_err(|retry_after| Denial::TooMany { retry_after }.error(format!("{client} asks too often")))
    }

    /// Lets one more request of a client be answered, until its share is dropped.
    ///
    /// # Errors
    /// [`Denial::TooMany`].
    pub(crate) fn call(&self, policy: &Policy, client: &Client, matter: Matter) -> Result<Share> {
        let most = policy.limits.calls_per_client;
        let too_many = || {
            let found = format!("{client} has as many requests at once as it may have");
            Denial::TooMany { retry_after: SOON }.error(found)
        };
        self.account(client, matter).answers.take(client, most).ok_or_else(too_many)
    }

    fn account(&self, client: &Client, matter: Matter) -> &Account {
        match (matter, client) {
            (Matter::Health, _) => &self.health,
            (Matter::Other, Client::Address(_)) => &self.strangers,
            (Matter::Other, _) => &self.known,
        }
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
const SOON: Duration = Duration::from_secs(1);

const NO_CREDENTIAL: &str =
    "nobody knows who makes this request: expected `Authorization: Bearer TOKEN` with a token of `hatchery token new`";

const NO_CERTIFICATE: &str = "nobody knows who makes this request: a certificate is asked for, and this connection has shown none; \
     connect again with one of `server.tls.client_ca`";

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
