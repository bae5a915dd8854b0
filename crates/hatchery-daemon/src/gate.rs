//! Keeps web pages out. A browser lets any page send requests to this machine; two headers that a page cannot forge tell
//! them from requests that somebody here means.

use std::net::IpAddr;

use axum::http::StatusCode;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use hatchery::{Error, ErrorKind, Result};

use crate::access::{Arrival, Entrance};

/// A web site of others whose pages may call, as `server.cors_origins` has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Site(HeaderValue);

/// Lets a request pass that no page of others makes. The host must be a name of this machine: a page whose own name was made
/// to point here (DNS rebinding) gives that name. An address that others reach may have any name. And a page says where it is
/// from.
///
/// # Errors
/// `validation` for all others.
pub(crate) fn check(uri: &Uri, headers: &HeaderMap, arrival: &Arrival, sites: &[String]) -> Result<Option<Site>> {
    let bound = match arrival.entrance {
        // No browser opens it.
        Entrance::Socket => return Ok(None),
        Entrance::Loopback(bound) => Some(bound),
        Entrance::Public => None,
    };
    let host = match uri.authority() {
        // As HTTP/2 says it.
        Some(authority) => authority.as_str(),
        None => only(headers, header::HOST)?.ok_or_else(|| refused("Host: is missing"))?,
    };
    if bound.is_some_and(|bound| !is_ours(host, bound)) {
        return Err(refused(format!("Host: {host}: expected a name of this machine, like 127.0.0.1 or localhost")));
    }
    let Some(origin) = only(headers, header::ORIGIN)? else { return Ok(None) };
    let scheme = if arrival.is_encrypted { "https://" } else { "http://" };
    match origin.strip_prefix(scheme) == Some(host) {
        true => Ok(None),
        false if sites.iter().any(|site| site == origin) => Ok(headers.get(header::ORIGIN).cloned().map(Site)),
        false => Err(refused(format!("Origin: {origin}: pages of other sites may not call"))),
    }
}

/// The answer to a browser that asks whether a page may send a request, if it is asked that.
pub(crate) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|_| method == Method::OPTIONS)?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
    // Which of them mean something, whoever answers the request knows.
    if let Some(names) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    answer.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(answer)
}

impl Site {
    /// Lets pages of the site read the answer.
    pub(crate) fn let_read(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>> {
    let mut values = headers.get_all(&name).iter();
    let value = values.next().map(HeaderValue::to_str).transpose();
    match (value, values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(refused(format!("{name}: expected one, in ASCII"))),
    }
}

/// Whatever the port: it may have been forwarded.
fn is_ours(host: &str, bound: IpAddr) -> bool {
    // Only an address in brackets has colons of its own.
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) if name.contains(':') => (name, ""),
        Some((name, port)) if name.contains(':') && port.starts_with(':') => (name, &port[1..]),
        _ => host.split_once(':').unwrap_or((host, "")),
    };
    let is_name = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == bound);
    is_name && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    fn checked(arrival: &Arrival, lines: &[(&'static str, &'static str)]) -> Result<Option<Site>> {
        check(&Uri::from_static("/v1/status"), &headers(lines), arrival, &["https://site.example".to_owned()])
    }

    fn passes(lines: &[(&'static str, &'static str)]) -> bool {
        checked(&Arrival::over_tcp(HERE, HERE), lines).is_ok()
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
    fn the_name_that_http_2_gives_is_the_one_that_counts() {
        let arrival = Arrival::over_tcp(HERE, HERE);
        let passes = |uri| check(&Uri::from_static(uri), &headers(&[("host", "localhost")]), &arrival, &[]).is_ok();
        assert!(passes("http://localhost:7411/v1/status"));
        assert!(!passes("http://evil.example:7411/v1/status"));
    }

    #[test]
    fn a_page_passes_only_if_it_came_from_here() {
        assert!(passes(&[("host", "localhost:7411"), ("origin", "http://localhost:7411")]));
        for origin in ["http://localhost:80", "https://localhost:7411", "null", "http://evil.example"] {
            assert!(!passes(&[("host", "localhost:7411"), ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn a_public_address_has_any_name_and_pages_of_its_own() {
        let public = Arrival::over_tcp(IpAddr::from([0, 0, 0, 0]), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(checked(&public, &[("host", "api.example")]).unwrap(), None);
        assert_eq!(checked(&public, &[("host", "api.example"), ("origin", "http://api.example")]).unwrap(), None);
        assert!(checked(&public, &[("host", "api.example"), ("origin", "https://api.example")]).is_err());
        let encrypted = public.encrypted(None);
        assert_eq!(checked(&encrypted, &[("host", "api.example"), ("origin", "https://api.example")]).unwrap(), None);
    }

    #[test]
    fn pages_of_a_site_that_is_named_may_call_and_read() {
        let lines = [("host", "localhost:1"), ("origin", "https://site.example")];
        let site = checked(&Arrival::over_tcp(HERE, HERE), &lines).unwrap().unwrap();
        let mut answer = HeaderMap::new();
        site.let_read(&mut answer);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://site.example");
        assert!(!passes(&[("host", "evil.example"), ("origin", "https://site.example")]));
    }

    #[test]
    fn no_page_comes_by_the_socket() {
        assert_eq!(checked(&Arrival::over_socket(0), &[("host", "anything"), ("origin", "null")]).unwrap(), None);
    }
}
