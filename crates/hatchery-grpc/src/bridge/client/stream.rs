use std::time::{Duration, Instant};

use hatchery::{Error, ErrorKind, Payload, Result};
use tonic::Streaming;

use crate::bridge::proto::ToolChunk;
use crate::bridge::{Peer, chunks, errors};

/// The chunks of a streaming tool. As many are on their way as the window of the connection holds; who does not read holds the tool back.
/// To drop it ends the tool at its next chunk.
#[derive(Debug)]
pub struct ChunkStream {
    chunks: Streaming<ToolChunk>,
    peer: Peer,
    deadline: Option<(Instant, Duration)>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Within,
    /// The mark of the end was here; how it ended was not.
    Marked,
    Over,
}

impl ChunkStream {
    pub(super) fn new(chunks: Streaming<ToolChunk>, peer: Peer, deadline: Option<(Instant, Duration)>) -> ChunkStream {
        ChunkStream { chunks, peer, deadline, place: Place::Within }
    }

    /// The next chunk as it came; `None` after the last one, when the peer has done all that it does. What failed comes last, and whatever
    /// came before it stands. Cancel safe.
    ///
    /// # Errors
    /// Those of [`errors::of_status`]; `deadline`; `protocol` if something comes after the mark of the end, or the stream ends without a
    /// status: it is cut off then.
    pub async fn next(&mut self) -> Option<Result<ToolChunk>> {
        if self.place == Place::Over {
            return None;
        }
        let chunk = self.received().await;
        self.place = match &chunk {
            Some(Ok(chunk)) if chunk.is_final => Place::Marked,
            Some(Ok(_)) => self.place,
            _ => Place::Over,
        };
        chunk
    }

    /// The next item, as [`chunks::item`] reads it; `None` after the last one. Cancel safe.
    ///
    /// # Errors
    /// Those of [`ChunkStream::next`] and of [`chunks::item`].
    pub async fn next_item(&mut self) -> Option<Result<Payload>> {
        loop {
            match self.next().await?.and_then(|chunk| chunks::item(&chunk)) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn received(&mut self) -> Option<Result<ToolChunk>> {
        let message = self.chunks.message();
        let message = match self.deadline {
            Some((deadline, timeout)) => match tokio::time::timeout_at(deadline.into(), message).await {
                Ok(message) => message,
                Err(_) => return Some(Err(super::late("ExecuteStreamingTool", timeout))),
            },
            None => message.await,
        };
        match message {
            Ok(Some(_)) if self.place == Place::Marked => Some(Err(after_the_end())),
            Ok(chunk) => chunk.map(Ok),
            Err(status) => Some(Err(errors::of_status(&status, self.peer))),
        }
    }
}

fn after_the_end() -> Error {
    Error::new(ErrorKind::Protocol, "read a stream: there is a chunk after the final one").with_retryable(false)
}
