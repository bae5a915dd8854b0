//! The messages of `google.protobuf` and `google.rpc` that are said here. Their bytes share the memory that was received.

use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;

/// `google.protobuf.Any`: bytes, and a word for what they are.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// What the bytes are said to be, like `type.googleapis.com/google.protobuf.StringValue`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct Timestamp {
    /// Seconds since 1970, UTC.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// What is beyond them, in nanoseconds: never negative.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

impl From<SystemTime> for Timestamp {
    /// A time before 1970 is 1970.
    fn from(time: SystemTime) -> Timestamp {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Nanoseconds of a second are fewer than a billion, and fit.
        Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() as i32 }
    }
}
