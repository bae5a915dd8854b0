//! What a client accepts.

use axum::http::{HeaderMap, HeaderName};

/// Whether it names this, in any of the header's lines, and does not refuse it.
pub(super) fn names(headers: &HeaderMap, header: HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(header).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| is_wanted(range, wanted))
}

/// `;q=0` is a refusal (RFC 9110, 12.4.2).
fn is_wanted(range: &str, wanted: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
    let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse().ok());
    is_it && weight.unwrap_or(1.0) > 0.0
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    #[test]
    fn what_is_named_and_not_refused_is_accepted() {
        let accepts = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            names(&headers, header::ACCEPT_ENCODING, "gzip")
        };
        for good in [&["gzip"][..], &["br, GZIP;q=0.5"], &["br", "deflate , gzip"], &["gzip;q=x"]] {
            assert!(accepts(good), "{good:?}");
        }
        for bad in [&[][..], &[""], &["*"], &["*;q=0"], &["gzip;q=0"], &["gzip ; q=0.000"], &["gzipped"]] {
            assert!(!accepts(bad), "{bad:?}");
        }
    }
}
