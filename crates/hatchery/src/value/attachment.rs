//! Binary values beside a JSON text (`docs/design/wire.md` section 2.1): what is referred to, the table that describes
//! it, and the layout of the data section.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::random_u64;
use crate::value::array::Array;

/// Every item of a data section starts at a multiple of this.
const ALIGNMENT: u64 = 64;
static ZEROS: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];

/// The binary values that a JSON text refers to by index. Empty for nearly every call, and then it costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attachments(Option<Arc<Parts>>);

#[derive(Debug, PartialEq)]
struct Parts {
    mark: String,
    items: Vec<Attachment>,
}

/// One binary value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attachment {
    Bytes(Bytes),
    Array(Array),
}

impl Attachment {
    pub(crate) fn data(&self) -> &Bytes {
        match self {
            Attachment::Bytes(data) => data,
            Attachment::Array(array) => array.data(),
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
        Attachments::marked(mark, items)
    }

    fn marked(mark: String, items: Vec<Attachment>) -> Attachments {
        Attachments((!items.is_empty()).then(|| Arc::new(Parts { mark, items })))
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

    /// Reads a table and cuts its items out of the data section, without copying them.
    pub(crate) fn read(table: &[u8], data: &Bytes) -> Result<Attachments, TableError> {
        let table: Table<'_> = serde_json::from_slice(table)?;
        if table.mark.is_empty() {
            return Err(TableError::NoMark);
        }
        let mut end = 0;
        let mut items = Vec::new();
        for (index, row) in table.items.into_iter().enumerate() {
            let range = row.range(data.len()).ok_or_else(|| row.past(index, data.len()))?;
            check_start(index, end, range.start, data)?;
            end = range.end;
            items.push(row.attachment(index, data.slice(range))?);
        }
        check_zeros(items.len(), end, data.len(), data)?;
        Ok(Attachments::marked(table.mark.into_owned(), items))
    }

    /// Appends the table to a frame under construction. Nothing, if there are no items.
    pub(crate) fn write_table(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        if self.is_empty() {
            return Ok(());
        }
        let items = self.layout().map(|(offset, item)| Row::of(item, offset)).collect();
        serde_json::to_writer(out, &Table { mark: self.mark().into(), items })
    }

    /// The length of the data section.
    pub(crate) fn data_length(&self) -> u64 {
        self.layout().last().map_or(0, |(offset, item)| offset + item.data().len() as u64)
    }

    /// The data section, as parts to be written one after another. The items are not copied.
    pub(crate) fn data(&self) -> Vec<Bytes> {
        let mut end = 0;
        let mut parts = Vec::with_capacity(self.items().len() * 2);
        for (offset, item) in self.layout() {
            parts.push(Bytes::from_static(&ZEROS[..(offset - end) as usize]));
            parts.push(item.data().clone());
            end = offset + item.data().len() as u64;
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Each item with its offset. An empty item still moves the next one on, because offsets rise.
    fn layout(&self) -> impl Iterator<Item = (u64, &Attachment)> {
        self.items().iter().scan(0, |next, item| {
            let offset = *next;
            *next += (item.data().len() as u64).max(1).next_multiple_of(ALIGNMENT);
            Some((offset, item))
        })
    }
}

/// An item must not begin inside the one before it, and what lies between them is zeros.
fn check_start(index: usize, end: usize, start: usize, data: &[u8]) -> Result<(), TableError> {
    if !(start as u64).is_multiple_of(ALIGNMENT) {
        return Err(TableError::Unaligned { index, offset: start });
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

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Row {
    Bytes { offset: u64, length: u64 },
    Array { dtype: String, shape: Vec<usize>, offset: u64, length: u64 },
}

impl Row {
    fn of(item: &Attachment, offset: u64) -> Row {
        let length = item.data().len() as u64;
        match item {
            Attachment::Bytes(_) => Row::Bytes { offset, length },
            Attachment::Array(array) => {
                Row::Array { dtype: array.dtype().to_owned(), shape: array.shape().to_vec(), offset, length }
            }
        }
    }

    fn place(&self) -> (u64, u64) {
        match *self {
            Row::Bytes { offset, length } | Row::Array { offset, length, .. } => (offset, length),
        }
    }

    /// Where the item lies, if that is inside a data section of this length.
    fn range(&self, data: usize) -> Option<std::ops::Range<usize>> {
        let (offset, length) = self.place();
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        (end <= data).then_some(start..end)
    }

    fn past(&self, index: usize, data: usize) -> TableError {
        let (offset, length) = self.place();
        TableError::Past { index, offset, length, data }
    }

    fn attachment(self, index: usize, data: Bytes) -> Result<Attachment, TableError> {
        match self {
            Row::Bytes { .. } => Ok(Attachment::Bytes(data)),
            Row::Array { dtype, shape, .. } => Array::new(dtype, shape, data)
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
    Unaligned { index: usize, offset: usize },
    #[error("item {index} starts at {offset}, before the end of the item in front of it at {end}")]
    Overlap { index: usize, offset: usize, end: usize },
    #[error("the gap before item {index} is not zeros: byte {at} of the data section is set")]
    Gap { index: usize, at: usize },
    #[error("item {index}: {problem}")]
    Array { index: usize, problem: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &str, data: &'static [u8]) -> Result<Attachments, TableError> {
        Attachments::read(format!(r#"{{"mark":"$hy:1","items":[{items}]}}"#).as_bytes(), &Bytes::from_static(data))
    }

    #[test]
    fn what_is_laid_out_reads_back_the_same_even_after_empty_items() {
        let items = [&b""[..], b"", b"abc", &[7; 200], b"", b"z"];
        let sent = Attachments::ours(items.iter().map(|data| Attachment::Bytes((*data).into())).collect());
        let mut table = Vec::new();
        sent.write_table(&mut table).unwrap();
        let data: Bytes = sent.data().concat().into();
        assert_eq!(data.len() as u64, sent.data_length());
        assert_eq!(Attachments::read(&table, &data).unwrap(), sent);
    }

    #[test]
    fn a_last_item_that_is_empty_lies_inside_the_data_section() {
        let sent = Attachments::ours(vec![Attachment::Bytes("x".into()), Attachment::Bytes(Bytes::new())]);
        assert_eq!((sent.data_length(), sent.data().concat().len()), (64, 64));
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
