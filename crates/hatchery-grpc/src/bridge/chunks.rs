//! What a stream carries: chunks with JSON or bytes in them, and exactly one mark of the end.
//!
//! A worker tells neither text from bytes nor either from JSON: `yield "12"`, `yield 12` and `yield b"12"` are the same chunk. Read as
//! JSON is what is JSON; the rest is bytes. A tool that streams text does well to yield objects.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hatchery::{BinaryValue, Payload, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::binary::{self, Member};
use super::json;
use super::proto::ToolChunk;

/// Where an item has what its tool said about it.
const METADATA: &str = "_metadata";

/// Where an item that is no object has its value, if there is metadata beside it.
const DATA: &str = "data";

/// The item of a chunk, as a stream of any other worker has it; `None` if the chunk is but the mark of the end.
///
/// JSON is the value that it is, an empty chunk null, and everything else bytes (or an array, if its metadata has `binary_dtype` and
/// `binary_shape`). Only if there is metadata, it stands in the item, as `_metadata`: beside the keys of an object, in the place
/// of one of that name, else beside `data`, which is the value.
///
/// # Errors
/// `validation` if the value has a `{"$bytes": …}` or `{"$array": …}` in it that is not well made.
pub fn item(chunk: &ToolChunk) -> Result<Option<Payload>> {
    if chunk.is_final && chunk.data.is_empty() {
        return Ok(None);
    }
    let (words, metadata): (BTreeMap<_, _>, BTreeMap<_, _>) = chunk
        .metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .partition(|(key, _)| word(key).is_some());
    let member = member(&chunk.data, &words);
    if metadata.is_empty() {
        return binary::alone(member).map(Some);
    }
    let mut members = into_members(member);
    members.insert(METADATA.to_owned(), Member::Json(json!(metadata).to_string().into()));
    binary::object(members).map(Some)
}

/// The item of a chunk as Snakepit has it, always an object: that of the JSON, or `{"data": value}` of any other, or
/// `{"raw_data_base64": …}` of what is no JSON, or nothing of an empty one; then `is_final`, and `_metadata` if there is some.
pub fn snakepit_item(chunk: &ToolChunk) -> Value {
    let mut item = match serde_json::from_slice(&chunk.data) {
        Ok(Value::Object(object)) => object,
        Ok(value) => Map::from_iter([(DATA.to_owned(), value)]),
        Err(_) if chunk.data.is_empty() => Map::new(),
        Err(_) => Map::from_iter([("raw_data_base64".to_owned(), STANDARD.encode(&chunk.data).into())]),
    };
    item.insert("is_final".to_owned(), chunk.is_final.into());
    if !chunk.metadata.is_empty() {
        item.insert(METADATA.to_owned(), json!(chunk.metadata));
    }
    item.into()
}

/// The chunks of one stream, for who serves it: numbered, and with one mark of the end.
#[derive(Clone, Debug)]
pub struct Writer {
    tool: String,
    sent: u64,
    is_over: bool,
}

/// What the last chunk of a stream says about the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How long it took, in milliseconds.
    pub execution_time_ms: u64,
    /// Where the tool is: `local`, `remote`.
    pub tool_type: String,
    /// Who ran it; empty if nobody in particular.
    pub worker_id: String,
}

impl Writer {
    /// The stream of this tool.
    pub fn new(tool: impl Into<String>) -> Writer {
        Writer { tool: tool.into(), sent: 0, is_over: false }
    }

    /// The chunk of an item: `<tool>-<n>`, counted from 1. Bytes go as they are, and an array as its bytes, with `binary_dtype` and
    /// `binary_shape` in the metadata.
    ///
    /// # Errors
    /// `validation` if bytes or an array lie inside another value, with the path in the message and in `details.path`.
    pub fn chunk(&mut self, item: &Payload) -> Result<ToolChunk> {
        let (data, words) = match binary::whole(item, "item")? {
            Member::Json(json) => (json, binary::Words::new()),
            Member::Binary(value) => binary::described(&value)?,
        };
        self.sent += 1;
        let metadata = words.into_iter().map(|(word, said)| (format!("binary_{word}"), said)).collect();
        Ok(ToolChunk { chunk_id: format!("{}-{}", self.tool, self.sent), data, is_final: false, metadata })
    }

    /// A worker's chunk, as it is passed on: the last one gets a summary, where it does not say so itself. `None` for what comes after the
    /// last one, which nobody expects.
    pub fn forward(&mut self, mut chunk: ToolChunk, summary: impl FnOnce() -> Summary) -> Option<ToolChunk> {
        if self.is_over {
            return None;
        }
        self.sent += 1;
        self.is_over = chunk.is_final;
        if chunk.is_final {
            for (key, value) in summary().words() {
                chunk.metadata.entry(key.to_owned()).or_insert(value);
            }
        }
        Some(chunk)
    }

    /// The mark of the end: `sp-final-<n>`. `None` if there was one.
    pub fn end(&mut self, summary: &Summary) -> Option<ToolChunk> {
        if self.is_over {
            return None;
        }
        self.is_over = true;
        let words = summary.words().filter(|(key, _)| *key != "worker_id");
        let mut metadata: BTreeMap<String, String> = words.map(|(key, value)| (key.to_owned(), value)).collect();
        metadata.insert("synthetic_final".to_owned(), true.to_string());
        metadata.insert("chunks_sent".to_owned(), self.sent.to_string());
        Some(ToolChunk {
            chunk_id: format!("sp-final-{}", self.sent + 1),
            data: Bytes::new(),
            is_final: true,
            metadata,
        })
    }
}

impl Summary {
    fn words(self: &Summary) -> impl Iterator<Item = (&'static str, String)> {
        let words = [
            ("execution_time_ms", self.execution_time_ms.to_string()),
            ("tool_type", self.tool_type.clone()),
            ("worker_id", self.worker_id.clone()),
        ];
        words.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// What is described is what it is described as, even if it reads as JSON.
fn member(data: &Bytes, words: &BTreeMap<&str, &str>) -> Member {
    if data.is_empty() && words.is_empty() {
        return Member::Json(Bytes::from_static(b"null"));
    }
    let said = |wanted| words.iter().find(|(key, _)| word(key) == Some(wanted)).map(|(_, said)| *said);
    match binary::restored(data.clone(), said) {
        BinaryValue::Bytes(data) => json::strict(&data).map_or(Member::Binary(BinaryValue::Bytes(data)), Member::Json),
        other => Member::Binary(other),
    }
}

/// The members of an object, and `data` of everything else.
fn into_members(member: Member) -> BTreeMap<String, Member> {
    if let Member::Json(text) = &member
        && let Ok(members) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(text)
    {
        let sliced = |raw: &RawValue| Member::Json(text.slice_ref(raw.get().as_bytes()));
        return members.into_iter().map(|(name, raw)| (name, sliced(raw))).collect();
    }
    BTreeMap::from([(DATA.to_owned(), member)])
}

/// Of a key of metadata, the word for what bytes are that it stands for.
fn word(key: &str) -> Option<&'static str> {
    let key = key.strip_prefix("binary_")?;
    binary::WORDS.into_iter().find(|word| *word == key)
}

#[cfg(test)]
mod tests {
    use hatchery::{Array, Binary};
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn chunk(data: &[u8], is_final: bool, metadata: &[(&str, &str)]) -> ToolChunk {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ToolChunk { chunk_id: "t-1".into(), data: Bytes::copy_from_slice(data), is_final, metadata }
    }

    fn read(chunk: &ToolChunk) -> Option<Value> {
        item(chunk).unwrap().map(|item| item.to_json().unwrap())
    }

    #[test]
    fn a_chunk_is_an_item_as_of_any_worker_and_one_as_of_snakepit() {
        let bytes = json!({"$bytes": "/w=="});
        for (data, is_final, ours, theirs) in [
            (
                &br#"{"a": 1, "is_final": 7}"#[..],
                false,
                Some(json!({"a": 1, "is_final": 7})),
                json!({"a": 1, "is_final": false}),
            ),
            (b"[1]", false, Some(json!([1])), json!({"data": [1], "is_final": false})),
            (b"[NaN]", false, Some(json!([null])), json!({"raw_data_base64": "W05hTl0=", "is_final": false})),
            (b"12", true, Some(json!(12)), json!({"data": 12, "is_final": true})),
            (b"\xff", false, Some(bytes), json!({"raw_data_base64": "/w==", "is_final": false})),
            (b"", false, Some(Value::Null), json!({"is_final": false})),
            (b"", true, None, json!({"is_final": true})),
        ] {
            let chunk = chunk(data, is_final, &[]);
            assert_eq!((read(&chunk), snakepit_item(&chunk)), (ours, theirs));
        }
        assert_eq!(read(&chunk(b"text", false, &[])), Some(json!({"$bytes": "dGV4dA=="})));
    }

    #[test]
    fn metadata_stands_in_the_item_where_there_is_some() {
        let about = &[("k", "v")];
        let said = json!({"k": "v"});
        for (data, ours) in [
            (&br#"{"a": 1, "_metadata": 2}"#[..], json!({"a": 1, "_metadata": said})),
            (b"{}", json!({"_metadata": said})),
            (b"[1]", json!({"data": [1], "_metadata": said})),
            (b"\xff", json!({"data": {"$bytes": "/w=="}, "_metadata": said})),
            (b"", json!({"data": null, "_metadata": said})),
        ] {
            assert_eq!(read(&chunk(data, false, about)), Some(ours));
        }
        assert_eq!(read(&chunk(b"", true, about)), None);
        assert_eq!(snakepit_item(&chunk(b"1", false, about)), json!({"data": 1, "is_final": false, "_metadata": said}));
        let big = item(&chunk(br#"{"n": 123456789012345678901234567890}"#, false, about)).unwrap().unwrap();
        assert_eq!(big.to_json_text().unwrap(), r#"{"_metadata":{"k":"v"},"n":123456789012345678901234567890}"#);
    }

    #[test]
    fn an_item_is_written_as_it_is_read() {
        let mut writer = Writer::new("t");
        for (number, payload) in [
            Payload::encode(&Array::from_slice(&[1, 1], &[7u8]).unwrap()),
            // Bytes that read as JSON are JSON: the contract has no other way.
            Payload::encode(&Binary(Bytes::from_static(b"\xff"))),
            Payload::encode(&json!({"a": [null, "x"]})),
            Payload::encode(&Value::Null),
        ]
        .into_iter()
        .enumerate()
        {
            let payload = payload.unwrap();
            let chunk = writer.chunk(&payload).unwrap();
            assert_eq!(chunk.chunk_id, format!("t-{}", number + 1));
            assert_eq!(read(&chunk), Some(payload.to_json().unwrap()));
        }
        let error = writer.chunk(&Payload::from_json(json!([{"$bytes": ""}])).unwrap()).unwrap_err();
        assert_eq!(error.details().unwrap()["path"], "item[0]");
    }

    #[test]
    fn there_is_one_mark_of_the_end() {
        let summary = Summary { execution_time_ms: 5, tool_type: "remote".into(), worker_id: "w-1".into() };
        let mut writer = Writer::new("t");
        assert_eq!(
            writer.forward(chunk(b"1", false, &[]), || unreachable!("not the last")),
            Some(chunk(b"1", false, &[]))
        );
        let last = writer.forward(chunk(b"2", true, &[("tool_type", "mine")]), || summary.clone()).unwrap();
        assert_eq!(
            last.metadata,
            chunk(b"", true, &[("execution_time_ms", "5"), ("tool_type", "mine"), ("worker_id", "w-1")]).metadata
        );
        assert_eq!(writer.forward(chunk(b"3", false, &[]), || summary.clone()), None);
        assert_eq!(writer.end(&summary), None);

        let mut writer = Writer::new("t");
        writer.forward(chunk(b"1", false, &[]), || summary.clone());
        let end = writer.end(&summary).unwrap();
        assert_eq!((end.chunk_id.as_str(), end.is_final, end.data.len()), ("sp-final-2", true, 0));
        let said: Vec<_> = end.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(said, ["chunks_sent=1", "execution_time_ms=5", "synthetic_final=true", "tool_type=remote"]);
        assert_eq!(writer.end(&summary), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_item_or_an_error(
            data: Vec<u8>, is_final: bool, metadata in btree_map("(binary_(dtype|shape|kind)|.{0,3})", "(arrow|<f4|\\[[0-9]\\]|.*)", 0..3),
        ) {
            let chunk = ToolChunk { chunk_id: String::new(), data: data.into(), is_final, metadata };
            let _said = snakepit_item(&chunk);
            if let Ok(Some(item)) = item(&chunk) {
                let _said = item.to_json();
            }
        }
    }
}
