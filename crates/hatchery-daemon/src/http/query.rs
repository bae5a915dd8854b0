//! What stands behind the `?`.

use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use axum::http::request::Parts;
use hatchery::ErrorKind;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The parameters of a URL. One that is not known is an error, as to ignore it would be to promise what is not kept.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Failure> {
        let query = axum::extract::Query::from_request_parts(parts, state).await.map_err(misread)?;
        Ok(Asked(query.0))
    }
}

fn misread(why: QueryRejection) -> Failure {
    Failure::new(ErrorKind::Validation, format!("the query: {}", why.body_text()))
}
