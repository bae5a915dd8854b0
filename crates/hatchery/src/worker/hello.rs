//! The handshake: HELLO, then READY or the worker's own ERROR.

use std::sync::Arc;

use tokio::net::UnixStream;

use super::life::{Ending, Seat};
use crate::error::{Error, ErrorBody, ErrorKind};
use crate::transport::{Inbox, Outbox, Received};
use crate::wire::{Encoded, Frame, Hello, Kind, Ready, VERSION};

pub(super) fn offer(seat: &Seat, app: &str, control: &Outbox<UnixStream>) -> Result<(), Ending> {
    let ours = seat.offered();
    let hello = Hello {
        versions: vec![VERSION],
        host: concat!("hatchery ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: seat.run.id.to_string(),
        worker: seat.id.to_string(),
        app: app.to_owned(),
        capabilities: ours.capabilities,
        limits: ours.limits,
        max_in_flight: seat.config.max_in_flight,
        thread_safety_checks: seat.config.thread_safety_checks,
    };
    let frame = Encoded::message(Kind::Hello, 0, &hello, &ours)
        .map_err(|error| Ending::Refused(error.unsent().context("write HELLO")))?;
    // A worker that is dead already is found out by its exit.
    let _dying = control.send(frame);
    Ok(())
}

/// Waits for the worker's answer. Cancel safe.
pub(super) async fn answer(control: &mut Inbox<Arc<UnixStream>>) -> Result<Ready, Ending> {
    match control.next().await {
        Ok(Some(frame)) if frame.kind == Kind::Ready => {
            Ready::read(&frame).map_err(|error| Ending::Breach(error.to_string()))
        }
        Ok(Some(frame)) if frame.kind == Kind::Error => Err(Ending::Refused(own_error(&frame))),
        Ok(Some(frame)) => Err(Ending::Breach(format!("it sent {} before READY", frame.kind))),
        Ok(None) => Err(Ending::Hung("closed its control channel before it was ready")),
        Err(error) => Err(Ending::Breach(error.to_string())),
    }
}

/// What a worker that has ended left on its control channel.
pub(super) fn last_words(control: &mut Inbox<Arc<UnixStream>>) -> Option<Ending> {
    match control.look() {
        Ok(Received::More) => last_words(control),
        Ok(Received::Frame(frame)) if frame.kind == Kind::Error => Some(Ending::Refused(own_error(&frame))),
        Ok(_) => None,
        Err(error) => Some(Ending::Breach(error.to_string())),
    }
}

/// The error that the worker has about itself: the app does not load, the versions do not fit.
fn own_error(frame: &Frame) -> Error {
    match serde_json::from_slice::<ErrorBody>(&frame.body) {
        Ok(body) => body.into(),
        Err(error) => Error::new(ErrorKind::Protocol, format!("the worker's ERROR cannot be read: {error}")),
    }
}
