//! Where a daemon may be.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hatchery::{Error, ErrorKind, Result};
use hyper::http::uri::Authority;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `HOST:PORT`, with or without `http://` before it.
    Plain(Authority),
    /// `https://HOST:PORT`.
    Tls(Authority),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Address {
    /// What a request says that it is for. A socket has no name; its daemon takes that of this machine.
    pub(super) fn authority(&self) -> Authority {
        match self {
            Address::Plain(authority) | Address::Tls(authority) => authority.clone(),
            Address::Unix(_) => Authority::from_static("localhost"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let found = if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            (!path.is_empty()).then(|| Address::Unix(path.into()))
        } else if let Some(rest) = text.strip_prefix("https://") {
            authority(rest).map(Address::Tls)
        } else {
            authority(text.strip_prefix("http://").unwrap_or(text)).map(Address::Plain)
        };
        found.ok_or_else(|| wrong(text))
    }
}

fn authority(text: &str) -> Option<Authority> {
    let bare = text.trim_end_matches('/');
    bare.parse::<Authority>().ok().filter(|found| found.port_u16().is_some() && !bare.contains('@'))
}

fn wrong(text: &str) -> Error {
    let expected =
        "expected the address of a daemon, like 127.0.0.1:7411, https://host:7411 or unix:/path/of/daemon.sock";
    Error::new(ErrorKind::Validation, format!("{expected}, found {text:?}"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Plain(authority) => write!(f, "{authority}"),
            Address::Tls(authority) => write!(f, "https://{authority}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_socket() {
        for (text, expected) in [
            ("127.0.0.1:7411", "127.0.0.1:7411"),
            ("http://localhost:1/", "localhost:1"),
            ("[::1]:80", "[::1]:80"),
            ("https://pool.example:443/", "https://pool.example:443"),
            ("unix:/run/hatchery.sock", "unix:/run/hatchery.sock"),
            ("unix:///run/hatchery.sock", "unix:/run/hatchery.sock"),
            ("unix:daemon.sock", "unix:daemon.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), expected);
        }
        for text in [
            "",
            "localhost",
            "https://localhost",
            "localhost:x",
            "a@localhost:1",
            "localhost:1/path",
            "unix:",
            "ftp://a:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
