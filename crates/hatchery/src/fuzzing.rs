//! What the targets in `fuzz/` call.

use std::sync::Arc;

use bytes::BufMut;

use crate::agent::{Adapters, Answer, CommandPlan, Signal};
use crate::wire::{Capabilities, Channel, Decoder, Limits, Scratch, Terms};

/// The most that a decoder may hold beyond what it was given.
const SLACK: usize = 8 << 20;

/// Feeds bytes to a decoder, in pieces. The first two bytes say to which decoder and in which pieces.
///
/// # Panics
/// If the decoder takes memory that the bytes it has seen do not warrant, or reports no more room for them.
pub fn decode(input: &[u8]) {
    let [which, piece, bytes @ ..] = input else { return };
    let terms = Terms { limits: Limits::default(), capabilities: Capabilities::all() };
    let channel = if which & 1 == 0 { Channel::Data } else { Channel::Control };
    let mut decoder = if which & 2 == 0 { Decoder::new(channel, terms) } else { Decoder::at_worker(channel, terms) };
    decoder.look_up_in(Arc::new(Scratch::default()));
    let _refusal = drain(decoder, bytes, usize::from(*piece).max(1));
}

/// Tells the lines of some bytes to every adapter that is built in, and answers what is asked.
pub fn hear(input: &[u8]) {
    let adapters = Adapters::default();
    for adapter in adapters.names().filter_map(|name| adapters.get(name).ok()) {
        let mut dialogue = adapter.begin(&CommandPlan::default());
        for line in input.split(|byte| *byte == b'\n') {
            let mut signals = dialogue.stdout(line);
            signals.extend(dialogue.stderr(line));
            for signal in signals {
                if let Signal::NeedsInput { request, .. } = signal {
                    let _answered_or_settled = dialogue.answer(&request, &Answer::Allow { input: None });
                }
            }
        }
    }
}

fn drain(mut decoder: Decoder, mut bytes: &[u8], piece: usize) -> Result<(), crate::wire::FrameError> {
    while !bytes.is_empty() {
        let mut spare = decoder.spare();
        let room = spare.chunk_mut().len();
        assert!(room > 0, "a read into an empty buffer looks like the end of file");
        let (now, later) = bytes.split_at(bytes.len().min(piece).min(room));
        spare.put_slice(now);
        bytes = later;
        while let Some(frame) = decoder.next()? {
            let payload = crate::value::Payload::received(frame.body, frame.attachments);
            let _value_or_error = (payload.to_json(), payload.to_json_text());
        }
        assert!(decoder.capacity() <= SLACK, "{} bytes are held", decoder.capacity());
    }
    Ok(())
}
