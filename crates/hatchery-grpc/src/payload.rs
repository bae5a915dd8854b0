//! Values on their way: JSON as text, binary values beside it, neither of them encoded.

use hatchery::{BinaryValue, Error, ErrorKind, Payload, PayloadParts, Result};

use crate::v1;
use crate::v1::attachment::Value;

/// What a message says. One that is absent or empty is an empty object: no arguments.
///
/// # Errors
/// `validation` if it is not JSON, or text and attachments do not fit together.
pub fn read(message: Option<v1::Payload>) -> Result<Payload> {
    let v1::Payload { json, mark, attachments } = message.unwrap_or_default();
    if json.is_empty() && attachments.is_empty() {
        return Payload::from_json_text("{}");
    }
    let values = attachments.into_iter().enumerate().map(value).collect::<Result<_>>()?;
    Payload::from_parts(PayloadParts { json, mark, values })
}

/// The message that says this.
///
/// # Errors
/// Those of [`Payload::to_parts`].
pub fn write(payload: &Payload) -> Result<v1::Payload> {
    let PayloadParts { json, mark, values } = payload.to_parts()?;
    let attachments = values.into_iter().map(attachment).collect::<Result<_>>()?;
    Ok(v1::Payload { json, mark, attachments })
}

fn value((index, attachment): (usize, v1::Attachment)) -> Result<BinaryValue> {
    let wrong = |what: String| Error::new(ErrorKind::Validation, format!("attachment {index}: {what}"));
    match attachment.value {
        Some(Value::Bytes(data)) => Ok(BinaryValue::Bytes(data)),
        Some(Value::Arrow(data)) => Ok(BinaryValue::Arrow(data)),
        Some(Value::Array(array)) => read_array(array).map_err(|error| wrong(error.message().to_owned())),
        None => Err(wrong("expected bytes, an array or an Arrow stream, found nothing".to_owned())),
    }
}

fn read_array(array: v1::Array) -> Result<BinaryValue> {
    // What is larger than memory can be fits no data.
    let shape = array.shape.into_iter().map(|length| usize::try_from(length).unwrap_or(usize::MAX)).collect();
    hatchery::Array::new(array.dtype, shape, array.data).map(BinaryValue::Array)
}

fn attachment(value: BinaryValue) -> Result<v1::Attachment> {
    let value = match value {
        BinaryValue::Bytes(data) => Value::Bytes(data),
        BinaryValue::Arrow(data) => Value::Arrow(data),
        BinaryValue::Array(array) => Value::Array(v1::Array {
            dtype: array.dtype().to_owned(),
            shape: array.shape().iter().map(|length| *length as u64).collect(),
            data: array.data().clone(),
        }),
        _ => return Err(Error::new(ErrorKind::Internal, "a kind of binary value that gRPC has no message for")),
    };
    Ok(v1::Attachment { value: Some(value) })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(json: &'static str, values: Vec<Value>) -> Option<v1::Payload> {
        let attachments = values.into_iter().map(|value| v1::Attachment { value: Some(value) }).collect();
        Some(v1::Payload { json: Bytes::from_static(json.as_bytes()), mark: "m".into(), attachments })
    }

    #[test]
    fn what_is_read_is_written_the_same_but_for_the_mark() {
        let array = v1::Array { dtype: "<u2".into(), shape: vec![1, 2], data: Bytes::from_static(&[1, 0, 2, 0]) };
        let values = vec![Value::Array(array), Value::Bytes("b".into()), Value::Arrow("a".into())];
        let sent = message(r#"[{"m":0},{"m":1},{"m":2}]"#, values);
        let came = write(&read(sent.clone()).unwrap()).unwrap();
        assert_eq!(came.attachments, sent.clone().unwrap().attachments);
        let text = String::from_utf8(came.json.to_vec()).unwrap();
        assert_eq!(text.replace(&came.mark, "m"), sent.unwrap().json);
    }

    #[test]
    fn nothing_is_no_arguments() {
        for nothing in [None, Some(v1::Payload::default())] {
            assert_eq!(read(nothing).unwrap().to_json_text().unwrap(), "{}");
        }
    }

    #[test]
    fn what_is_no_value_is_named() {
        let array = |shape: Vec<u64>| Value::Array(v1::Array { dtype: "<u2".into(), shape, data: "ab".into() });
        let said = |values| read(message(r#"[{"m":0}]"#, values)).unwrap_err().message().to_owned();
        assert_eq!(said(vec![array(vec![2])]), "attachment 0: shape [2] of <u2 takes 4 bytes, there are 2");
        assert!(said(vec![array(vec![u64::MAX, 2])]).contains("larger than memory"));
        let none = Some(v1::Payload { attachments: vec![v1::Attachment::default()], ..Default::default() });
        assert!(read(none).unwrap_err().message().contains("found nothing"));
    }
}
