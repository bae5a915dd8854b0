//! Arrays as NumPy writes them to files (NEP 1): a magic word, a Python literal that says what follows, and the items.

use bytes::Bytes;
use hatchery::{Array, Error, ErrorKind, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The items begin at a multiple of this, so that a reader can map them.
const ALIGNMENT: usize = 64;

/// Reads a file that `numpy.save` has written. The items are not copied.
///
/// # Errors
/// `validation` for anything else, for an array in Fortran order, and for items that are not plain numbers.
pub(super) fn read(file: &Bytes) -> Result<Array> {
    let (header, items) = split(file).ok_or_else(|| wrong("expected what numpy.save writes, of version 1 to 3"))?;
    let dtype = text(header, "descr").ok_or_else(|| wrong("expected items of one plain type, like '<f4'"))?;
    let shape = shape(header).ok_or_else(|| wrong("expected a shape, like (2, 3)"))?;
    match value(header, "fortran_order") {
        Some(order) if order.starts_with("False") => {
            Array::new(dtype, shape, items).map_err(|error| wrong(error.message()))
        }
        _ => Err(wrong("expected an array in C order; numpy.ascontiguousarray makes one")),
    }
}

/// Writes one that `numpy.load` reads.
pub(super) fn write(array: &Array) -> Vec<u8> {
    let mut shape: String = array.shape().iter().map(|length| format!("{length}, ")).collect();
    if array.shape().len() > 1 {
        shape.truncate(shape.len() - 2);
    }
    let mut header =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", array.dtype(), shape.trim_end());
    let prefix = MAGIC.len() + 2 + 4;
    let unpadded = prefix + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    header.push('\n');
    // Version 2 has room for a header of any length.
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes();
    [MAGIC, &[2, 0], &length, header.as_bytes(), array.data()].concat()
}

/// The header, and what follows it.
fn split(file: &Bytes) -> Option<(&str, Bytes)> {
    let rest = file.strip_prefix(MAGIC)?;
    let (length, start): (usize, usize) = match rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
        _ => return None,
    };
    let header = rest.get(start..start.checked_add(length)?)?;
    let header = std::str::from_utf8(header).ok()?;
    Some((header, file.slice(MAGIC.len() + start + length..)))
}

/// What stands behind a key, to the end of the header.
fn value<'t>(header: &'t str, key: &str) -> Option<&'t str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    rest.trim_start().strip_prefix(':').map(str::trim_start)
}

fn text<'t>(header: &'t str, key: &str) -> Option<&'t str> {
    value(header, key)?.strip_prefix('\'')?.split_once('\'').map(|(text, _)| text)
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let (lengths, _) = value(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    let lengths = lengths.split(',').map(str::trim).filter(|length| !length.is_empty());
    lengths.map(|length| length.parse().ok()).collect()
}

fn wrong(found: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("application/x-npy: {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `numpy.save` writes it.
    fn file(header: &str, items: &[u8]) -> Bytes {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), items].concat().into()
    }

    #[test]
    fn what_is_written_is_read_again_and_lies_aligned() {
        for shape in [vec![], vec![3], vec![2, 3], vec![0, 4]] {
            let items = vec![1.5f32; shape.iter().product()];
            let array = Array::from_slice(&shape, &items).unwrap();
            let file = Bytes::from(write(&array));
            assert_eq!((file.len() - array.data().len()) % ALIGNMENT, 0);
            assert_eq!(read(&file).unwrap(), array);
        }
    }

    #[test]
    fn headers_are_those_of_numpy() {
        let header = |shape: &[usize], items: usize| {
            let file = write(&Array::from_slice(shape, &vec![0u8; items]).unwrap());
            let text = String::from_utf8_lossy(&file[12..]).into_owned();
            text.split_once('}').unwrap().0.to_owned()
        };
        assert_eq!(header(&[3], 3), "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), ");
        assert_eq!(header(&[2, 3], 6), "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), ");
        assert_eq!(header(&[], 1), "{'descr': '|u1', 'fortran_order': False, 'shape': (), ");
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 1), }          \n";
        let array = read(&file(header, &[1, 0, 2, 0])).unwrap();
        assert_eq!((array.dtype(), array.shape(), array.to_vec::<i16>().unwrap()), ("<i2", &[2, 1][..], vec![1, 2]));
    }

    #[test]
    fn anything_else_is_refused_and_nothing_panics() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        let wrong = [
            (header("'<f4'", "True", "(1,)"), "C order"),
            (header("'|O'", "False", "(1,)"), "`|O` is not"),
            (header("[('a', '<f4')]", "False", "(1,)"), "one plain type"),
            (header("'<f4'", "False", "(-1,)"), "a shape"),
            (header("'<f4'", "False", "(2,)"), "takes 8 bytes"),
            (header("'<f4'", "False", "(99999999999999999999,)"), "a shape"),
            (String::new(), "one plain type"),
        ];
        for (header, said) in wrong {
            let error = read(&file(&header, &[0; 4])).unwrap_err();
            assert!(error.message().contains(said), "{header}: {error}");
        }
        let whole = file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", &[0; 4]);
        for end in 0..whole.len() {
            assert!(read(&whole.slice(..end)).is_err(), "{end}");
        }
        assert!(read(&Bytes::from_static(b"\x93NUMPY\x02\0\xff\xff\xff\xff")).is_err());
    }
}
