//! The arguments of a call: on their way to a worker, which takes bytes beside JSON, and to a host tool, for which only JSON goes.
//!
//! What a worker's tool sees of a binary argument `image`:
//!
//! | sent | the keyword `image` | `context.request_metadata` |
//! |---|---|---|
//! | bytes | `bytes` | nothing |
//! | bytes, [`pickled`](write) | what was pickled | `binary_format:image` = `pickle` |
//! | an array | `bytes`: C order, little-endian | `binary_dtype:image`, like `<f4`; `binary_shape:image`, like `[2,3]` |
//! | an Arrow stream | `bytes` | `binary_kind:image` = `arrow` |
//!
//! So an array is `numpy.frombuffer(image, metadata["binary_dtype:image"]).reshape(json.loads(metadata["binary_shape:image"]))`.

use std::collections::BTreeMap;

use bytes::Bytes;
use hatchery::{BinaryValue, Error, ErrorKind, Payload, Result};

use super::any::{self, Content};
use super::binary::{self, Member};
use super::{Any, proto};

/// Arguments as they travel: the fields of an [`ExecuteToolRequest`](proto::ExecuteToolRequest) that have something of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// Those that are JSON.
    pub parameters: BTreeMap<String, Any>,
    /// Those that are bytes.
    pub binary_parameters: BTreeMap<String, Bytes>,
    /// What the bytes are, among other things.
    pub metadata: BTreeMap<String, String>,
}

/// What was read of [`Arguments`].
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The arguments, an object.
    pub payload: Payload,
    /// Those that are pickles. They are bytes in the payload: nothing here unpickles. To be given to [`write`] if the call is passed on.
    pub pickled: Vec<String>,
}

/// A way to say that a binary argument is a pickle.
const FORMAT: &str = "format";
const PICKLE: &str = "pickle";

/// Arguments for a worker. `pickled` names those whose bytes the worker is to unpickle, which runs what is in them: never name one
/// whose bytes somebody else has chosen.
///
/// # Errors
/// `validation` if they are no object; if bytes or an array lie deeper than a whole argument, with the path in the message and in
/// `details.path`; if one of `pickled` is no bytes.
pub fn write(payload: &Payload, pickled: &[String]) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    for (name, member) in binary::members(payload)? {
        match member {
            Member::Json(json) => drop(arguments.parameters.insert(name, any::bare(json))),
            Member::Binary(value) => arguments.add(name, &value)?,
        }
    }
    for name in pickled {
        arguments.mark_pickled(name)?;
    }
    Ok(arguments)
}

/// Arguments for a host tool, written as workers write them, but that lists, objects and null keep their types.
///
/// # Errors
/// `validation` if they are no object, or one is bytes or has some.
pub fn write_for_host(payload: &Payload) -> Result<BTreeMap<String, Any>> {
    let written = |(name, member): (String, Member)| match member {
        Member::Json(json) => Ok((name, any::by_type(json))),
        Member::Binary(_) => Err(invalid(format!("argument `{name}`: host tools take no bytes from a worker"))),
    };
    binary::members(payload)?.into_iter().map(written).collect()
}

/// Reads arguments, of a host's writing or a worker's. A packed text is text. Else what is JSON is JSON, with null for numbers that
/// JSON does not have. Else, under the URL of a `StringValue`, what is UTF-8 is text and the rest bytes; so Python's
/// `str()` of a list is a text here.
///
/// # Errors
/// `validation`, naming the parameter, if it claims to be JSON and is not.
pub fn read(arguments: Arguments) -> Result<Received> {
    let Arguments { parameters, binary_parameters, metadata } = arguments;
    let mut members = BTreeMap::new();
    for (name, any) in parameters {
        let member = match any::read_parameter(any) {
            Content::Json(json) => Member::Json(json),
            Content::Bytes(data) => Member::Binary(BinaryValue::Bytes(data)),
            Content::Broken => return Err(invalid(format!("Invalid parameter {name}: expected JSON"))),
        };
        members.insert(name, member);
    }
    let said = |word: &str, name: &str| metadata.get(&key(word, name)).map(String::as_str);
    let mut pickled = Vec::new();
    for (name, data) in binary_parameters {
        let is_pickled = said(FORMAT, &name) == Some(PICKLE);
        let value =
            if is_pickled { BinaryValue::Bytes(data) } else { binary::restored(data, |word| said(word, &name)) };
        if is_pickled {
            pickled.push(name.clone());
        }
        members.insert(name, Member::Binary(value));
    }
    Ok(Received { payload: binary::object(members)?, pickled })
}

impl Arguments {
    fn add(&mut self, name: String, value: &BinaryValue) -> Result<()> {
        let (data, words) = binary::described(value)?;
        self.metadata.extend(words.into_iter().map(|(word, said)| (key(word, &name), said)));
        self.binary_parameters.insert(name, data);
        Ok(())
    }

    fn mark_pickled(&mut self, name: &str) -> Result<()> {
        let is_plain = binary::WORDS.iter().all(|word| !self.metadata.contains_key(&key(word, name)));
        if !self.binary_parameters.contains_key(name) || !is_plain {
            return Err(invalid(format!("argument `{name}`: expected the bytes of a pickle")));
        }
        self.metadata.insert(key(FORMAT, name), PICKLE.to_owned());
        Ok(())
    }
}

impl From<proto::ExecuteToolRequest> for Arguments {
    fn from(request: proto::ExecuteToolRequest) -> Arguments {
        let proto::ExecuteToolRequest { parameters, binary_parameters, metadata, .. } = request;
        Arguments { parameters, binary_parameters, metadata }
    }
}

impl From<proto::ExecuteElixirToolRequest> for Arguments {
    fn from(request: proto::ExecuteElixirToolRequest) -> Arguments {
        let proto::ExecuteElixirToolRequest { parameters, metadata, .. } = request;
        Arguments { parameters, metadata, binary_parameters: BTreeMap::new() }
    }
}

fn key(word: &str, name: &str) -> String {
    format!("binary_{word}:{name}")
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use hatchery::Array;
    use proptest::collection::btree_map;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn payload(value: Value) -> Payload {
        Payload::from_json(value).unwrap()
    }

    fn image() -> Value {
        serde_json::to_value(Array::from_slice(&[1, 2], &[1.0f32, 2.0]).unwrap()).unwrap()
    }

    #[test]
    fn a_worker_is_sent_bare_json_and_bytes() {
        let sent =
            write(&payload(json!({"n": [1, null], "text": "a", "b": {"$bytes": "aGk="}, "i": image()})), &[]).unwrap();
        let urls: Vec<_> = sent.parameters.values().map(|any| any.type_url.rsplit('/').next().unwrap()).collect();
        assert_eq!(urls, ["google.protobuf.StringValue"; 2]);
        assert_eq!(
            (&sent.parameters["n"].value[..], &sent.parameters["text"].value[..]),
            (&b"[1,null]"[..], &b"\"a\""[..])
        );
        assert_eq!((&sent.binary_parameters["b"][..], sent.binary_parameters["i"].len()), (&b"hi"[..], 8));
        let metadata: Vec<_> = sent.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(metadata, ["binary_dtype:i=<f4", "binary_shape:i=[1,2]"]);
    }

    #[test]
    fn only_what_is_named_is_unpickled_and_only_bytes_can_be() {
        let given = payload(json!({"b": {"$bytes": "aGk="}, "i": image(), "n": 1}));
        let sent = write(&given, &["b".into()]).unwrap();
        assert_eq!(sent.metadata["binary_format:b"], "pickle");
        let received = read(sent).unwrap();
        assert_eq!(
            (received.pickled, received.payload.to_json().unwrap()),
            (vec!["b".to_owned()], given.to_json().unwrap())
        );
        for wrong in ["i", "n", "none"] {
            let error = write(&given, &[wrong.into()]).unwrap_err();
            assert_eq!(error.message(), format!("argument `{wrong}`: expected the bytes of a pickle"));
        }
    }

    #[test]
    fn a_host_tool_gets_every_type_of_json_as_itself() {
        let given =
            json!({"s": "3", "n": 3, "f": 1.5, "b": true, "l": ["x"], "d": {"a": 1}, "none": null, "": "", "j": "{}"});
        let parameters = write_for_host(&payload(given.clone())).unwrap();
        let received = read(Arguments { parameters, ..Arguments::default() }).unwrap();
        assert_eq!(received.payload.to_json().unwrap(), given);
        let error = write_for_host(&payload(json!({"b": {"$bytes": ""}}))).unwrap_err();
        assert_eq!(error.message(), "argument `b`: host tools take no bytes from a worker");
    }

    #[test]
    fn what_claims_to_be_json_and_is_not_is_named() {
        let value = Any { type_url: "type.googleapis.com/google.protobuf.Value".into(), value: "{".into() };
        let error =
            read(Arguments { parameters: [("k".to_owned(), value)].into(), ..Arguments::default() }).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Validation, "Invalid parameter k: expected JSON"));
    }

    #[test]
    fn what_looks_like_a_reference_is_none() {
        let value = Any { type_url: String::new(), value: r#"[{"$bridge:0": 0}, {"$here": 0}]"#.into() };
        let arguments = Arguments {
            parameters: [("k".to_owned(), value)].into(),
            binary_parameters: [("b".to_owned(), Bytes::from_static(b"hi"))].into(),
            ..Arguments::default()
        };
        let read = read(arguments).unwrap().payload.to_json().unwrap();
        assert_eq!(read, json!({"b": {"$bytes": "aGk="}, "k": [{"$bridge:0": 0}, {"$here": 0}]}));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".*".prop_map(Value::from),
            "\n\t[0-9]{9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                btree_map("[a-z]{0,3}", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_sent_either_way_is_what_arrives(map in btree_map(".{0,5}", value(), 0..6), data: Vec<u8>) {
            let mut given: serde_json::Map<_, _> = map.into_iter().collect();
            let parameters = write_for_host(&payload(Value::Object(given.clone()))).unwrap();
            let at_host = read(Arguments { parameters, ..Arguments::default() }).unwrap();
            prop_assert_eq!(at_host.payload.to_json().unwrap(), Value::Object(given.clone()));

            given.insert("data".into(), serde_json::to_value(hatchery::Binary(data.into())).unwrap());
            let given = payload(Value::Object(given));
            let at_worker = read(write(&given, &["data".into()]).unwrap()).unwrap();
            prop_assert_eq!(at_worker.payload.to_json().unwrap(), given.to_json().unwrap());
        }

        #[test]
        fn any_bytes_are_arguments_or_an_error(
            parameters in btree_map(".{0,3}", (".*", any::<Vec<u8>>()), 0..4),
            binary_parameters in btree_map("[ab]", any::<Vec<u8>>(), 0..3),
            metadata in btree_map("binary_(format|dtype|shape|kind):[ab]", "(pickle|arrow|<f4|\\[[0-9]\\]|.*)", 0..4),
        ) {
            let any = |(type_url, value): (String, Vec<u8>)| Any { type_url, value: value.into() };
            let arguments = Arguments {
                parameters: parameters.into_iter().map(|(name, parts)| (name, any(parts))).collect(),
                binary_parameters: binary_parameters.into_iter().map(|(name, data)| (name, data.into())).collect(),
                metadata,
            };
            if let Ok(received) = read(arguments) {
                prop_assert!(received.payload.is_object());
                let _some = (received.payload.to_json(), write(&received.payload, &received.pickled).unwrap());
            }
        }
    }
}
