//! One row of the table of routes: enough to answer a request, and to tell others of it.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use hatchery::Result;

use super::path::Names;
use crate::access::{Caller, Scope};
use crate::house::House;

/// An answer on its way: the one future of a request that is boxed.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

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
    handler: Box<dyn Fn(Request, Arc<House>) -> Answering + Send + Sync>,
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
    /// `string`, `integer` or `boolean`.
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

    /// As a request says it. Whoever wants only the head of an answer gets that of `GET`.
    pub(super) fn is(self, said: &axum::http::Method) -> bool {
        use axum::http::Method as Said;
        match self {
            Method::Get => [Said::GET, Said::HEAD].contains(said),
            Method::Post => said == Said::POST,
            Method::Put => said == Said::PUT,
            Method::Delete => said == Said::DELETE,
        }
    }
}

impl Route {
    pub(crate) fn of<H: Handler<T, Arc<House>, Future = Answering> + Sync, T>(
        method: Method,
        path: &'static str,
        scopes: &'static [Scope],
        name: &'static str,
        handler: H,
    ) -> Route {
        let (body, answer) = (Body::None, Answer::Json("Anything"));
        let handler = Box::new(move |request, house| handler.clone().call(request, house));
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

    /// Lets a caller pass who may ask. Whoever gives an order is asked again where it is done, and leaves a line of audit there;
    /// who may not leaves one here, whatever else is wrong with it.
    ///
    /// # Errors
    /// [`Denial::Forbidden`](crate::denial::Denial::Forbidden).
    pub(super) fn admit(&self, caller: &Caller, names: &Names) -> Result<()> {
        match self.scopes {
            [] => Ok(()),
            [Scope::Operate] => caller.may_order(self.name, &self.subject(names)),
            scopes => caller.require_one_of(scopes),
        }
    }

    /// The order that this is, and what it is about; `None`: it is none.
    pub(super) fn order(&self, names: &Names) -> Option<(&'static str, String)> {
        (self.scopes == [Scope::Operate]).then(|| (self.name, self.subject(names)))
    }

    pub(super) fn answer(&self, request: Request, house: &Arc<House>) -> Answering {
        (self.handler)(request, Arc::clone(house))
    }

    /// As orders call it.
    fn subject(&self, names: &Names) -> String {
        let place = self.path.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        match (place, names.first()) {
            (None, _) => "daemon".to_owned(),
            (Some(_), None) => "what is not UTF-8".to_owned(),
            (Some(("id", _)), Some(name)) => name.to_owned(),
            (Some((place, _)), Some(name)) => format!("{place} {name}"),
        }
    }
}
