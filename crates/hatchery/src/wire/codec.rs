//! Frames to bytes and bytes to frames.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;

use crate::value::{Attachments, Laid, Shelf};
use crate::wire::header::{FrameError, HEADER_LENGTH, Header, check_magic};
use crate::wire::{BodyRule, Capability, Channel, Kind, Side, Terms};

/// What one read asks for, and the largest frame that shares a buffer with others.
const READ: usize = 64 << 10;
/// How much is reserved for a large frame before any of it has come. After that, no more than has come already: a
/// header that lies costs its reader nothing.
const STEP: usize = 4 << 20;
/// Data sections up to this length are copied behind the head, so that the frame is one write.
const INLINE: u64 = 16 << 10;

/// A frame as it was received: slices of the buffer that it was read into.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// On CALL: whether a stream is asked for.
    pub(crate) stream: bool,
    pub(crate) id: u64,
    /// The credit on CALL and CREDIT, how many calls on RECALL and RECALLED.
    pub(crate) extra: u32,
    pub(crate) body: Bytes,
    pub(crate) attachments: Attachments,
    /// All bytes of the frame on the wire, and those in shared memory that it speaks of; what a CHUNK costs.
    pub(crate) cost: u64,
}

impl Frame {
    /// Reads the body as what this kind says it is.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, FrameError> {
        serde_json::from_slice(&self.body).map_err(|error| self.wrong_body(format!("is not what it must be: {error}")))
    }

    pub(crate) fn wrong_body(&self, problem: String) -> FrameError {
        FrameError::Body { kind: self.kind, problem }
    }
}

/// Turns the bytes of one channel into frames.
///
/// Read into [`Decoder::spare`], then take frames from [`Decoder::next`] until there is none. After an error the
/// stream has lost its rhythm: stop reading.
#[derive(Debug)]
pub(crate) struct Decoder {
    receiver: Side,
    channel: Channel,
    terms: Terms,
    buffer: BytesMut,
    /// The checked header of the frame that stands at the front of the buffer, as soon as it is there.
    header: Option<Header>,
    /// Where items in shared memory are looked up.
    shelf: Option<Arc<dyn Shelf>>,
}

impl Decoder {
    /// The host's end of a channel. `terms` are the host's limits and what it offered or, once that is known, what was
    /// agreed.
    pub(crate) fn new(channel: Channel, terms: Terms) -> Decoder {
        Decoder { receiver: Side::Host, channel, terms, buffer: BytesMut::new(), header: None, shelf: None }
    }

    /// The worker's end of a channel.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn at_worker(channel: Channel, terms: Terms) -> Decoder {
        Decoder { receiver: Side::Worker, ..Decoder::new(channel, terms) }
    }

    /// From now on, items in shared memory are looked up here.
    pub(crate) fn look_up_in(&mut self, shelf: Arc<dyn Shelf>) {
        self.shelf = Some(shelf);
    }

    /// From now on, these terms hold. The host has no use for it: what is read may have been written before READY was,
    /// so who knows what was agreed when judges it (the worker room).
    #[cfg(test)]
    pub(crate) fn agree(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Where the next bytes belong. Never empty, and never longer than what may be read without harm: a large frame
    /// gets a buffer of its own, which ends where it ends, so that no small frame behind it holds that memory.
    pub(crate) fn spare(&mut self) -> Limit<&mut BytesMut> {
        let missing = match &self.header {
            Some(header) if header.frame_length() > READ as u64 => self.reserve_large(header.frame_length()),
            _ => self.reserve_small(),
        };
        (&mut self.buffer).limit(missing)
    }

    fn reserve_small(&mut self) -> usize {
        if self.buffer.capacity() - self.buffer.len() < READ / 8 {
            self.buffer.reserve(READ);
        }
        usize::MAX
    }

    fn reserve_large(&mut self, length: u64) -> usize {
        let here = self.buffer.len();
        let missing = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(here);
        if self.buffer.capacity() == here {
            self.buffer.reserve(missing.min(here.max(STEP)));
        }
        missing
    }

    /// The next frame, if all of it is here.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let Some(bytes) = self.take(header.frame_length()) else { return Ok(None) };
        self.header = None;
        split(&header, bytes, self.shelf.as_deref()).map(Some)
    }

    /// The header at the front of the buffer, checked as soon as its bytes are here.
    fn header(&mut self) -> Result<Option<Header>, FrameError> {
        if self.header.is_none() {
            check_magic(&self.buffer, self.receiver.other(), self.channel)?;
            let Some(bytes) = self.buffer.first_chunk::<HEADER_LENGTH>() else { return Ok(None) };
            let header = Header::read(bytes)?;
            header.check_route(self.receiver, self.channel)?;
            header.check(&self.terms)?;
            self.header = Some(header);
        }
        Ok(self.header)
    }

    fn take(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok().filter(|&length| length <= self.buffer.len())?;
        if length > READ && length == self.buffer.len() {
            return Some(std::mem::take(&mut self.buffer).freeze());
        }
        Some(self.buffer.split_to(length).freeze())
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Cuts a whole frame into its sections.
fn split(header: &Header, mut bytes: Bytes, shelf: Option<&dyn Shelf>) -> Result<Frame, FrameError> {
    let _header = bytes.split_to(HEADER_LENGTH);
    let body = bytes.split_to(header.body as usize);
    let table = bytes.split_to(header.table as usize);
    let attachments = if table.is_empty() {
        Attachments::default()
    } else {
        Attachments::read(&table, &bytes, shelf).map_err(|problem| FrameError::Table { kind: header.kind, problem })?
    };
    check_object(header.kind, &body)?;
    let cost = header.frame_length().saturating_add(attachments.shared_bytes());
    Ok(Frame {
        kind: header.kind,
        stream: header.is_stream(),
        id: header.id,
        extra: header.extra,
        body,
        attachments,
        cost,
    })
}

/// Where an object must stand, serde would take an array of the same fields as well.
fn check_object(kind: Kind, body: &[u8]) -> Result<(), FrameError> {
    let must = match kind.rules().body {
        BodyRule::Object | BodyRule::ObjectWithValues => true,
        BodyRule::ObjectOrNone => !body.is_empty(),
        BodyRule::None | BodyRule::Value => false,
    };
    if must && !body.trim_ascii_start().starts_with(b"{") {
        return Err(FrameError::Body { kind, problem: "is not a JSON object".to_owned() });
    }
    Ok(())
}

/// What the fixed fields of a frame to be sent say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) stream: bool,
    pub(crate) id: u64,
    pub(crate) extra: u32,
}

impl Head {
    pub(crate) fn new(kind: Kind, id: u64) -> Head {
        Head { kind, stream: false, id, extra: 0 }
    }

    /// Asks for a stream, with its first grant.
    #[must_use]
    pub(crate) fn streaming(self, credit: u32) -> Head {
        Head { stream: true, extra: credit, ..self }
    }
}

/// A frame ready to be written: `head`, then each of `data`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    /// Header, body and table, and a small data section.
    pub(crate) head: Vec<u8>,
    /// A large data section, in parts that share the sender's memory. Empty for nearly every frame.
    pub(crate) data: Vec<Bytes>,
    /// A descriptor that travels with the frame's first byte. On control only.
    pub(crate) descriptor: Option<Arc<OwnedFd>>,
}

impl Encoded {
    /// Whether it is a frame of this kind.
    pub(crate) fn is_of(&self, kind: Kind) -> bool {
        self.head.get(2) == Some(&(kind as u8))
    }
}

/// Makes a frame whose body is appended by `write_body`. `terms` are the receiver's limits and what was agreed.
///
/// # Errors
/// Whatever the receiver would refuse is refused here, before anything is written.
pub(crate) fn encode(
    head: Head,
    laid: &Laid<'_>,
    terms: &Terms,
    write_body: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> Result<Encoded, FrameError> {
    let wrong =
        |error: serde_json::Error| FrameError::Body { kind: head.kind, problem: format!("cannot be JSON: {error}") };
    let mut out = Vec::with_capacity(256);
    out.resize(HEADER_LENGTH, 0);
    write_body(&mut out).map_err(wrong)?;
    let body = out.len() - HEADER_LENGTH;
    laid.write_table(&mut out).map_err(wrong)?;
    let header = Header {
        kind: head.kind,
        flags: Header::stream_flag(head.stream),
        id: head.id,
        extra: head.extra,
        body: section(head.kind, "body", body)?,
        table: section(head.kind, "attachment table", out.len() - HEADER_LENGTH - body)?,
        data: laid.data_length(),
    };
    header.check(terms)?;
    if laid.has_homeless() {
        return Err(FrameError::Capability { kind: head.kind, capability: Capability::Segments });
    }
    out[..HEADER_LENGTH].copy_from_slice(&header.write());
    Ok(with_data(out, laid, header.data))
}

/// A section's length as the header holds it.
fn section(kind: Kind, what: &'static str, length: usize) -> Result<u32, FrameError> {
    let limit = u64::from(u32::MAX);
    u32::try_from(length).map_err(|_| FrameError::Limit { kind, what, found: length as u64, limit })
}

fn with_data(mut head: Vec<u8>, laid: &Laid<'_>, length: u64) -> Encoded {
    if length == 0 {
        return Encoded { head, ..Encoded::default() };
    }
    let data = laid.data();
    if length > INLINE {
        return Encoded { head, data, descriptor: None };
    }
    data.iter().for_each(|part| head.extend_from_slice(part));
    Encoded { head, ..Encoded::default() }
}
