//! A binary value that is passed on without being looked at.

use super::array::{Array, Binary, item_size};
use super::arrow::ArrowStream;
use super::attachment::{Attachment, DeviceArray};
use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerId;

/// A binary value in the result of a call, whatever it is: what is known of it, and a hold on it. It can be the type of a result
/// or stand anywhere in one, and anywhere in the arguments of other calls. To a worker of the same pool it goes without a copy.
///
/// The memory behind it, which may be its worker's, stays taken until the handle and whatever was made of it is dropped or
/// [closed](Handle::close). What lies in shared memory outlives its worker; what lies on a device does not.
///
/// ```no_run
/// # async fn example(pool: hatchery::Pool) -> hatchery::Result<()> {
/// use hatchery::Handle;
/// use std::collections::BTreeMap;
///
/// let features: Handle = pool.call("extract", serde_json::json!({ "path": "a.png" })).await?;
/// println!("{} bytes from {:?}", features.bytes(), features.owner());
/// let label: String = pool.call("classify", BTreeMap::from([("features", &features)])).await?;
/// features.close();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Handle {
    item: Attachment,
    origin: Option<(WorkerId, bool)>,
}

impl Handle {
    pub(super) fn received(item: Attachment, origin: Option<(WorkerId, bool)>) -> Handle {
        Handle { item, origin }
    }

    pub(super) fn item(&self) -> &Attachment {
        &self.item
    }

    /// `bytes`, `array`, `arrow` (an Arrow stream), or `cuda` (an array on a CUDA device).
    pub fn kind(&self) -> &'static str {
        match &self.item {
            Attachment::Bytes(_) => "bytes",
            Attachment::Array(_) => "array",
            Attachment::Arrow(_) => "arrow",
            Attachment::Device(_) => "cuda",
        }
    }

    /// Where it lies: `cpu`, or a device like `cuda:0`.
    pub fn device(&self) -> &str {
        match &self.item {
            Attachment::Device(array) => &array.device,
            _ => "cpu",
        }
    }

    /// NumPy's type string, of an array.
    pub fn dtype(&self) -> Option<&str> {
        match &self.item {
            Attachment::Array(array) => Some(array.dtype()),
            Attachment::Device(array) => Some(&array.dtype),
            Attachment::Bytes(_) | Attachment::Arrow(_) => None,
        }
    }

    /// The length of each dimension, of an array.
    pub fn shape(&self) -> Option<&[usize]> {
        match &self.item {
            Attachment::Array(array) => Some(array.shape()),
            Attachment::Device(array) => Some(&array.shape),
            Attachment::Bytes(_) | Attachment::Arrow(_) => None,
        }
    }

    /// The worker that it came from; `None` of a value of this process.
    pub fn owner(&self) -> Option<&WorkerId> {
        self.origin.as_ref().map(|(worker, _)| worker)
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        match &self.item {
            Attachment::Device(DeviceArray { dtype, shape, .. }) => {
                let items = shape.iter().fold(1u64, |items, &length| items.saturating_mul(length as u64));
                items.saturating_mul(item_size(dtype).unwrap_or(0) as u64)
            }
            item => item.data().len() as u64,
        }
    }

    /// Whether its bytes came through the pipe, and not by reference.
    pub fn is_copied(&self) -> bool {
        self.origin.as_ref().is_some_and(|(_, is_shared)| !is_shared)
    }

    /// Lets go of it now, as drop does.
    pub fn close(self) {}

    /// The array, without a copy.
    ///
    /// # Errors
    /// `validation`, if it is none, or lies on a device.
    pub fn to_array(&self) -> Result<Array> {
        match &self.item {
            Attachment::Array(array) => Ok(array.clone()),
            _ => Err(self.is_no("an array")),
        }
    }

    /// The bytes, without a copy: of an array in C order.
    ///
    /// # Errors
    /// `validation`, if it lies on a device.
    pub fn to_binary(&self) -> Result<Binary> {
        match &self.item {
            Attachment::Device(_) => Err(self.is_no("bytes")),
            item => Ok(Binary(item.data().clone())),
        }
    }

    /// The Arrow stream, without a copy.
    ///
    /// # Errors
    /// `validation`, if it is none.
    pub fn to_arrow(&self) -> Result<ArrowStream> {
        match &self.item {
            Attachment::Arrow(data) => Ok(ArrowStream(data.clone())),
            _ => Err(self.is_no("an Arrow stream")),
        }
    }

    fn is_no(&self, wanted: &str) -> Error {
        let message = format!("read a handle as {wanted}: it is of kind {} on {}", self.kind(), self.device());
        Error::new(ErrorKind::Validation, message)
    }
}

impl From<Array> for Handle {
    fn from(array: Array) -> Handle {
        Handle { item: Attachment::Array(array), origin: None }
    }
}

impl From<Binary> for Handle {
    fn from(binary: Binary) -> Handle {
        Handle { item: Attachment::Bytes(binary.0), origin: None }
    }
}

impl From<ArrowStream> for Handle {
    fn from(stream: ArrowStream) -> Handle {
        Handle { item: Attachment::Arrow(stream.0), origin: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Payload;

    #[test]
    fn a_handle_stands_anywhere_a_binary_value_does_and_copies_nothing() {
        let array = Array::from_slice(&[2], &[1.0f32, 2.0]).unwrap();
        let sent = Payload::encode(&BTreeMap::from([("a", Handle::from(array.clone()))])).unwrap();
        let came: BTreeMap<String, Handle> = sent.decode().unwrap();
        let handle = &came["a"];
        assert_eq!(
            (handle.kind(), handle.device(), handle.dtype(), handle.shape()),
            ("array", "cpu", Some("<f4"), Some(&[2][..]))
        );
        assert_eq!((handle.bytes(), handle.owner(), handle.is_copied()), (8, None, false));
        assert_eq!(handle.to_array().unwrap().data().as_ptr(), array.data().as_ptr());
        assert_eq!(handle.to_binary().unwrap().0, array.data());
        assert!(handle.to_arrow().unwrap_err().to_string().contains("it is of kind array on cpu"));
    }

    #[test]
    fn outside_of_a_payload_it_has_the_json_form_of_its_value() {
        let handle = Handle::from(Binary("x".into()));
        let json = serde_json::to_value(&handle).unwrap();
        assert_eq!(json, serde_json::json!({"$bytes": "eA=="}));
        assert_eq!(serde_json::from_value::<Handle>(json).unwrap(), handle);
    }

    #[test]
    fn an_array_on_a_device_is_named_by_a_handle_only() {
        let device = DeviceArray {
            dtype: "<f4".into(),
            shape: vec![2, 3],
            device: "cuda:0".into(),
            ipc: String::new(),
            held: bytes::Bytes::new(),
        };
        let handle = Handle::received(Attachment::Device(device), None);
        let payload = Payload::encode(&handle).unwrap();
        assert_eq!((payload.decode::<Handle>().unwrap().bytes(), handle.device()), (24, "cuda:0"));
        let error = payload.decode::<Array>().unwrap_err().to_string();
        assert!(error.contains("the array is on cuda:0: only a `Handle` can name it"), "{error}");
        assert!(payload.to_json().is_err() && payload.to_json_text().is_err() && handle.to_array().is_err());
    }
}
