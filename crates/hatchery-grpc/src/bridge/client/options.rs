use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hatchery::{Error, ErrorKind, Result};
use prost::Message;
use tonic::Request;
use tonic::metadata::{Ascii, AsciiMetadataValue, MetadataKey};

use crate::bridge::{CORRELATION_HEADER, CORRELATION_METADATA, MESSAGE_LIMIT};

/// What goes around a request. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    pub(super) correlation_id: Option<String>,
    pub(super) timeout: Option<Duration>,
    headers: Vec<(MetadataKey<Ascii>, AsciiMetadataValue)>,
}

impl RequestOptions {
    /// Nothing set.
    pub fn new() -> RequestOptions {
        RequestOptions::default()
    }

    /// The id under which the call appears in the worker's logs and in what it asks the host meanwhile. It travels in the metadata of a call
    /// of a tool, and as a header, unless it has letters that no header may have.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> RequestOptions {
        self.correlation_id = Some(id.into());
        self
    }

    /// How long to wait, from when the method is called. The peer is told, in `grpc-timeout`, and ends the call with us; a worker lets its
    /// tool run on, and nothing then tells when it is done. Without one, a call lasts as long as it lasts.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> RequestOptions {
        self.timeout = Some(timeout);
        self
    }

    /// One more header, such as a secret that the peer asks for.
    ///
    /// # Errors
    /// `validation` if no header may be like this.
    pub fn header(mut self, name: &str, value: &str) -> Result<RequestOptions> {
        let wrong = |what: &str| Error::new(ErrorKind::Validation, format!("header {name:?}: {what}"));
        let key = MetadataKey::from_bytes(name.as_bytes()).map_err(|_| wrong("no header is called that"))?;
        let mut value = AsciiMetadataValue::try_from(value).map_err(|_| wrong("no header says that"))?;
        // It may be a secret.
        value.set_sensitive(true);
        self.headers.push((key, value));
        Ok(self)
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Duration)> {
        let timeout = self.timeout?;
        Some((Instant::now().checked_add(timeout)?, timeout))
    }

    /// A request with all of it.
    ///
    /// # Errors
    /// `limit` if it is too long. Of one that tonic finds too long only a broken stream would be seen.
    pub(super) fn request<M: Message>(&self, message: M) -> Result<Request<M>> {
        let length = message.encoded_len();
        if length > MESSAGE_LIMIT {
            let what = format!("send a message of {length} bytes: the longest that a peer takes has {MESSAGE_LIMIT}");
            return Err(Error::new(ErrorKind::Limit, what));
        }
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        self.mark(&mut request);
        Ok(request)
    }

    /// All of it but the time that it may take.
    pub(super) fn mark<M>(&self, request: &mut Request<M>) {
        let id = self.correlation_id.as_deref().filter(|id| id.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        if let Some(id) = id.and_then(|id| AsciiMetadataValue::try_from(id).ok()) {
            request.metadata_mut().insert(CORRELATION_HEADER, id);
        }
        for (key, value) in &self.headers {
            request.metadata_mut().append(key.clone(), value.clone());
        }
    }

    /// Metadata of a tool's call, with the id if it has none.
    pub(super) fn marked(&self, mut metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if let Some(id) = &self.correlation_id {
            metadata.entry(CORRELATION_METADATA.to_owned()).or_insert_with(|| id.clone());
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_no_header_may_have_travels_in_the_metadata_alone() {
        for (id, in_header) in [("sp-1", true), ("größe", false), ("a\nb", false)] {
            let options = RequestOptions::new().correlation_id(id);
            assert_eq!(options.request(()).unwrap().metadata().contains_key(CORRELATION_HEADER), in_header, "{id:?}");
            assert_eq!(options.marked(BTreeMap::new())[CORRELATION_METADATA], id);
        }
        let own = BTreeMap::from([(CORRELATION_METADATA.to_owned(), "own".to_owned())]);
        assert_eq!(RequestOptions::new().correlation_id("other").marked(own.clone()), own);
    }

    #[test]
    fn what_is_no_header_is_refused_and_secrets_are_not_shown() {
        assert!(RequestOptions::new().header("x y", "a").is_err());
        assert!(RequestOptions::new().header("x", "a\n").is_err());
        let options = RequestOptions::new().header("x-secret", "hunter2").unwrap();
        assert_eq!(options.request(()).unwrap().metadata().get("x-secret").unwrap(), "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
