//! Binary values beside a JSON text (`docs/design/wire.md` section 2.1): what is referred to, the table that describes
//! it, and the layout of the data section.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{WorkerId, random_u64};
use crate::memory::{ALIGNMENT, SegmentId};
use crate::value::array::Array;

static ZEROS: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];

/// The binary values that a JSON text refers to by index. Empty for nearly every call, and then it costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attachments(Option<Arc<Parts>>);

#[derive(Debug, PartialEq)]
struct Parts {
    mark: String,
    items: Vec<Attachment>,
    origin: Option<Origin>,
}

/// Where received items come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Origin {
    pub(crate) worker: WorkerId,
    /// Of each item, whether it lies in shared memory.
    pub(crate) shared: Vec<bool>,
}

/// One binary value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attachment {
    Bytes(Bytes),
    Array(Array),
    /// An Arrow IPC stream.
    Arrow(Bytes),
    Device(DeviceArray),
}

/// An array that is not in the memory of any process: its worker keeps it until `held` is dropped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceArray {
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    /// Like `cuda:0`.
    pub(crate) device: String,
    /// What another process needs to open it, in base64.
    pub(crate) ipc: String,
    /// No bytes.
    pub(crate) held: Bytes,
}

/// The number of no segment: places there are what the sender chose to call an array on a device.
pub(crate) const ON_DEVICE: SegmentId = 0;

/// Where an item lies in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    pub(crate) offset: u64,
}

/// Of each item, where it lies if it does not travel in the frame. Those that are missing at the end do.
pub(crate) type Places = [Option<Place>];

/// Where items in shared memory are looked up, by who reads a frame.
pub(crate) trait Shelf: std::fmt::Debug + Send + Sync {
    /// The bytes there, held until they are dropped; or why the sender had no right to speak of them.
    fn take(&self, place: Place, length: u64) -> Result<Bytes, String>;
    /// Who sends.
    fn worker(&self) -> WorkerId;
}

impl Origin {
    /// Who sent this item, and whether it was by reference.
    pub(crate) fn of(&self, index: usize) -> Option<(WorkerId, bool)> {
        Some((self.worker.clone(), *self.shared.get(index)?))
    }
}

impl Attachment {
    pub(crate) fn data(&self) -> &Bytes {
        match self {
            Attachment::Bytes(data) | Attachment::Arrow(data) => data,
            Attachment::Array(array) => array.data(),
            Attachment::Device(array) => &array.held,
        }
    }
}

/// The key of the objects that stand for binary values in texts that this process writes. Random, so that no data of
/// users looks like it.
pub(crate) fn own_mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("$hy:{:016x}", random_u64()))
}

impl Attachments {
    /// What a text with [`own_mark`]s refers to.
    pub(crate) fn ours(items: Vec<Attachment>) -> Attachments {
        let mark = if items.is_empty() { String::new() } else { own_mark().to_owned() };
        Attachments::marked(mark, items, None)
    }

    fn marked(mark: String, items: Vec<Attachment>, origin: Option<Origin>) -> Attachments {
        Attachments((!items.is_empty()).then(|| Arc::new(Parts { mark, items, origin })))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The key of the objects that refer to the items; empty if there are no items.
    pub(crate) fn mark(&self) -> &str {
        self.0.as_ref().map_or("", |parts| &parts.mark)
    }

    pub(crate) fn items(&self) -> &[Attachment] {
        self.0.as_ref().map_or(&[], |parts| &parts.items)
    }

    /// Where the items come from, if a worker sent them.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.0.as_ref()?.origin.as_ref()
    }

    /// The bytes of the items that lie in shared memory.
    pub(crate) fn shared_bytes(&self) -> u64 {
        let is_shared = |index: usize| self.origin().is_some_and(|origin| origin.shared[index]);
        let lengths = self.items().iter().enumerate().filter(|(index, _)| is_shared(*index));
        lengths.map(|(_, item)| item.data().len() as u64).sum()
    }

    /// Reads a table and cuts its items out of the data section, or out of shared memory, without copying them.
    pub(crate) fn read(table: &[u8], data: &Bytes, shelf: Option<&dyn Shelf>) -> Result<Attachments, TableError> {
        let table: Table<'_> = serde_json::from_slice(table)?;
        if table.mark.is_empty() {
            return Err(TableError::NoMark);
        }
        let mut end = 0;
        let mut items = Vec::new();
        let mut shared = Vec::new();
        for (index, row) in table.items.into_iter().enumerate() {
            let bytes = match row.segment {
                None if row.is_on_device() => device_held(index, shelf, &row)?,
                Some(segment) => taken(index, shelf, Place { segment, offset: row.offset }, row.length)?,
                None => {
                    let range = row.range(data.len()).ok_or_else(|| row.past(index, data.len()))?;
                    check_start(index, end, range.start, data)?;
                    end = range.end;
                    data.slice(range)
                }
            };
            shared.push(row.segment.is_some() || row.is_on_device());
            items.push(row.attachment(index, bytes)?);
        }
        check_zeros(items.len(), end, data.len(), data)?;
        let origin = shelf.map(|shelf| Origin { worker: shelf.worker(), shared });
        Ok(Attachments::marked(table.mark.into_owned(), items, origin))
    }

    /// As they are to be sent.
    pub(crate) fn laid<'a>(&'a self, places: &'a Places) -> Laid<'a> {
        Laid { attachments: self, places }
    }
}

/// Binary values, and where each of them is to lie.
pub(crate) struct Laid<'a> {
    attachments: &'a Attachments,
    places: &'a Places,
}

impl Laid<'_> {
    /// Appends the table to a frame under construction. Nothing, if there are no items.
    pub(crate) fn write_table(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        if self.attachments.is_empty() {
            return Ok(());
        }
        let items = self.layout().map(|(at, item)| Row::of(item, at)).collect();
        serde_json::to_writer(out, &Table { mark: self.attachments.mark().into(), items })
    }

    /// Whether one is on a device and has no number there, without which its receiver could not give it back.
    pub(crate) fn has_homeless(&self) -> bool {
        self.in_frame().any(|(_, item)| matches!(item, Attachment::Device(_)))
    }

    /// The length of the data section.
    pub(crate) fn data_length(&self) -> u64 {
        self.in_frame().last().map_or(0, |(offset, item)| offset + item.data().len() as u64)
    }

    /// The data section, as parts to be written one after another. The items are not copied.
    pub(crate) fn data(&self) -> Vec<Bytes> {
        let mut end = 0;
        let mut parts = Vec::with_capacity(self.attachments.items().len() * 2);
        for (offset, item) in self.in_frame() {
            parts.push(Bytes::from_static(&ZEROS[..(offset - end) as usize]));
            parts.push(item.data().clone());
            end = offset + item.data().len() as u64;
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Each item of the data section, with its offset there.
    fn in_frame(&self) -> impl Iterator<Item = (u64, &Attachment)> {
        self.layout().filter_map(|(at, item)| match at {
            At::Data(offset) => Some((offset, item)),
            At::Shared(_) => None,
        })
    }

    /// Each item with its place. An empty item of the data section still moves the next one on, because offsets rise.
    fn layout(&self) -> impl Iterator<Item = (At, &Attachment)> {
        let mut next = 0;
        self.attachments.items().iter().enumerate().map(move |(index, item)| {
            if let Some(place) = self.places.get(index).copied().flatten() {
                return (At::Shared(place), item);
            }
            let offset = next;
            next += (item.data().len() as u64).max(1).next_multiple_of(ALIGNMENT);
            (At::Data(offset), item)
        })
    }
}

enum At {
    Data(u64),
    Shared(Place),
}

fn device_held(index: usize, shelf: Option<&dyn Shelf>, row: &Row) -> Result<Bytes, TableError> {
    if row.length > 0 {
        return Err(TableError::Shared { index, problem: "an array on a device has a length".to_owned() });
    }
    looked_up(index, shelf, Place { segment: ON_DEVICE, offset: row.offset }, 0)
}

fn taken(index: usize, shelf: Option<&dyn Shelf>, place: Place, length: u64) -> Result<Bytes, TableError> {
    if !place.offset.is_multiple_of(ALIGNMENT) {
        return Err(TableError::Unaligned { index, offset: place.offset });
    }
    looked_up(index, shelf, place, length)
}

fn looked_up(index: usize, shelf: Option<&dyn Shelf>, place: Place, length: u64) -> Result<Bytes, TableError> {
    let none = || Err("no memory is shared on this channel".to_owned());
    let taken = shelf.map_or_else(none, |shelf| shelf.take(place, length));
    taken.map_err(|problem| TableError::Shared { index, problem })
}

/// An item must not begin inside the one before it, and what lies between them is zeros.
fn check_start(index: usize, end: usize, start: usize, data: &[u8]) -> Result<(), TableError> {
    if !(start as u64).is_multiple_of(ALIGNMENT) {
        return Err(TableError::Unaligned { index, offset: start as u64 });
    }
    if start < end {
        return Err(TableError::Overlap { index, offset: start, end });
    }
    check_zeros(index, end, start, data)
}

fn check_zeros(index: usize, from: usize, to: usize, data: &[u8]) -> Result<(), TableError> {
    match data[from..to].iter().position(|&byte| byte != 0) {
        Some(at) => Err(TableError::Gap { index, at: from + at }),
        None => Ok(()),
    }
}

#[derive(Serialize, Deserialize)]
struct Table<'a> {
    #[serde(borrow)]
    mark: std::borrow::Cow<'a, str>,
    items: Vec<Row>,
}

/// One item: what it is, then where it lies.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    what: What,
    /// `None`: in the data section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<SegmentId>,
    offset: u64,
    length: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum What {
    Bytes,
    Array { dtype: String, shape: Vec<usize> },
    Arrow,
    Cuda { dtype: String, shape: Vec<usize>, device: String, ipc: String },
}

impl Row {
    fn of(item: &Attachment, at: At) -> Row {
        let what = match item {
            Attachment::Bytes(_) => What::Bytes,
            Attachment::Array(array) => What::Array { dtype: array.dtype().to_owned(), shape: array.shape().to_vec() },
            Attachment::Arrow(_) => What::Arrow,
            Attachment::Device(DeviceArray { dtype, shape, device, ipc, .. }) => {
                What::Cuda { dtype: dtype.clone(), shape: shape.clone(), device: device.clone(), ipc: ipc.clone() }
            }
        };
        let (segment, offset) = match at {
            At::Data(offset) => (None, offset),
            At::Shared(place) => (Some(place.segment).filter(|&segment| segment != ON_DEVICE), place.offset),
        };
        Row { what, segment, offset, length: item.data().len() as u64 }
    }

    /// Where the item lies, if that is inside a data section of this length.
    fn range(&self, data: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.length).ok()?)?;
        (end <= data).then_some(start..end)
    }

    fn is_on_device(&self) -> bool {
        matches!(self.what, What::Cuda { .. })
    }

    fn past(&self, index: usize, data: usize) -> TableError {
        TableError::Past { index, offset: self.offset, length: self.length, data }
    }

    fn attachment(self, index: usize, data: Bytes) -> Result<Attachment, TableError> {
        match self.what {
            What::Bytes => Ok(Attachment::Bytes(data)),
            What::Arrow => Ok(Attachment::Arrow(data)),
            What::Cuda { dtype, shape, device, ipc } => {
                Ok(Attachment::Device(DeviceArray { dtype, shape, device, ipc, held: data }))
            }
            What::Array { dtype, shape } => Array::new(dtype, shape, data)
                .map(Attachment::Array)
                .map_err(|error| TableError::Array { index, problem: error.to_string() }),
        }
    }
}

/// What is wrong with a table or with the data section that it describes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("a data section of {data} bytes came without a table")]
    Missing { data: u64 },
    #[error("the table is not one: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the table's mark is empty")]
    NoMark,
    #[error("item {index} (offset {offset}, length {length}) reaches past the {data} bytes of data")]
    Past { index: usize, offset: u64, length: u64, data: usize },
    #[error("item {index} starts at {offset}, which is not a multiple of {ALIGNMENT}")]
    Unaligned { index: usize, offset: u64 },
    #[error("item {index} starts at {offset}, before the end of the item in front of it at {end}")]
    Overlap { index: usize, offset: usize, end: usize },
    #[error("the gap before item {index} is not zeros: byte {at} of the data section is set")]
    Gap { index: usize, at: usize },
    #[error("item {index}: {problem}")]
    Array { index: usize, problem: String },
    #[error("item {index}: {problem}")]
    Shared { index: usize, problem: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &str, data: &'static [u8]) -> Result<Attachments, TableError> {
        Attachments::read(
            format!(r#"{{"mark":"$hy:1","items":[{items}]}}"#).as_bytes(),
            &Bytes::from_static(data),
            None,
        )
    }

    #[test]
    fn what_is_laid_out_reads_back_the_same_even_after_empty_items() {
        let items = [&b""[..], b"", b"abc", &[7; 200], b"", b"z"];
        let sent = Attachments::ours(items.iter().map(|data| Attachment::Bytes((*data).into())).collect());
        let mut table = Vec::new();
        let laid = sent.laid(&[]);
        laid.write_table(&mut table).unwrap();
        let data: Bytes = laid.data().concat().into();
        assert_eq!(data.len() as u64, laid.data_length());
        assert_eq!(Attachments::read(&table, &data, None).unwrap(), sent);
    }

    #[test]
    fn a_last_item_that_is_empty_lies_inside_the_data_section() {
        let sent = Attachments::ours(vec![Attachment::Bytes("x".into()), Attachment::Bytes(Bytes::new())]);
        assert_eq!((sent.laid(&[]).data_length(), sent.laid(&[]).data().concat().len()), (64, 64));
    }

    #[test]
    fn a_gap_that_is_not_zeros_is_refused() {
        let mut data = [0; 65];
        data[2] = 9;
        let data: &'static [u8] = Box::leak(Box::new(data));
        let items = r#"{"kind":"bytes","offset":0,"length":2},{"kind":"bytes","offset":64,"length":1}"#;
        assert!(matches!(read(items, data), Err(TableError::Gap { index: 1, at: 2 })));
        let items = r#"{"kind":"bytes","offset":0,"length":2}"#;
        assert!(matches!(read(items, data), Err(TableError::Gap { index: 1, at: 2 })));
    }

    #[test]
    fn an_array_whose_size_overflows_is_refused() {
        let items = r#"{"kind":"array","dtype":"<f8","shape":[4294967296,4294967296,2],"offset":0,"length":0}"#;
        assert!(matches!(read(items, b""), Err(TableError::Array { index: 0, .. })));
    }
}
