//! How a request comes by its caller, and how whoever answers it asks for that.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRequestParts, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use hatchery::Result;

use super::{Caller, Client, Scopes};
use crate::denial::Denial;
use crate::failure::Failure;

/// Puts the caller into the request.
pub(crate) async fn admit(mut request: Request, next: Next) -> Result<Response, Failure> {
    let anybody_on_loopback = Caller::new(Client::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)), Scopes::ALL);
    request.extensions_mut().insert(anybody_on_loopback);
    Ok(next.run(request).await)
}

impl Caller {
    /// Who makes the request, for services that are no handlers of axum.
    ///
    /// # Errors
    /// [`Denial::Unauthenticated`] for a request that has come past [`admit`].
    pub(crate) fn of(extensions: &Extensions) -> Result<Caller> {
        let caller = extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Denial::Unauthenticated.error("nobody knows who makes this request"))
    }
}

/// An argument of a handler.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Failure> {
        Ok(Caller::of(&parts.extensions)?)
    }
}
