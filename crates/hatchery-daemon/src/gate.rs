//! Keeps web pages out. A browser lets any page send requests to this machine; two headers that a page cannot forge tell
//! them from requests that somebody here means.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use hatchery::{Error, ErrorKind, Result};

use crate::failure::Failure;
use crate::house::House;

/// Lets a request pass, or answers it.
pub(crate) async fn keep(State(house): State<Arc<House>>, request: Request, next: Next) -> Result<Response, Failure> {
    check(request.headers(), house.address.ip())?;
    Ok(next.run(request).await)
}

/// The host must be a name of this machine: a page whose own name was made to point here (DNS rebinding) gives that name. And
/// a page says where it is from.
fn check(headers: &HeaderMap, bound: IpAddr) -> Result<()> {
    let host = only(headers, header::HOST)?.ok_or_else(|| refused("Host: is missing"))?;
    if !is_ours(host, bound) {
        return Err(refused(format!("Host: {host}: expected a name of this machine, like 127.0.0.1 or localhost")));
    }
    match only(headers, header::ORIGIN)? {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            Err(refused(format!("Origin: {origin}: pages of other sites may not call")))
        }
        _ => Ok(()),
    }
}

fn only(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>> {
    let mut values = headers.get_all(&name).iter();
    let value = values.next().map(HeaderValue::to_str).transpose();
    match (value, values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(refused(format!("{name}: expected one, in ASCII"))),
    }
}

/// Whatever the port: it may have been forwarded.
fn is_ours(host: &str, bound: IpAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_bare = !host.contains('@');
    is_bare && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback() || ip == bound))
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        check(&headers, IpAddr::from([127, 0, 0, 1])).is_ok()
    }

    #[test]
    fn names_of_this_machine_pass() {
        for host in ["127.0.0.1:7411", "127.8.8.8", "localhost:1", "LOCALHOST", "[::1]:7411", "[::1]"] {
            assert!(passes(&[("host", host)]), "{host}");
        }
    }

    #[test]
    fn other_names_do_not() {
        let others =
            ["evil.example:7411", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0:7411"];
        for host in others.into_iter().chain(["", "localhost@evil.example", "evil.example@localhost", "[::1", "é"]) {
            assert!(!passes(&[("host", host)]), "{host}");
        }
        assert!(!passes(&[]));
        assert!(!passes(&[("host", "localhost"), ("host", "evil.example")]));
    }

    #[test]
    fn a_page_passes_only_if_it_came_from_here() {
        assert!(passes(&[("host", "localhost:7411"), ("origin", "http://localhost:7411")]));
        for origin in ["http://localhost:80", "https://localhost:7411", "null", "http://evil.example"] {
            assert!(!passes(&[("host", "localhost:7411"), ("origin", origin)]), "{origin}");
        }
    }
}
