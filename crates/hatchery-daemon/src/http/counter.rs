//! Where a request of HTTP is brought: finds its row in the table, lets it pass or not, and hands the answer over as its client
//! wants it. All that is common to answers is done here, one thing after another.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hatchery::ErrorKind;
use http_body::Body as _;
use matchit::Router;

use super::accept;
use super::compression::compressed;
use super::path::Names;
use super::route::{Answering, Route};
use crate::access::Caller;
use crate::failure::Failure;
use crate::house::House;

/// What answers requests of HTTP.
pub(crate) struct Counter {
    /// By path; of one, by method.
    rows: Router<Vec<Route>>,
    house: Arc<House>,
    /// For those who are here by mistake.
    advice: Option<&'static str>,
}

/// An answer instead of the one that was asked for. Seldom.
type Refusal = Box<Response>;

/// Whatever the answer, a client sees which version it speaks to, as far as that matters to it.
const OURS: &str = concat!("hatchery/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

impl Counter {
    /// With a table whose paths can be told apart: the others are left out, and a test finds that none is.
    pub(crate) fn new(table: Vec<Route>, house: Arc<House>) -> Counter {
        Counter { rows: by_path(table), house, advice: None }
    }

    pub(crate) fn advises(self, advice: &'static str) -> Counter {
        Counter { advice: Some(advice), ..self }
    }

    pub(crate) async fn answer(&self, caller: Caller, request: Request) -> Response {
        let wants_gzip = accept::names(request.headers(), header::ACCEPT_ENCODING, "gzip");
        let wants_body = request.method() != Method::HEAD;
        let mut answer = match self.begin(caller, request) {
            Ok(answering) => answering.await,
            Err(refusal) => *refusal,
        };
        answer.headers_mut().insert(header::SERVER, HeaderValue::from_static(OURS));
        let answer = if wants_gzip { compressed(answer) } else { answer };
        if wants_body { answer } else { head_of(answer) }
    }

    fn begin(&self, caller: Caller, mut request: Request) -> Result<Answering, Refusal> {
        let (row, names) = self.row(request.method(), request.uri())?;
        row.admit(&caller, &names).map_err(|error| Box::new(Failure(error).into_response()))?;
        request.extensions_mut().insert(caller);
        if !names.is_empty() {
            request.extensions_mut().insert(names);
        }
        Ok(row.answer(request, &self.house))
    }

    fn row(&self, method: &Method, uri: &Uri) -> Result<(&Route, Names), Refusal> {
        let Ok(found) = self.rows.at(uri.path()) else { return Err(Box::new(no_such_path(uri, self.advice))) };
        let row = found.value.iter().find(|row| row.method.is(method));
        let row = row.ok_or_else(|| Box::new(no_such_method(method, uri, found.value)))?;
        Ok((row, Names::of(&found.params)))
    }
}

fn by_path(table: Vec<Route>) -> Router<Vec<Route>> {
    let mut paths = BTreeMap::<_, Vec<Route>>::new();
    for row in table {
        paths.entry(row.path).or_default().push(row);
    }
    let mut rows = Router::new();
    for (path, of_path) in paths {
        let _told_apart_as_a_test_says = rows.insert(path, of_path);
    }
    rows
}

fn no_such_path(uri: &Uri, advice: Option<&str>) -> Response {
    let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    Failure::new(ErrorKind::NotFound, format!("no such path: {}{advice}", uri.path())).into_response()
}

fn no_such_method(method: &Method, uri: &Uri, rows: &[Route]) -> Response {
    let message = format!("{} does not take {method}", uri.path());
    let mut answer = Failure::new(ErrorKind::Validation, message).with_status(StatusCode::METHOD_NOT_ALLOWED);
    let taken = rows.iter().map(|row| row.method.as_str().to_ascii_uppercase().replace("GET", "GET,HEAD"));
    if let Ok(taken) = HeaderValue::try_from(taken.collect::<Vec<_>>().join(",")) {
        answer.headers_mut().insert(header::ALLOW, taken);
    }
    answer
}

/// The answer without its body, which says how long that would be.
fn head_of(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    Response::from_parts(head, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn each_row_is_found_by_its_path_and_method() {
        let rows = by_path(routes::table());
        for row in routes::table() {
            let found = rows.at(row.path).unwrap().value.iter();
            let same = found.filter(|other| (other.path, other.method) == (row.path, row.method));
            assert_eq!(same.count(), 1, "{}", row.path);
        }
    }

    #[test]
    fn a_head_says_how_long_its_body_would_be() {
        let head = head_of("ready\n".into_response());
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "6");
        assert!(head.body().is_end_stream());
    }
}
