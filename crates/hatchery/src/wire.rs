//! The native wire (`docs/design/wire.md`): what may be said, by whom, on which channel. No I/O: bytes in, frames out, and
//! the other way round.

mod capability;
mod codec;
mod header;
mod limits;
mod message;
#[cfg(any(test, feature = "fuzzing"))]
mod scratch;

use std::fmt;

pub(crate) use capability::{Capabilities, Capability};
pub(crate) use codec::{Decoder, Encoded, Frame};
#[cfg(test)]
pub(crate) use codec::{Head, encode};
pub(crate) use header::FrameError;
pub use limits::Limits;
pub(crate) use limits::Terms;
pub(crate) use message::{
    Access, CallBody, EventBody, HEALTH_TOOL, HealthBody, Hello, HostCall, HostToolsBody, LogBody, ProgressBody, Ready,
    SegmentBody, Shutdown, VERSION,
};
pub use message::{Telemetry, WorkerRuntime};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use scratch::Scratch;

/// The two lanes between host and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Calls down, everything that calls give rise to up.
    Data,
    /// What must never wait behind a call.
    Control,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channel::Data => "data",
            Channel::Control => "control",
        })
    }
}

/// One end of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    Worker,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Host => Side::Worker,
            Side::Worker => Side::Host,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Host => "host",
            Side::Worker => "worker",
        })
    }
}

/// What the frames of a kind look like: one row of the table in section 3 of the page.
pub(crate) struct Rules {
    /// `None`: both.
    pub(crate) sender: Option<Side>,
    pub(crate) on_data: bool,
    pub(crate) on_control: bool,
    pub(crate) id: IdRule,
    pub(crate) body: BodyRule,
    pub(crate) needs: Option<Capability>,
}

/// Which ids a kind may bear.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdRule {
    Any,
    Zero,
    /// A call's on data, 0 on control.
    CallOrOwn,
}

/// What stands in the body of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRule {
    None,
    Object,
    /// An object, or nothing.
    ObjectOrNone,
    /// An object in which binary values may stand.
    ObjectWithValues,
    /// Any JSON, in which binary values may stand.
    Value,
}

impl BodyRule {
    pub(crate) fn may_have_attachments(self) -> bool {
        matches!(self, BodyRule::ObjectWithValues | BodyRule::Value)
    }
}

macro_rules! kinds {
    ($($kind:ident = $number:literal, $name:literal, $channel:ident $sender:ident, $id:ident, $body:ident $(, $needs:ident)?;)*) => {
        /// What a frame is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Kind {
            $($kind = $number,)*
        }

        impl Kind {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// The name on the page, like `HOST_CALL`.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }

            pub(crate) const fn rules(self) -> Rules {
                match self {
                    $(Kind::$kind => Rules {
                        sender: Sender::$sender.side(),
                        on_data: Lane::$channel.includes(Channel::Data),
                        on_control: Lane::$channel.includes(Channel::Control),
                        id: IdRule::$id,
                        body: BodyRule::$body,
                        needs: kinds!(@needs $($needs)?),
                    },)*
                }
            }
        }

        impl TryFrom<u8> for Kind {
            type Error = FrameError;

            fn try_from(number: u8) -> Result<Kind, FrameError> {
                match number {
                    $($number => Ok(Kind::$kind),)*
                    found => Err(FrameError::Kind { found }),
                }
            }
        }
    };
    (@needs) => { None };
    (@needs $needs:ident) => { Some(Capability::$needs) };
}

kinds! {
    Hello = 1, "HELLO", Control Host, Zero, Object;
    Ready = 2, "READY", Control Worker, Zero, Object;
    Shutdown = 3, "SHUTDOWN", Control Host, Zero, Object;
    Ping = 4, "PING", Control Host, Any, None;
    Pong = 5, "PONG", Control Worker, Any, None;
    Call = 16, "CALL", Data Host, Any, ObjectWithValues;
    Result = 17, "RESULT", Data Worker, Any, Value;
    Chunk = 18, "CHUNK", Data Worker, Any, Value, Streams;
    End = 19, "END", Data Worker, Any, Value, Streams;
    Error = 20, "ERROR", Both Worker, CallOrOwn, Object;
    Cancel = 21, "CANCEL", Control Host, Any, None, Cancel;
    Credit = 22, "CREDIT", Control Host, Any, None, Streams;
    Progress = 23, "PROGRESS", Data Worker, Any, Object, Progress;
    HostCall = 32, "HOST_CALL", Data Worker, Any, ObjectWithValues, HostTools;
    HostTools = 33, "HOST_TOOLS", Data Worker, Any, ObjectOrNone, HostTools;
    HostResult = 34, "HOST_RESULT", Control Host, Any, Value, HostTools;
    HostError = 35, "HOST_ERROR", Control Host, Any, Object, HostTools;
    Log = 48, "LOG", Data Worker, Any, Object, Log;
    Event = 49, "EVENT", Data Worker, Any, Object, Telemetry;
    Telemetry = 50, "TELEMETRY", Control Host, Zero, Object, TelemetryControl;
    Segment = 64, "SEGMENT", Control Host, Any, Object, Segments;
    Release = 65, "RELEASE", Both Either, Any, None, Segments;
    Recall = 66, "RECALL", Control Host, Any, None, Ahead;
    Recalled = 67, "RECALLED", Control Worker, Any, None, Ahead;
}

/// Who sends a kind, as the table above names them.
enum Sender {
    Host,
    Worker,
    Either,
}

impl Sender {
    const fn side(self) -> Option<Side> {
        match self {
            Sender::Host => Some(Side::Host),
            Sender::Worker => Some(Side::Worker),
            Sender::Either => None,
        }
    }
}

/// The channels of a kind, as the table above names them.
enum Lane {
    Data,
    Control,
    Both,
}

impl Lane {
    const fn includes(self, channel: Channel) -> bool {
        matches!((self, channel), (Lane::Both, _) | (Lane::Data, Channel::Data) | (Lane::Control, Channel::Control))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
