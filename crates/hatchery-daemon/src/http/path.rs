//! The names in a path.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use hatchery::ErrorKind;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The one name of a path, or all of them as a tuple.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Failure> {
        let Path(names) = Path::from_request_parts(parts, state).await.map_err(misspelt)?;
        Ok(Named(names))
    }
}

fn misspelt(why: PathRejection) -> Failure {
    Failure::new(ErrorKind::Validation, format!("the path: {}", why.body_text()))
}
