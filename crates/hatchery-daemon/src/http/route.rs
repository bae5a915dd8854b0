//! One row of the table of routes: enough to answer a request, and to tell others of it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::access::{Caller, Scope};
use crate::failure::Failure;
use crate::house::House;

/// One operation of the interface.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Any one of these is what its caller must be allowed to do; none: nothing.
    pub(crate) scopes: &'static [Scope],
    /// What clients that are generated call it.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) what: &'static str,
    /// Of the URL, behind the `?`.
    pub(crate) query: &'static [Query],
    pub(crate) body: Body,
    pub(crate) answer: Answer,
    handler: MethodRouter<Arc<House>>,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// A parameter behind the `?`.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    /// `string` or `integer`.
    pub(crate) is: &'static str,
    pub(crate) what: &'static str,
}

/// What a request brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    /// A JSON object of this schema. Without a body it is empty.
    Object(&'static str),
    /// Any JSON value.
    Value,
    /// The arguments of a call, in any of their forms.
    Arguments,
}

/// What the answer is, if all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// JSON of this schema.
    Json(&'static str),
    /// Text of this media type.
    Text(&'static str),
    /// Server-sent events.
    Events,
    /// What a tool returns.
    Result,
}

impl Method {
    /// In lower case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Post => "post",
            Method::Put => "put",
            Method::Delete => "delete",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Delete => MethodFilter::DELETE,
        }
    }
}

impl Route {
    pub(crate) fn of<H: Handler<T, Arc<House>>, T: 'static>(
        method: Method,
        path: &'static str,
        scopes: &'static [Scope],
        name: &'static str,
        handler: H,
    ) -> Route {
        let (body, answer) = (Body::None, Answer::Json("Anything"));
        let handler = on(method.filter(), handler);
        Route { method, path, scopes, name, what: "", query: &[], body, answer, handler }
    }

    /// One line for people.
    pub(crate) fn what(self, what: &'static str) -> Route {
        Route { what, ..self }
    }

    pub(crate) fn query(self, query: &'static [Query]) -> Route {
        Route { query, ..self }
    }

    pub(crate) fn takes(self, schema: &'static str) -> Route {
        Route { body: Body::Object(schema), ..self }
    }

    pub(crate) fn takes_value(self) -> Route {
        Route { body: Body::Value, ..self }
    }

    pub(crate) fn takes_arguments(self) -> Route {
        Route { body: Body::Arguments, ..self }
    }

    pub(crate) fn gives(self, schema: &'static str) -> Route {
        self.answers(Answer::Json(schema))
    }

    pub(crate) fn answers(self, answer: Answer) -> Route {
        Route { answer, ..self }
    }

    /// What answers its requests. Who may not ask is refused before anything else is read.
    pub(crate) fn handler(self) -> MethodRouter<Arc<House>, Infallible> {
        match self.scopes {
            [] => self.handler,
            [Scope::Operate] => self.handler.route_layer(middleware::from_fn_with_state(self.name, may_order)),
            scopes => self.handler.route_layer(middleware::from_fn_with_state(scopes, may_ask)),
        }
    }
}

async fn may_ask(
    State(scopes): State<&'static [Scope]>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    caller.require_one_of(scopes)?;
    Ok(next.run(request).await)
}

/// Whoever gives an order is asked again where it is done, and leaves a line of audit there; who may not leaves one here,
/// whatever else is wrong with it, and so does what cannot be understood.
async fn may_order(
    State(name): State<&'static str>,
    caller: Caller,
    places: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let subject = places.as_ref().map_or_else(|_| "what is not UTF-8".to_owned(), subject);
    caller.may_order(name, &subject)?;
    let caller = caller.ordering();
    request.extensions_mut().insert(caller.clone());
    let answer = next.run(request).await;
    caller.unread(name, &subject)?;
    Ok(answer)
}

/// As orders call it.
fn subject(places: &RawPathParams) -> String {
    match places.iter().next() {
        None => "daemon".to_owned(),
        Some(("id", name)) => name.to_owned(),
        Some((place, name)) => format!("{place} {name}"),
    }
}
