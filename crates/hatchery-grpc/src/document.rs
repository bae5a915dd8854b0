//! Documents: what HTTP says as JSON, and gRPC as messages whose fields have the same names.

use hatchery::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The message of a document. A field that a message does not have is left out, one that a document does not have is empty.
///
/// ```
/// use hatchery_grpc::{document, v1};
///
/// let spec = hatchery::ToolSpec::new("embed");
/// assert_eq!(document::<v1::Tool>(&spec)?.name, "embed");
/// # Ok::<(), hatchery::Error>(())
/// ```
///
/// # Errors
/// `internal` if a field is of another type.
pub fn document<T: DeserializeOwned>(document: &impl Serialize) -> Result<T> {
    let failed = |why| {
        let what = std::any::type_name::<T>();
        Error::new(ErrorKind::Internal, format!("translate a document into the message {what}: {why}"))
    };
    serde_json::from_value(serde_json::to_value(document).map_err(failed)?).map_err(failed)
}
