//! What to do about a daemon that does not let us.

use hatchery::{Error, ErrorKind};

/// What the error does not say by itself.
pub(crate) fn advice(error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::Unavailable {
        return None;
    }
    let text = match error.details()?["reason"].as_str()? {
        "unauthenticated" => {
            "show the daemon a token with --token-file FILE or HATCHERY_TOKEN; whoever runs it makes one with `hatchery token new`"
        }
        "forbidden" => {
            "looking takes a token of `hatchery token new --scope observe`, calling one of `call`, orders one of `operate`"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_not_let_in_learns_what_would_help() {
        let refused =
            |reason: &str| advice(&Error::new(ErrorKind::Unavailable, "no").with_details(json!({ "reason": reason })));
        assert!(refused("unauthenticated").unwrap().contains("--token-file"));
        assert!(refused("forbidden").unwrap().contains("--scope observe"));
        assert_eq!(refused("draining"), None);
        assert_eq!(advice(&Error::new(ErrorKind::Unavailable, "no")), None);
    }
}
