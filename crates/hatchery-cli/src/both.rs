//! One JSON object as two views of it.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What `flatten` is for, which loses numbers where they are kept as they were written.
pub(crate) struct Both<One, Other>(pub(crate) One, pub(crate) Other);

impl<'de, One: DeserializeOwned, Other: DeserializeOwned> Deserialize<'de> for Both<One, Other> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Both<One, Other>, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let one = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let other = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Both(one, other))
    }
}
