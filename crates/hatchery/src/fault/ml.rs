//! What the errors of numeric libraries mean: shapes, devices, memory.
//!
//! The Python side reads the facts where the exception is and puts them into [`Error::details`]; what comes without them (from
//! other languages, other transports, older workers) is read here, from the message.

mod reading;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Device;
use crate::error::{Error, ErrorKind};

/// What an error is about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// Two shapes do not fit.
    ShapeMismatch(ShapeMismatch),
    /// Two tensors are on different devices, or a device is not there.
    DeviceMismatch(DeviceMismatch),
    /// There was no memory left.
    OutOfMemory(OutOfMemory),
    /// An exception of a type that has a name.
    Typed {
        /// `ValueError`, `app.QuotaExceeded`.
        python_type: String,
        /// Without the type in front.
        message: String,
    },
    /// Anything else.
    Generic {
        /// As it came.
        message: String,
    },
}

/// Two shapes that do not fit. What the message did not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShapeMismatch {
    /// What was wanted.
    pub expected: Option<Vec<u64>>,
    /// What came.
    pub got: Option<Vec<u64>>,
    /// The first dimension in which they differ, from 0.
    pub dimension: Option<u64>,
    /// The size wanted there.
    pub expected_dim: Option<u64>,
    /// The size that came.
    pub got_dim: Option<u64>,
    /// During what: `conv2d`.
    pub operation: Option<String>,
}

/// Things on devices that do not fit. What the message did not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceMismatch {
    /// The one that was wanted, or named first.
    #[serde(rename = "device")]
    pub expected: Option<Device>,
    /// The other one.
    #[serde(rename = "other_device")]
    pub got: Option<Device>,
    /// During what.
    pub operation: Option<String>,
}

/// A device without memory. What the message did not tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// Whose memory.
    pub device: Device,
    /// What was wanted at last, in bytes.
    #[serde(default)]
    pub requested_bytes: Option<u64>,
    /// What there was, in bytes.
    #[serde(default)]
    pub available_bytes: Option<u64>,
    /// During what.
    #[serde(default)]
    pub operation: Option<String>,
}

impl Diagnosis {
    /// Reads the facts of the error, or its message if it carries none.
    ///
    /// ```
    /// use hatchery::fault::Diagnosis;
    /// use hatchery::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Remote, "shape mismatch: expected [3, 224], got [3, 256]");
    /// let text = "shape mismatch: expected [3, 224], got [3, 256]: dimension 1 is 256 instead of 224";
    /// assert_eq!(Diagnosis::of(&error).to_string(), text);
    /// ```
    pub fn of(error: &Error) -> Diagnosis {
        let stated = error.details().and_then(Diagnosis::from_details);
        stated.unwrap_or_else(|| Diagnosis::parse(error.python_type(), error.message()))
    }

    /// Reads a message, in this order: shapes, memory, devices; then the type, the one given or the one that the text
    /// begins with (`ValueError: ...`).
    pub fn parse(python_type: Option<&str>, message: &str) -> Diagnosis {
        reading::shape_mismatch(message)
            .map(Diagnosis::ShapeMismatch)
            .or_else(|| reading::out_of_memory(message).map(Diagnosis::OutOfMemory))
            .or_else(|| reading::device_mismatch(message).map(Diagnosis::DeviceMismatch))
            .unwrap_or_else(|| Diagnosis::by_type(python_type, message))
    }

    /// Reads `{"type", "message"}`, the form in which workers of other makes report.
    ///
    /// # Errors
    /// `validation` if it is no object, or has no message.
    pub fn from_report(report: &Value) -> Result<Diagnosis, Error> {
        let text = |key: &str| report.get(key).and_then(Value::as_str);
        let Some(message) = text("message") else {
            return Err(Error::new(ErrorKind::Validation, "read an error report: not an object with a text `message`"));
        };
        Ok(Diagnosis::parse(text("type").filter(|name| !name.is_empty()), message))
    }

    /// Reads what [`Diagnosis::details`], or the Python side, wrote; `None` if it is something else.
    pub fn from_details(details: &Value) -> Option<Diagnosis> {
        match details.get("category")?.as_str()? {
            "shape_mismatch" => ShapeMismatch::deserialize(details).ok().map(Diagnosis::ShapeMismatch),
            "device_mismatch" => DeviceMismatch::deserialize(details).ok().map(Diagnosis::DeviceMismatch),
            "out_of_memory" => OutOfMemory::deserialize(details).ok().map(Diagnosis::OutOfMemory),
            _ => None,
        }
    }

    /// The facts for [`Error::with_details`], with `category` and, where there are any, `suggestions`; `None` for errors
    /// that have none.
    pub fn details(&self) -> Option<Value> {
        let (category, facts) = match self {
            Diagnosis::ShapeMismatch(facts) => ("shape_mismatch", serde_json::to_value(facts)),
            Diagnosis::DeviceMismatch(facts) => ("device_mismatch", serde_json::to_value(facts)),
            Diagnosis::OutOfMemory(facts) => ("out_of_memory", serde_json::to_value(facts)),
            Diagnosis::Typed { .. } | Diagnosis::Generic { .. } => return None,
        };
        let mut details = facts.ok()?;
        let fields = details.as_object_mut()?;
        fields.retain(|_, value| !value.is_null());
        fields.insert("category".into(), category.into());
        if !self.suggestions().is_empty() {
            fields.insert("suggestions".into(), self.suggestions().into());
        }
        Some(details)
    }

    /// What may help, the likeliest first.
    pub fn suggestions(&self) -> Vec<&'static str> {
        match self {
            Diagnosis::OutOfMemory(facts) => facts.suggestions(),
            _ => Vec::new(),
        }
    }

    /// The error with the facts of its message as details, if a tool raised it and it has no details yet.
    pub fn complete(error: Error) -> Error {
        if error.kind() != ErrorKind::Remote || error.details().is_some() {
            return error;
        }
        match Diagnosis::of(&error).details() {
            Some(details) => error.with_details(details),
            None => error,
        }
    }

    fn by_type(python_type: Option<&str>, message: &str) -> Diagnosis {
        let stated = python_type.map(|name| (name, message));
        match stated.or_else(|| reading::typed(message)) {
            Some((name, message)) => Diagnosis::Typed { python_type: name.into(), message: message.into() },
            None => Diagnosis::Generic { message: message.into() },
        }
    }
}

/// The numbers in the first brackets of a text that hold nothing else: `[3, 224, 224]`, `(10, 20)`.
///
/// ```
/// assert_eq!(hatchery::fault::extract_shape("torch.Size([10, 20])"), Some(vec![10, 20]));
/// assert_eq!(hatchery::fault::extract_shape("no shape"), None);
/// ```
pub fn extract_shape(text: &str) -> Option<Vec<u64>> {
    reading::bracketed(text).next().map(|(_, shape)| shape)
}

impl ShapeMismatch {
    /// Of two shapes: finds where they differ, if they have as many dimensions.
    pub fn between(expected: Vec<u64>, got: Vec<u64>) -> ShapeMismatch {
        let differs = (0u64..).zip(expected.iter().zip(&got)).find(|(_, (wanted, came))| wanted != came);
        let differs = differs.filter(|_| expected.len() == got.len()).map(|(at, (wanted, came))| (at, *wanted, *came));
        ShapeMismatch {
            dimension: differs.map(|(at, ..)| at),
            expected_dim: differs.map(|(_, wanted, _)| wanted),
            got_dim: differs.map(|(.., came)| came),
            expected: Some(expected),
            got: Some(got),
            operation: None,
        }
    }

    fn ranks(&self) -> Option<(usize, usize)> {
        let ranks = (self.expected.as_ref()?.len(), self.got.as_ref()?.len());
        (ranks.0 != ranks.1).then_some(ranks)
    }
}

impl OutOfMemory {
    fn suggestions(&self) -> Vec<&'static str> {
        let mut suggestions = vec![
            "use a smaller batch",
            "free what is no longer needed (del, gc.collect())",
            "use a smaller number type (float16, bfloat16)",
            "recompute instead of keeping (gradient checkpointing)",
        ];
        match self.device {
            Device::Cuda(_) | Device::Rocm(_) => suggestions.extend([
                "give cached memory back (torch.cuda.empty_cache())",
                "avoid fragments (PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True)",
            ]),
            Device::Mps => suggestions.push("lift the limit of the device (PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0)"),
            Device::Cpu | Device::Xpu(_) => {}
        }
        if self.is_far_too_much() {
            suggestions.extend(["split the model over several devices", "keep a part of it in the memory of the host"]);
        }
        suggestions
    }

    /// More than twice of what there is: no thrift will do.
    fn is_far_too_much(&self) -> bool {
        let far = |(requested, available): (u64, u64)| requested > available.saturating_mul(2);
        self.requested_bytes.zip(self.available_bytes).is_some_and(far)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diagnosis::ShapeMismatch(facts) => facts.fmt(f),
            Diagnosis::DeviceMismatch(facts) => facts.fmt(f),
            Diagnosis::OutOfMemory(facts) => facts.fmt(f),
            Diagnosis::Typed { python_type, message } => write!(f, "{python_type}: {message}"),
            Diagnosis::Generic { message } => f.write_str(message),
        }
    }
}

impl fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shape mismatch{}", during(self.operation.as_deref()))?;
        if let (Some(expected), Some(got)) = (&self.expected, &self.got) {
            write!(f, ": expected {expected:?}, got {got:?}")?;
        }
        match (self.dimension, self.expected_dim, self.got_dim, self.ranks()) {
            (Some(at), Some(wanted), Some(came), _) => write!(f, ": dimension {at} is {came} instead of {wanted}"),
            (.., Some((wanted, came))) => write!(f, ": {came} dimensions instead of {wanted}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for DeviceMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device mismatch{}", during(self.operation.as_deref()))?;
        match (self.expected, self.got) {
            (Some(expected), Some(got)) => write!(f, ": expected {expected}, got {got}"),
            (Some(device), None) | (None, Some(device)) => write!(f, ": {device}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory on {}{}", self.device, during(self.operation.as_deref()))?;
        match (self.requested_bytes, self.available_bytes) {
            (Some(wanted), Some(free)) => write!(f, ": {wanted} bytes requested, {free} bytes available"),
            (Some(wanted), None) => write!(f, ": {wanted} bytes requested"),
            (None, Some(free)) => write!(f, ": {free} bytes available"),
            (None, None) => Ok(()),
        }
    }
}

fn during(operation: Option<&str>) -> String {
    operation.map_or_else(String::new, |operation| format!(" in {operation}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(message: &str) -> String {
        Diagnosis::parse(None, message).to_string()
    }

    #[test]
    fn shapes() {
        let same_rank = "Shape mismatch in conv2d: expected [3, 224, 224], got [3, 256, 256]";
        let expected =
            "shape mismatch in conv2d: expected [3, 224, 224], got [3, 256, 256]: dimension 1 is 256 instead of 224";
        assert_eq!(told(same_rank), expected);
        let ranks = "ValueError: expected shape (2, 3) but got (2, 3, 4)";
        assert_eq!(told(ranks), "shape mismatch: expected [2, 3], got [2, 3, 4]: 3 dimensions instead of 2");
        let product = "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)";
        assert_eq!(told(product), "shape mismatch: expected [2, 3], got [4, 5]: dimension 0 is 4 instead of 2");
        let numpy = "operands could not be broadcast together with shapes (3,) (4,)";
        assert_eq!(told(numpy), "shape mismatch: expected [3], got [4]: dimension 0 is 4 instead of 3");
        let torch = "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1";
        assert_eq!(told(torch), "shape mismatch: dimension 1 is 4 instead of 3");
        assert_eq!(told("shape mismatch"), "shape mismatch");
        assert_eq!(told("the shape of things to come"), "the shape of things to come");
    }

    #[test]
    fn memory() {
        let torch = "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 1; 8.00 GiB total capacity; 512.00 MiB free)";
        let expected = "out of memory on cuda:1: 2147483648 bytes requested, 536870912 bytes available";
        assert_eq!(told(torch), expected);
        let numpy = "Unable to allocate 7 GB for the array";
        assert_eq!(told(numpy), "out of memory on cpu in array: 7516192768 bytes requested");
        assert_eq!(
            told("MPS backend out of memory on mps (available: 3 MB)"),
            "out of memory on mps: 3145728 bytes available"
        );
        assert_eq!(told("CUDA out of memory, falling back to cpu"), "out of memory on cuda");
        assert_eq!(told("worker hit OOM"), "out of memory on cpu");
        assert_eq!(told("no more room"), "no more room");
    }

    #[test]
    fn devices() {
        let torch = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!";
        assert_eq!(told(torch), "device mismatch: expected cuda:0, got cpu");
        let named = "device mismatch during matmul: expected cuda:1";
        assert_eq!(told(named), "device mismatch in matmul: cuda:1");
        assert_eq!(told("device expected"), "device mismatch");
    }

    #[test]
    fn everything_else_goes_by_its_type() {
        let typed = |name: &str, message: &str| Diagnosis::Typed { python_type: name.into(), message: message.into() };
        assert_eq!(Diagnosis::parse(Some("app.Quota"), "none left"), typed("app.Quota", "none left"));
        assert_eq!(Diagnosis::parse(None, "KeyError: 'a'"), typed("KeyError", "'a'"));
        assert_eq!(Diagnosis::parse(None, "note: a"), Diagnosis::Generic { message: "note: a".into() });
        assert_eq!(
            Diagnosis::from_report(&json!({"type": "IndexError", "message": "m"})).unwrap(),
            typed("IndexError", "m")
        );
        for report in [json!(null), json!("text"), json!({"type": "ValueError"})] {
            assert_eq!(Diagnosis::from_report(&report).unwrap_err().kind(), ErrorKind::Validation);
        }
    }

    #[test]
    fn suggestions_are_for_the_device_and_the_want() {
        let count = |device, requested, available| {
            let (requested_bytes, available_bytes) = (Some(requested), Some(available));
            OutOfMemory { device, requested_bytes, available_bytes, operation: None }.suggestions().len()
        };
        let (cuda, far) = (Device::Cuda(Some(0)), (21, 10));
        assert_eq!([count(Device::Cpu, 20, 10), count(cuda, 20, 10), count(Device::Mps, 20, 10)], [4, 6, 5]);
        assert_eq!([count(Device::Cpu, far.0, far.1), count(cuda, far.0, far.1), count(Device::Mps, 1, 0)], [6, 8, 7]);
    }

    #[test]
    fn details_can_be_read_again_and_beat_the_message() {
        for message in ["expected shape [1], got [2]", "CUDA out of memory", "same device: cuda:0 and cpu"] {
            let read = Diagnosis::parse(None, message);
            assert_eq!(Diagnosis::from_details(&read.details().unwrap()), Some(read.clone()), "{message}");
            let error = Error::new(ErrorKind::Remote, "something else").with_details(read.details().unwrap());
            assert_eq!(Diagnosis::of(&error), read);
        }
        // As `hatchery/facts.py` writes it.
        let python = json!({"category": "device_mismatch", "device": "cuda:0", "other_device": "cpu"});
        assert_eq!(Diagnosis::from_details(&python).unwrap().details().unwrap(), python);
    }

    #[test]
    fn only_what_a_tool_raised_without_facts_is_completed() {
        let complete = |error: Error| Diagnosis::complete(error).details().cloned();
        let facts = complete(Error::new(ErrorKind::Remote, "out of memory: allocate 1 GB")).unwrap();
        assert_eq!((&facts["category"], &facts["requested_bytes"]), (&json!("out_of_memory"), &json!(1 << 30)));
        assert_eq!(facts["suggestions"].as_array().unwrap().len(), 4);
        assert_eq!(complete(Error::new(ErrorKind::Internal, "out of memory")), None);
        let stated = Error::new(ErrorKind::Remote, "out of memory").with_details(json!({"a": 1}));
        assert_eq!(complete(stated), Some(json!({"a": 1})));
        assert_eq!(complete(Error::new(ErrorKind::Remote, "no")), None);
    }
}
