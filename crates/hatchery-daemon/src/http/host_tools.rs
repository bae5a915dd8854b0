//! Handlers of host tools.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;

use super::arguments::arguments;
use super::path::Named;
use super::query::Asked;
use super::{Answered, bare, document};
use crate::access::Caller;
use crate::failure::json;
use crate::house::House;
use crate::options::Options;
use crate::{host_tools, orders};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfSession {
    session: Option<String>,
}

type Shared = State<Arc<House>>;

pub(crate) async fn list(State(house): Shared, Asked(of): Asked<OfSession>) -> Answered {
    document(&host_tools::list(&house, of.session.as_deref())?)
}

pub(crate) async fn get(State(house): Shared, Named(name): Named<String>, Asked(of): Asked<OfSession>) -> Answered {
    document(&host_tools::get(&house, &name, of.session.as_deref())?)
}

pub(crate) async fn unregister(
    State(house): Shared,
    caller: Caller,
    Named(name): Named<String>,
    Asked(of): Asked<OfSession>,
) -> Answered {
    document(&orders::unregister_host_tool(&house, &caller, &name, of.session.as_deref()).await?)
}

/// As a call of a pool's tool. The session may stand in the URL, too, and goes before that of the header.
pub(crate) async fn call(
    State(house): Shared,
    Named(name): Named<String>,
    Asked(OfSession { session }): Asked<OfSession>,
    Options(options): Options,
    request: Request,
) -> Answered {
    let (Parts { headers, .. }, body) = request.into_parts();
    let only_parameter = || {
        let tool = host_tools::get(&house, &name, session.as_deref())?;
        Ok(Some(tool.parameters.into_iter().map(|parameter| parameter.name).collect()))
    };
    let arguments = arguments(&headers, body, only_parameter).await?;
    let options = session.iter().fold(options, |options, session| options.session(session));
    let result = host_tools::call(&house, &name, arguments, &options).await?;
    match bare::answer(&result, &headers) {
        Some(bytes) => Ok(bytes),
        None => Ok(json(StatusCode::OK, result.to_json_text()?)),
    }
}
