//! What a worker with the shim shows with each request, so that no other user of this machine passes for it.

use std::sync::atomic::{AtomicBool, Ordering};

use hatchery::{Error, ErrorKind, Result};
use rustix::rand::{GetRandomFlags, getrandom};
use tonic::{Request, Status};

/// The header that it is shown in.
const HEADER: &str = "x-hatchery-secret";

/// The variable by which the shim learns it.
pub(crate) const VARIABLE: &str = "HATCHERY_BRIDGE_SECRET";

/// Of one launch.
pub(crate) struct Secret {
    text: String,
    /// Before that, the worker may be one without the shim: those show none.
    was_shown: AtomicBool,
}

impl Secret {
    pub(crate) fn new() -> Result<Secret> {
        let mut bytes = [0; 16];
        match getrandom(&mut bytes, GetRandomFlags::empty()) {
            Ok(16) => Ok(Secret::of(bytes)),
            other => {
                let message = format!("make a secret for a worker: the kernel gave no random bytes: {other:?}");
                Err(Error::new(ErrorKind::Internal, message))
            }
        }
    }

    fn of(bytes: [u8; 16]) -> Secret {
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Secret { text, was_shown: AtomicBool::new(false) }
    }

    /// For the worker.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Lets a request pass that shows it, and one that shows nothing as long as none has shown it.
    pub(crate) fn check<T>(&self, request: &Request<T>) -> std::result::Result<(), Status> {
        let shown = request.metadata().get(HEADER).map(|shown| shown.as_bytes());
        match shown {
            Some(shown) if self.is(shown) => {
                self.was_shown.store(true, Ordering::Relaxed);
                Ok(())
            }
            None if !self.was_shown.load(Ordering::Relaxed) => Ok(()),
            _ => Err(Status::unauthenticated("this listener answers the worker that it was made for, and nobody else")),
        }
    }

    /// In a time that does not tell how much of it was right.
    fn is(&self, shown: &[u8]) -> bool {
        let pairs = self.text.as_bytes().iter().zip(shown);
        shown.len() == self.text.len() && pairs.fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(secret: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(secret) = secret {
            request.metadata_mut().insert(HEADER, secret.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_worker_that_shows_nothing_passes_until_one_has_shown_it() {
        let secret = Secret::new().unwrap();
        assert!(secret.check(&showing(None)).is_ok());
        let right = secret.text().to_owned();
        assert!(secret.check(&showing(Some(&right))).is_ok());
        assert_eq!(secret.check(&showing(None)).unwrap_err().code(), tonic::Code::Unauthenticated);
        assert!(secret.check(&showing(Some(&right))).is_ok());
    }

    #[test]
    fn a_wrong_one_never_passes() {
        let secret = Secret::new().unwrap();
        let (half, more) = (secret.text()[..31].to_owned(), format!("{}0", secret.text()));
        for wrong in ["", "x", &"0".repeat(32), &half, &more] {
            assert!(secret.check(&showing(Some(wrong))).is_err(), "{wrong}");
        }
        assert!(secret.check(&showing(None)).is_ok(), "a wrong one is not a right one");
    }

    #[test]
    fn each_launch_has_its_own() {
        let (one, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        assert_ne!(one.text(), other.text());
        assert_eq!(one.text().len(), 32);
    }
}
