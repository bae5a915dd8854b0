//! The marker that a worker puts where a result has something that JSON cannot say (a lock, an open file).

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

const MARKER: &str = "__ffi_unserializable__";

/// What a worker says of a value that it could not serialise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnserializableInfo {
    /// The type, with its module, like `threading.Lock`.
    pub type_name: String,
    /// A text form of the value, if the worker was told to send one.
    pub repr: Option<String>,
}

/// Whether this value stands for one that could not be serialised.
///
/// ```
/// use hatchery::is_unserializable;
/// assert!(is_unserializable(&serde_json::json!({"__ffi_unserializable__": true, "__type__": "_thread.lock"})));
/// assert!(!is_unserializable(&serde_json::json!({"__ffi_unserializable__": "true"})));
/// ```
pub fn is_unserializable(value: &Value) -> bool {
    value.get(MARKER) == Some(&Value::Bool(true))
}

/// What such a value stands for.
///
/// # Errors
/// `validation`, if `value` is not a marker, or one without its type.
pub fn unserializable_info(value: &Value) -> Result<UnserializableInfo> {
    if !is_unserializable(value) {
        return Err(invalid("it does not have `__ffi_unserializable__: true`"));
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match text("__type__") {
        Some(type_name) => Ok(UnserializableInfo { type_name, repr: text("__repr__") }),
        None => Err(invalid("it has no `__type__`")),
    }
}

fn invalid(found: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("read a value as an unserializable marker: {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_marker_tells_type_and_repr() {
        let marker = json!({"__ffi_unserializable__": true, "__type__": "app.Model", "__repr__": "<Model>"});
        let info = unserializable_info(&marker).unwrap();
        assert_eq!((info.type_name.as_str(), info.repr.as_deref()), ("app.Model", Some("<Model>")));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_missing() {
        let error = unserializable_info(&json!([1])).unwrap_err();
        assert!(error.to_string().ends_with("it does not have `__ffi_unserializable__: true`"));
        let error = unserializable_info(&json!({"__ffi_unserializable__": true, "__type__": 3})).unwrap_err();
        assert!(error.to_string().ends_with("it has no `__type__`"));
    }
}
