//! Who makes a request, and what they may do.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use hatchery::{Result, Scope};

use super::audit::audit;
use super::tokens::Hash;
use crate::denial::Denial;
use crate::failure::Failure;

/// Of what is told in a line of audit, in bytes: whoever asks for an order, even one who may not, chooses the text.
const LONGEST_SUBJECT: usize = 256;

/// Some of the scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

/// Whose the limits are, of requests and of connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// Who showed a token, by its name.
    Token(Arc<str>),
    /// Who showed a certificate, by its common name.
    Certificate(Arc<str>),
    /// Another process of this machine, by its user.
    User(u32),
    /// Anybody at an address; of IPv6, a whole network.
    Address(IpAddr),
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    client: Client,
    scopes: Scopes,
    /// Of the token that it has shown.
    shown: Option<Hash>,
    /// Whether the order that it asks for has left its line of audit; `None`: nobody wants to know.
    is_told: Option<Arc<AtomicBool>>,
}

impl Scopes {
    pub(crate) const ALL: Scopes = Scopes(0b111);

    pub(crate) fn of(scopes: &[Scope]) -> Scopes {
        scopes.iter().fold(Scopes(0), |all, scope| match scope {
            Scope::Operate => Scopes::ALL,
            Scope::Call => Scopes(all.0 | 0b001),
            Scope::Observe => Scopes(all.0 | 0b010),
        })
    }

    pub(crate) fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Client::Token(name) => write!(f, "token {name}"),
            Client::Certificate(name) => write!(f, "certificate {name}"),
            Client::User(uid) => write!(f, "uid {uid}"),
            Client::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Caller {
    pub(crate) fn new(client: Client, scopes: Scopes) -> Caller {
        Caller { client, scopes, shown: None, is_told: None }
    }

    /// The same, known by the token of this hash.
    pub(crate) fn showing(self, token: Hash) -> Caller {
        Caller { shown: Some(token), ..self }
    }

    pub(crate) fn shown(&self) -> Option<&Hash> {
        self.shown.as_ref()
    }

    /// Whether it is the same client, and has all scopes that the other has.
    pub(crate) fn may_all_of(&self, other: &Caller) -> bool {
        self.client == other.client && self.scopes.0 & other.scopes.0 == other.scopes.0
    }

    /// Who it is, as the audit tells, and whose limits hold.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Who makes the request, for services that are no handlers of axum.
    ///
    /// # Errors
    /// [`Denial::Unauthenticated`] for a request that has not come past the reception.
    pub(crate) fn of(extensions: &Extensions) -> Result<Caller> {
        let caller = extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Denial::Unauthenticated.error("nobody knows who makes this request"))
    }

    /// Lets the caller do this.
    ///
    /// # Errors
    /// [`Denial::Forbidden`], which is 403 and PERMISSION_DENIED.
    pub(crate) fn require(&self, scope: Scope) -> Result<()> {
        match self.scopes.has(scope) {
            true => Ok(()),
            false => Err(Denial::Forbidden.error(format!("{} has no scope `{scope}`", self.client))),
        }
    }

    /// Lets the caller do what takes any one of these.
    ///
    /// # Errors
    /// [`Denial::Forbidden`].
    pub(crate) fn require_one_of(&self, scopes: &[Scope]) -> Result<()> {
        match scopes {
            [scope] => self.require(*scope),
            _ if scopes.iter().any(|scope| self.scopes.has(*scope)) => Ok(()),
            _ => {
                let names: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
                Err(Denial::Forbidden.error(format!("{} has neither scope: {}", self.client, names.join(", "))))
            }
        }
    }

    /// The same, asking for one order: to be told afterwards whether that [was unread](Caller::unread).
    pub(crate) fn ordering(self) -> Caller {
        Caller { is_told: Some(Arc::default()), ..self }
    }

    /// Lets the caller give an order that is not read yet. One that is refused leaves its line of audit here.
    ///
    /// # Errors
    /// [`Denial::Forbidden`].
    pub(crate) fn may_order(&self, name: &str, subject: &str) -> Result<()> {
        self.require(Scope::Operate).inspect_err(|denied| self.tell(name, begin(subject), denied.kind().as_str()))
    }

    /// Afterwards: an order that came to nobody, because it could not be understood, leaves its line of audit here.
    ///
    /// # Errors
    /// [`Denial::Forbidden`] for who may not give it, whatever else was wrong with it.
    pub(crate) fn unread(&self, name: &str, subject: &str) -> Result<()> {
        if self.is_told.as_ref().is_none_or(|is_told| is_told.load(Ordering::Relaxed)) {
            return Ok(());
        }
        self.may_order(name, subject)?;
        self.tell(name, begin(subject), "unread");
        Ok(())
    }

    fn tell(&self, name: &str, subject: &str, outcome: &str) {
        if let Some(is_told) = &self.is_told {
            is_told.store(true, Ordering::Relaxed);
        }
        audit(self, name, subject, outcome);
    }

    /// The one way to give an order: checks that the caller may, does it, and leaves one line of audit, also if the caller may
    /// not, and if it goes away meanwhile. `name` is the order, like `scale`, and `subject` what it is about, like `pool gpu`.
    pub(crate) async fn order<T>(&self, name: &str, subject: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let subject = begin(subject);
        let mut line = Line { caller: self, name, subject, is_written: false };
        let outcome = match self.require(Scope::Operate) {
            Ok(()) => work.await,
            Err(denied) => Err(denied),
        };
        line.is_written = true;
        self.tell(name, subject, outcome.as_ref().err().map_or("done", |error| error.kind().as_str()));
        outcome
    }
}

fn begin(subject: &str) -> &str {
    &subject[..subject.floor_char_boundary(LONGEST_SUBJECT)]
}

/// An argument of a handler.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Failure> {
        Ok(Caller::of(&parts.extensions)?)
    }
}

/// An order that was dropped is told of, too: what it had begun may be done.
struct Line<'a> {
    caller: &'a Caller,
    name: &'a str,
    subject: &'a str,
    is_written: bool,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.caller.tell(self.name, self.subject, "left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[Scope]) -> Caller {
        Caller::new(Client::Token("ci".into()), Scopes::of(scopes))
    }

    #[test]
    fn operate_has_the_others_in_it_and_they_do_not_have_each_other() {
        let may = |scopes: &[Scope]| {
            [Scope::Call, Scope::Observe, Scope::Operate].map(|scope| caller(scopes).require(scope).is_ok())
        };
        assert_eq!(may(&[]), [false, false, false]);
        assert_eq!(may(&[Scope::Call]), [true, false, false]);
        assert_eq!(may(&[Scope::Observe]), [false, true, false]);
        assert_eq!(may(&[Scope::Call, Scope::Observe]), [true, true, false]);
        assert_eq!(may(&[Scope::Operate]), [true, true, true]);
    }

    #[test]
    fn who_may_not_is_told_what_is_missing() {
        let error = caller(&[Scope::Call]).require(Scope::Observe).unwrap_err();
        assert_eq!(error.message(), "token ci has no scope `observe`");
        assert_eq!(Denial::of(&error), Some(Denial::Forbidden));
        assert!(!error.is_retryable());
    }

    #[test]
    fn either_of_two_scopes_does_where_either_will() {
        let either = [Scope::Observe, Scope::Call];
        for scope in Scope::ALL {
            assert!(caller(&[scope]).require_one_of(&either).is_ok(), "{scope}");
        }
        let error = caller(&[]).require_one_of(&either).unwrap_err();
        assert_eq!(error.message(), "token ci has neither scope: `observe`, `call`");
        assert!(caller(&[]).require_one_of(&[]).is_err());
    }

    #[tokio::test]
    async fn an_order_is_not_begun_by_who_may_not_give_it() {
        let done = std::cell::Cell::new(false);
        let work = async || {
            done.set(true);
            Ok(())
        };
        let outcome = caller(&[Scope::Observe]).order("stop", "daemon", work()).await;
        assert!(outcome.is_err() && !done.get());
        caller(&[Scope::Operate]).order("stop", "daemon", work()).await.unwrap();
        assert!(done.get());
    }
}
