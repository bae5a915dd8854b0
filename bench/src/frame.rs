//! The floor's frames: 16 bytes (length of the body, tag, id; little-endian) and a JSON body.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

const HEADER: usize = 16;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Tag {
    Call = 0,
    Stream = 1,
    End = 2,
}

/// Appends one frame.
pub(crate) fn put(out: &mut Vec<u8>, tag: Tag, id: u64, body: &Value) -> serde_json::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    serde_json::to_writer(&mut *out, body)?;
    let length = (out.len() - start - HEADER) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&(tag as u32).to_le_bytes());
    out[start + 8..start + HEADER].copy_from_slice(&id.to_le_bytes());
    Ok(())
}

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) is_end: bool,
    pub(crate) id: u64,
    pub(crate) body: &'a [u8],
}

/// Takes frames from a byte stream, as many as one read brings.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(input: R) -> Frames<R> {
        Frames { input, buffer: Vec::with_capacity(1 << 16), start: 0 }
    }

    /// The next frame, as soon as it is whole.
    pub(crate) async fn next(&mut self) -> io::Result<Frame<'_>> {
        while self.whole().is_none() {
            self.fill().await?;
        }
        Ok(self.take())
    }

    /// The next frame if it has already been read.
    pub(crate) fn ready(&mut self) -> Option<Frame<'_>> {
        self.whole()?;
        Some(self.take())
    }

    /// The length of the frame at the front, if all of it is there.
    fn whole(&self) -> Option<usize> {
        let length = u32::from_le_bytes(self.buffer[self.start..].first_chunk().copied()?) as usize;
        (self.buffer.len() - self.start >= HEADER + length).then_some(HEADER + length)
    }

    /// The frame at the front, which is whole.
    fn take(&mut self) -> Frame<'_> {
        let start = self.start;
        self.start += self.whole().unwrap_or_default();
        let (header, body) = self.buffer[start..self.start].split_at(HEADER);
        let word = |at: usize| header[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let id = u64::from(word(8)) | u64::from(word(12)) << 32;
        Frame { is_end: word(4) == Tag::End as u32, id, body }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        match self.input.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the worker closed its output")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_whatever_the_reads_were() {
        let mut bytes = Vec::new();
        put(&mut bytes, Tag::Call, 7, &json!({ "a": 1 })).unwrap();
        put(&mut bytes, Tag::End, u64::MAX, &json!(null)).unwrap();
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let mut frames = Frames::new(AsyncReadExt::chain(head, tail));
            let first = frames.next().await.unwrap();
            assert_eq!((first.is_end, first.id, first.body), (false, 7, &b"{\"a\":1}"[..]), "cut at {cut}");
            let second = frames.next().await.unwrap();
            assert_eq!((second.is_end, second.id, second.body), (true, u64::MAX, &b"null"[..]), "cut at {cut}");
            assert!(frames.next().await.is_err());
        }
    }
}
