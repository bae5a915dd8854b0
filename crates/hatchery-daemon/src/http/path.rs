//! The names in a path.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hatchery::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;

use crate::failure::Failure;

/// The one name of a path, or all of them as a tuple.
pub(crate) struct Named<T>(pub(crate) T);

/// The names that stand in a path where its route has places, in their order. Those of a request are in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Names(Result<Vec<String>>);

/// What a handler takes its names as.
pub(crate) trait FromNames: Sized {
    fn from_names(names: Vec<String>) -> Option<Self>;
}

impl Names {
    /// As a route's pattern has found them.
    pub(super) fn of(found: &matchit::Params<'_, '_>) -> Names {
        Names(found.iter().map(|(place, name)| decoded(place, name)).collect())
    }

    /// Whether the path has no places for any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_ok_and(Vec::is_empty)
    }

    /// Of the thing that an order is about; `None` if it cannot be read.
    pub(super) fn first(&self) -> Option<&str> {
        self.0.as_ref().ok()?.first().map(String::as_str)
    }
}

fn decoded(place: &str, name: &str) -> Result<String> {
    let text = percent_decode_str(name).decode_utf8();
    let misspelt = |_| Error::new(ErrorKind::Validation, format!("the path: {place}: expected UTF-8, found `{name}`"));
    text.map(|text| text.into_owned()).map_err(misspelt)
}

impl FromNames for String {
    fn from_names(names: Vec<String>) -> Option<String> {
        let [name] = names.try_into().ok()?;
        Some(name)
    }
}

impl FromNames for (String, String) {
    fn from_names(names: Vec<String>) -> Option<(String, String)> {
        let [first, second] = names.try_into().ok()?;
        Some((first, second))
    }
}

impl<S: Send + Sync, T: FromNames> FromRequestParts<S> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Named<T>, Failure> {
        let names = parts.extensions.remove::<Names>().map_or(Ok(Vec::new()), |names| names.0)?;
        let other = || Failure::new(ErrorKind::Internal, "the path: its route has other names than its handler");
        T::from_names(names).map(Named).ok_or_else(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Names {
        let mut paths = matchit::Router::new();
        paths.insert("/{pool}/{tool}", ()).unwrap();
        Names::of(&paths.at(path).unwrap().params)
    }

    #[test]
    fn names_are_decoded_each_for_itself() {
        let found = <(String, String)>::from_names(names("/a%2Fb/%C3%A4+c").0.unwrap()).unwrap();
        assert_eq!(found, ("a/b".to_owned(), "ä+c".to_owned()));
        assert_eq!(String::from_names(vec!["a".to_owned(), "b".to_owned()]), None);
    }

    #[test]
    fn what_is_not_utf8_is_no_name() {
        let names = names("/a/%ff");
        assert_eq!(names.first(), None);
        let error = names.0.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Validation, "the path: tool: expected UTF-8, found `%ff`")
        );
    }
}
