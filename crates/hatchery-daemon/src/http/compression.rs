//! Answers that are long and text are compressed for clients that ask for it.

use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Response, header};
use http_body::Body;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;

use super::bare::{NPY, OCTETS};

/// A shorter one would hardly get shorter.
const LEAST: u64 = 1024;

/// Gzip, which every client knows.
pub(crate) fn compressed() -> CompressionLayer<Worthwhile> {
    CompressionLayer::new().gzip(true).compress_when(Worthwhile)
}

/// Not events, as each is to leave at once; not binary values, which are dense already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worthwhile;

impl Predicate for Worthwhile {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        let media_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_other = |other: &str| !media_type.starts_with(other.as_bytes());
        is_long(response) && ["text/event-stream", OCTETS, NPY, "application/grpc"].into_iter().all(is_other)
    }
}

fn is_long<B: Body>(response: &Response<B>) -> bool {
    let said = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    said.or_else(|| response.body().size_hint().exact()).is_none_or(|length| length >= LEAST)
}
