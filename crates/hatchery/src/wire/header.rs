//! The 32 bytes in front of every frame: their layout, and every rule that can be checked on them alone.

use crate::error::{Error, ErrorKind};
use crate::value::TableError;
use crate::wire::{BodyRule, Capability, Channel, IdRule, Kind, Side, Terms};

pub(crate) const HEADER_LENGTH: usize = 32;
pub(crate) const MAGIC: [u8; 2] = *b"hy";
const STREAM: u8 = 1;

/// A header whose kind is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) id: u64,
    pub(crate) extra: u32,
    pub(crate) body: u32,
    pub(crate) table: u32,
    pub(crate) data: u64,
}

impl Header {
    pub(crate) fn write(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[0..2].copy_from_slice(&MAGIC);
        bytes[2] = self.kind as u8;
        bytes[3] = self.flags;
        bytes[4..8].copy_from_slice(&self.body.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.table.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.extra.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.data.to_le_bytes());
        bytes
    }

    /// Reads all fields but the magic, which [`check_magic`] looks at as soon as there is a byte of it.
    pub(crate) fn read(bytes: &[u8; HEADER_LENGTH]) -> Result<Header, FrameError> {
        Ok(Header {
            kind: Kind::try_from(bytes[2])?,
            flags: bytes[3],
            body: u32::from_le_bytes(field(bytes, 4)),
            id: u64::from_le_bytes(field(bytes, 8)),
            table: u32::from_le_bytes(field(bytes, 16)),
            extra: u32::from_le_bytes(field(bytes, 20)),
            data: u64::from_le_bytes(field(bytes, 24)),
        })
    }

    pub(crate) fn stream_flag(stream: bool) -> u8 {
        if stream { STREAM } else { 0 }
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.flags & STREAM != 0
    }

    /// All bytes of the frame; what a CHUNK costs. Saturates, for a header that lies.
    pub(crate) fn frame_length(&self) -> u64 {
        let sections = u64::from(self.body) + u64::from(self.table) + HEADER_LENGTH as u64;
        sections.saturating_add(self.data)
    }

    /// Whether such a frame may come to `receiver` on this channel at all.
    pub(crate) fn check_route(&self, receiver: Side, channel: Channel) -> Result<(), FrameError> {
        let rules = self.kind.rules();
        let on_channel = match channel {
            Channel::Data => rules.on_data,
            Channel::Control => rules.on_control,
        };
        // RELEASE, which both send, comes to the host on data and to the worker on control.
        let is_release_astray = rules.sender.is_none() && (receiver == Side::Host) != (channel == Channel::Data);
        if rules.sender == Some(receiver) {
            return Err(FrameError::Direction { kind: self.kind, receiver });
        }
        if !on_channel || is_release_astray {
            return Err(FrameError::Channel { kind: self.kind, found: channel });
        }
        let own = rules.id == IdRule::Zero || (rules.id == IdRule::CallOrOwn && channel == Channel::Control);
        if own { self.expect_zero("id", self.id) } else { Ok(()) }
    }

    /// Every other rule that a receiver can check, and that a sender keeps to.
    pub(crate) fn check(&self, terms: &Terms) -> Result<(), FrameError> {
        self.check_reserved()?;
        self.check_sections()?;
        self.check_capabilities(terms)?;
        self.check_limits(terms)
    }

    fn check_capabilities(&self, terms: &Terms) -> Result<(), FrameError> {
        let needs = [
            self.kind.rules().needs,
            self.is_stream().then_some(Capability::Streams),
            (self.table > 0).then_some(Capability::Attachments),
        ];
        match needs.into_iter().flatten().find(|&capability| !terms.capabilities.contains(capability)) {
            Some(capability) => Err(FrameError::Capability { kind: self.kind, capability }),
            None => Ok(()),
        }
    }

    fn check_reserved(&self) -> Result<(), FrameError> {
        let flags = if self.kind == Kind::Call { self.flags & !STREAM } else { self.flags };
        self.expect_zero("flags", flags.into())?;
        match self.kind {
            Kind::Call | Kind::Credit | Kind::Release | Kind::Recall | Kind::Recalled => Ok(()),
            _ => self.expect_zero("extra", self.extra.into()),
        }
    }

    fn expect_zero(&self, field: &'static str, found: u64) -> Result<(), FrameError> {
        if found == 0 { Ok(()) } else { Err(FrameError::Reserved { kind: self.kind, field, found }) }
    }

    fn check_limits(&self, terms: &Terms) -> Result<(), FrameError> {
        let limits = terms.limits;
        let sections = [
            ("body", u64::from(self.body), limits.max_body as u64),
            ("attachment table", u64::from(self.table), limits.max_table as u64),
            ("data section", self.data, limits.max_data),
        ];
        match sections.into_iter().find(|(_, found, limit)| found > limit) {
            Some((what, found, limit)) => Err(FrameError::Limit { kind: self.kind, what, found, limit }),
            None => Ok(()),
        }
    }

    fn check_sections(&self) -> Result<(), FrameError> {
        let rule = self.kind.rules().body;
        if (self.table > 0 || self.data > 0) && !rule.may_have_attachments() {
            return Err(FrameError::Attachments { kind: self.kind });
        }
        if self.data > 0 && self.table == 0 {
            return Err(FrameError::Table { kind: self.kind, problem: TableError::Missing { data: self.data } });
        }
        match (rule, self.body) {
            (BodyRule::None, 1..) => self.wrong_body(format!("has none, but {} bytes of one came", self.body)),
            (BodyRule::None | BodyRule::ObjectOrNone, 0) | (_, 1..) => Ok(()),
            (_, 0) => self.wrong_body("is missing".to_owned()),
        }
    }

    fn wrong_body(&self, problem: String) -> Result<(), FrameError> {
        Err(FrameError::Body { kind: self.kind, problem })
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_LENGTH], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// Refuses what does not begin like a frame, however little of it is there: a stray `print` of three bytes must not
/// wait for 29 more before it is noticed.
pub(crate) fn check_magic(bytes: &[u8], sender: Side, channel: Channel) -> Result<(), FrameError> {
    let begun = bytes.len().min(MAGIC.len());
    if bytes[..begun] == MAGIC[..begun] {
        return Ok(());
    }
    let excerpt = bytes[..bytes.len().min(20)].escape_ascii().to_string();
    Err(FrameError::Magic { sender, channel, excerpt })
}

/// Why bytes are not a frame, or why a frame must not be sent. Each names what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error(
        "the {sender} wrote \"{excerpt}\" on its {channel} channel, where a frame was expected, which begins with \"hy\""
    )]
    Magic { sender: Side, channel: Channel, excerpt: String },
    #[error("there is no frame kind {found}")]
    Kind { found: u8 },
    #[error("a {kind} frame came to the {receiver}, who only sends such frames")]
    Direction { kind: Kind, receiver: Side },
    #[error("a {kind} frame came on the {found} channel, where it does not belong")]
    Channel { kind: Kind, found: Channel },
    #[error("a {kind} frame has {field} {found}, which must be 0")]
    Reserved { kind: Kind, field: &'static str, found: u64 },
    #[error("the {what} of a {kind} frame is {found} bytes, and the receiver accepts {limit}")]
    Limit { kind: Kind, what: &'static str, found: u64, limit: u64 },
    #[error("the attachments of a {kind} frame: {problem}")]
    Table { kind: Kind, problem: TableError },
    #[error("a {kind} frame has attachments, which such frames cannot have")]
    Attachments { kind: Kind },
    #[error("the body of a {kind} frame {problem}")]
    Body { kind: Kind, problem: String },
    #[error("a {kind} frame needs the capability `{capability}`, which was not agreed")]
    Capability { kind: Kind, capability: Capability },
}

impl FrameError {
    /// The error of one who wanted to send this frame and must not; the connection is none the worse for it.
    pub(crate) fn unsent(&self) -> Error {
        let kind = match self {
            FrameError::Limit { .. } => ErrorKind::Limit,
            FrameError::Capability { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, self.to_string()).with_retryable(false)
    }
}
