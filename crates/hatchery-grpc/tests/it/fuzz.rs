//! Messages that were well made once, and a few bits of which are not any more: read they are, or refused, and never more than that.

mod decoders;

use bytes::Bytes;
use decoders::read;
use hatchery::Payload;
use hatchery_grpc::bridge::{arguments, chunks, proto, results, tools};
use prost::Message;
use serde_json::json;

const ROUNDS: usize = 20_000;

/// Marsaglia's xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    /// Some bytes changed, taken out, doubled, or put in the place of others.
    fn damaged(&mut self, bytes: &[u8]) -> Bytes {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, [0, 10, 9, 0xff, b'"', b'{', b'N', b'\\'][self.below(8)]),
            }
        }
        bytes.into()
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let image = hatchery::Array::from_slice(&[2], &[1.0f32, 2.0]).unwrap();
    let given = json!({"s": "123456789", "n": [1, null, {"a": "ü\n"}], "x": 1.5, "b": {"$bytes": "aGk="}, "i": image});
    let payload = Payload::from_json(given).unwrap();
    let written = arguments::write(&payload, &["b".into()]).unwrap();
    let plain = Payload::from_json(json!({"s": "123456789", "n": [1], "x": 1, "t": true, "none": null})).unwrap();
    let returned = results::write(&Payload::encode(&image).unwrap()).unwrap();
    let mut parameter =
        hatchery::Parameter { name: "p".into(), type_name: "int".into(), required: false, default: Some(json!([1])) };
    parameter.required = true;
    let mut tool = hatchery::ToolSpec::new("t");
    tool.parameters = vec![parameter];
    let raised = r#"{"type": "ValueError", "message": "x", "stacktrace": ["a\n"], "context": {"tool_name": "t"}}"#;
    let mut writer = chunks::Writer::new("t");
    vec![
        proto::ExecuteToolRequest {
            parameters: written.parameters,
            binary_parameters: written.binary_parameters,
            metadata: written.metadata,
            ..Default::default()
        }
        .encode_to_vec(),
        proto::ExecuteElixirToolRequest {
            parameters: arguments::write_for_host(&plain).unwrap(),
            ..Default::default()
        }
        .encode_to_vec(),
        proto::ExecuteToolResponse {
            result: returned.result,
            binary_result: returned.binary_result,
            error_message: raised.into(),
            ..Default::default()
        }
        .encode_to_vec(),
        writer.chunk(&Payload::encode(&image).unwrap()).unwrap().encode_to_vec(),
        writer.chunk(&plain).unwrap().encode_to_vec(),
        proto::ToolRegistration::from(tools::write(&tool)).encode_to_vec(),
    ]
}

#[test]
fn damaged_messages_are_read_or_refused() {
    let (seeds, mut random) = (seeds(), Random(0x9e37_79b9_7f4a_7c15));
    seeds.iter().for_each(|seed| read(&Bytes::copy_from_slice(seed)));
    for round in 0..ROUNDS {
        read(&random.damaged(&seeds[round % seeds.len()]));
    }
}

/// What no protobuf has to be: JSON of any depth, and bytes that begin like other things.
#[test]
fn deep_and_misleading_values_are_read_or_refused() {
    let deep = "[".repeat(100_000);
    let closed = format!("{deep}{}", "]".repeat(100_000));
    for text in [deep.as_str(), &closed, "{\"$bytes\":", "\n\t123456789", "\u{a}\u{ff}", "\\u0000", "\"\\ud800\""] {
        let any = hatchery_grpc::bridge::Any {
            type_url: "x/google.protobuf.StringValue".into(),
            value: text.to_owned().into(),
        };
        let parameters = [("a".to_owned(), any.clone())].into();
        let request = proto::ExecuteToolRequest {
            parameters,
            binary_parameters: [("b".to_owned(), "b".into())].into(),
            ..Default::default()
        };
        read(&request.encode_to_vec().into());
        read(
            &proto::ExecuteToolResponse { result: Some(any), error_message: text.into(), ..Default::default() }
                .encode_to_vec()
                .into(),
        );
        read(&proto::ToolChunk { data: text.to_owned().into(), ..Default::default() }.encode_to_vec().into());
    }
}
