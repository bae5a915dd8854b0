//! One row of the table of routes: enough to answer a request, and to tell others of it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::access::{Caller, Scope};
use crate::failure::Failure;
use crate::house::House;

/// One operation of the interface.
pub(crate) struct Route {
    /// In lower case.
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What its caller must be allowed to do; `None`: nothing.
    pub(crate) scope: Option<Scope>,
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

impl Route {
    pub(crate) fn get<H, T>(
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        name: &'static str,
        handler: H,
    ) -> Route
    where
        H: Handler<T, Arc<House>>,
        T: 'static,
    {
        Route::of("get", path, scope.into(), name, on(MethodFilter::GET, handler))
    }

    pub(crate) fn post<H, T>(
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        name: &'static str,
        handler: H,
    ) -> Route
    where
        H: Handler<T, Arc<House>>,
        T: 'static,
    {
        Route::of("post", path, scope.into(), name, on(MethodFilter::POST, handler))
    }

    pub(crate) fn put<H, T>(
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        name: &'static str,
        handler: H,
    ) -> Route
    where
        H: Handler<T, Arc<House>>,
        T: 'static,
    {
        Route::of("put", path, scope.into(), name, on(MethodFilter::PUT, handler))
    }

    pub(crate) fn delete<H, T>(
        path: &'static str,
        scope: impl Into<Option<Scope>>,
        name: &'static str,
        handler: H,
    ) -> Route
    where
        H: Handler<T, Arc<House>>,
        T: 'static,
    {
        Route::of("delete", path, scope.into(), name, on(MethodFilter::DELETE, handler))
    }

    fn of(
        method: &'static str,
        path: &'static str,
        scope: Option<Scope>,
        name: &'static str,
        handler: MethodRouter<Arc<House>>,
    ) -> Route {
        Route {
            method,
            path,
            scope,
            name,
            what: "",
            query: &[],
            body: Body::None,
            answer: Answer::Json("Anything"),
            handler,
        }
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

    /// What answers its requests. An order asks for its scope itself, as it leaves a line of audit also if it is not allowed.
    pub(crate) fn handler(self) -> MethodRouter<Arc<House>, Infallible> {
        match self.scope {
            None | Some(Scope::Operate) => self.handler,
            Some(scope) => self.handler.route_layer(middleware::from_fn_with_state(scope, allowed)),
        }
    }
}

async fn allowed(
    State(scope): State<Scope>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    caller.require(scope)?;
    Ok(next.run(request).await)
}
