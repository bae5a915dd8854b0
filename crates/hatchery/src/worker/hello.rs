//! The handshake: HELLO, then READY or the worker's own ERROR.

use tokio::net::UnixStream;

use super::life::{Ending, Seat};
use crate::error::{Error, ErrorBody, ErrorKind};
use crate::transport::{Inbox, Outbox, Received};
use crate::wire::{self, Capabilities, Frame, Hello, Kind, Limits, Ready};

/// What was settled.
pub(super) struct Settled {
    pub(super) ready: Ready,
    pub(super) agreed: Capabilities,
    /// What the worker accepts: the lower of what both said.
    pub(super) limits: Limits,
}

pub(super) fn offer(seat: &Seat, control: &Outbox<UnixStream>) -> Result<(), Ending> {
    let hello = Hello {
        versions: vec![wire::VERSION],
        host: concat!("hatchery ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: seat.run.to_string(),
        worker: seat.id.to_string(),
        app: seat.app.describe(),
        capabilities: Capabilities::all(),
        limits: seat.config.limits,
    };
    let frame = wire::encode_message(Kind::Hello, 0, &hello, &seat.config.limits)
        .map_err(|error| Ending::Refused(Error::new(ErrorKind::Internal, format!("write HELLO: {error}"))))?;
    // A worker that is dead already is found out by its exit.
    let _dying = control.send(frame);
    Ok(())
}

/// Waits for the worker's answer. Cancel safe.
pub(super) async fn answer(seat: &Seat, control: &mut Inbox<UnixStream>) -> Result<Settled, Ending> {
    match control.next().await {
        Ok(Some(frame)) if frame.kind == Kind::Ready => settle(seat, &frame),
        Ok(Some(frame)) if frame.kind == Kind::Error => Err(Ending::Refused(own_error(&frame))),
        Ok(Some(frame)) => Err(Ending::Breach(format!("sent {:?} before READY", frame.kind))),
        Ok(None) => Err(Ending::Hung("closed its control channel before it was ready")),
        Err(error) => Err(Ending::Breach(error.to_string())),
    }
}

/// What a worker that has ended left on its control channel.
pub(super) fn last_words(control: &mut Inbox<UnixStream>) -> Option<Ending> {
    match control.look() {
        Ok(Received::Frame(frame)) if frame.kind == Kind::Error => Some(Ending::Refused(own_error(&frame))),
        _ => None,
    }
}

fn settle(seat: &Seat, frame: &Frame) -> Result<Settled, Ending> {
    let ready = Ready::parse(&frame.body).map_err(|error| Ending::Breach(format!("READY: {error}")))?;
    let agreed = Capabilities::all().intersect(&ready.capabilities);
    let limits = ready.limits.unwrap_or(seat.config.limits).at_most(&seat.config.limits);
    Ok(Settled { ready, agreed, limits })
}

/// The error that the worker has about itself: the app does not load, the versions do not fit.
fn own_error(frame: &Frame) -> Error {
    match serde_json::from_slice::<ErrorBody>(&frame.body) {
        Ok(body) => body.into(),
        Err(error) => Error::new(ErrorKind::Protocol, format!("the worker's ERROR cannot be read: {error}")),
    }
}
