//! How [`Array`] and [`Binary`] meet serde. While a payload is encoded or decoded on this thread they are references to
//! attachments; at any other time they are the JSON forms `{"$array": …}` and `{"$bytes": …}`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::thread::LocalKey;

use base64::Engine;
use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::WorkerId;
use crate::value::array::{Array, Binary};
use crate::value::arrow::ArrowStream;
use crate::value::attachment::{Attachment, Attachments, DeviceArray, own_mark};
use crate::value::handle::Handle;

pub(super) const BYTES: &str = "$bytes";
pub(super) const ARRAY: &str = "$array";

thread_local! {
    static COLLECTED: RefCell<Option<Vec<Attachment>>> = const { RefCell::new(None) };
    static SOURCE: RefCell<Option<Attachments>> = const { RefCell::new(None) };
}

/// Runs `work`, and returns the binary values that were serialised in it, in the order of their indices.
pub(super) fn collecting<R>(work: impl FnOnce() -> R) -> (R, Vec<Attachment>) {
    let _outer = Held::replace(&COLLECTED, Vec::new());
    let result = work();
    (result, COLLECTED.take().unwrap_or_default())
}

/// Runs `work`, in which references are read as these attachments.
pub(super) fn drawing_from<R>(attachments: &Attachments, work: impl FnOnce() -> R) -> R {
    let _outer = Held::replace(&SOURCE, attachments.clone());
    work()
}

/// What a thread-local held before, given back on drop: after a panic in a user's serde code too, and inside another
/// payload that such code makes.
struct Held<T: 'static> {
    slot: &'static LocalKey<RefCell<Option<T>>>,
    outer: Option<T>,
}

impl<T> Held<T> {
    fn replace(slot: &'static LocalKey<RefCell<Option<T>>>, inner: T) -> Held<T> {
        Held { slot, outer: slot.replace(Some(inner)) }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.slot.replace(self.outer.take());
    }
}

/// The index of a new attachment, if there is a payload under construction.
fn collect(item: impl FnOnce() -> Attachment) -> Option<usize> {
    COLLECTED.with_borrow_mut(|collected| {
        let items = collected.as_mut()?;
        items.push(item());
        Some(items.len() - 1)
    })
}

fn single<S: Serializer>(serializer: S, key: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reference_or_form(&Attachment::Bytes(self.0.clone()), serializer)
    }
}

impl Serialize for Array {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reference_or_form(&Attachment::Array(self.clone()), serializer)
    }
}

impl Serialize for ArrowStream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reference_or_form(&Attachment::Arrow(self.0.clone()), serializer)
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reference_or_form(self.item(), serializer)
    }
}

fn reference_or_form<S: Serializer>(item: &Attachment, serializer: S) -> Result<S::Ok, S::Error> {
    match collect(|| item.clone()) {
        Some(index) => single(serializer, own_mark(), &index),
        None => JsonForm(item).serialize(serializer),
    }
}

/// A binary value in its JSON form, whether or not a payload is under construction.
pub(super) struct JsonForm<'a>(pub(super) &'a Attachment);

impl Serialize for JsonForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Attachment::Bytes(data) | Attachment::Arrow(data) => single(serializer, BYTES, &to_base64(data)),
            Attachment::Device(array) => Err(S::Error::custom(on_device(array))),
            Attachment::Array(array) => single(serializer, ARRAY, &ArrayForm::of(array)),
        }
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Binary, D::Error> {
        match read(deserializer, "bytes")?.item {
            Attachment::Bytes(data) => Ok(Binary(data)),
            // Whoever has no use for Arrow can still pass the stream on.
            Attachment::Arrow(data) => Ok(Binary(data)),
            Attachment::Array(_) => Err(D::Error::custom("expected bytes, found an array")),
            Attachment::Device(array) => Err(D::Error::custom(on_device(&array))),
        }
    }
}

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Array, D::Error> {
        match read(deserializer, "an array")?.item {
            Attachment::Array(array) => Ok(array),
            Attachment::Bytes(_) => Err(D::Error::custom("expected an array, found bytes")),
            Attachment::Arrow(_) => Err(D::Error::custom("expected an array, found an Arrow stream")),
            Attachment::Device(array) => Err(D::Error::custom(on_device(&array))),
        }
    }
}

impl<'de> Deserialize<'de> for ArrowStream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ArrowStream, D::Error> {
        match read(deserializer, "an Arrow stream")?.item {
            Attachment::Arrow(data) | Attachment::Bytes(data) => Ok(ArrowStream(data)),
            Attachment::Array(_) => Err(D::Error::custom("expected an Arrow stream, found an array")),
            Attachment::Device(array) => Err(D::Error::custom(on_device(&array))),
        }
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
        let Found { item, origin } = read(deserializer, "a binary value")?;
        Ok(Handle::received(item, origin))
    }
}

/// A binary value, the worker that sent it, and whether that was by reference.
struct Found {
    item: Attachment,
    origin: Option<(WorkerId, bool)>,
}

fn read<'de, D: Deserializer<'de>>(deserializer: D, wanted: &'static str) -> Result<Found, D::Error> {
    deserializer.deserialize_map(Forms { wanted, lifetime: PhantomData })
}

/// Reads an object with one key: a reference, or one of the JSON forms.
struct Forms<'de> {
    wanted: &'static str,
    lifetime: PhantomData<&'de ()>,
}

impl<'de> Visitor<'de> for Forms<'de> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut origin = None;
        let Some(key) = map.next_key::<String>()? else { return Err(A::Error::invalid_length(0, &self)) };
        let item = match key.as_str() {
            BYTES => map.next_value::<BytesForm>()?.0.map(Attachment::Bytes).map_err(A::Error::custom)?,
            ARRAY => map.next_value::<ArrayForm<'_>>()?.array().map(Attachment::Array).map_err(A::Error::custom)?,
            key => SOURCE.with_borrow(|source| match source {
                Some(source) if source.mark() == key => {
                    let index = map.next_value()?;
                    origin = source.origin().and_then(|origin| origin.of(index));
                    referred(source, index)
                }
                _ => Err(A::Error::custom(format!("expected {}, found an object with the key {key:?}", self.wanted))),
            })?,
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(Found { item, origin }),
            Some(_) => {
                Err(A::Error::custom(format!("expected {}, found an object with more than one key", self.wanted)))
            }
        }
    }
}

/// The attachment with this index.
pub(super) fn referred<E: serde::de::Error>(source: &Attachments, index: usize) -> Result<Attachment, E> {
    let items = source.items();
    let missing = || E::custom(format!("the value refers to attachment {index}, and there are {}", items.len()));
    items.get(index).cloned().ok_or_else(missing)
}

/// The text in `{"$bytes": …}`, decoded.
struct BytesForm(Result<Bytes, String>);

impl<'de> Deserialize<'de> for BytesForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BytesForm, D::Error> {
        String::deserialize(deserializer).map(|text| BytesForm(from_base64(&text)))
    }
}

/// The object in `{"$array": …}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArrayForm<'a> {
    dtype: Cow<'a, str>,
    shape: Cow<'a, [usize]>,
    base64: Cow<'a, str>,
}

impl ArrayForm<'_> {
    fn of(array: &Array) -> ArrayForm<'_> {
        ArrayForm { dtype: array.dtype().into(), shape: array.shape().into(), base64: to_base64(array.data()).into() }
    }

    pub(super) fn array(self) -> Result<Array, String> {
        let data = from_base64(&self.base64)?;
        Array::new(self.dtype, self.shape.into_owned(), data).map_err(|error| error.to_string())
    }
}

pub(super) fn on_device(array: &DeviceArray) -> String {
    format!("the array is on {}: only a `Handle` can name it", array.device)
}

fn to_base64(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

pub(super) fn from_base64(text: &str) -> Result<Bytes, String> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map(Bytes::from).map_err(|error| format!("expected base64: {error}"))
}
