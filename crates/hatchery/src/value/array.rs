//! Binary values with a name in Rust: [`Array`] and [`Binary`]. How they travel is in `attachment` and `json`.

use std::borrow::Cow;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::memory::Buffer;

/// An n-dimensional array of numbers: C order, little-endian, cheap to clone.
///
/// As an argument or a result of a call it travels beside the JSON, without being copied into it. In any other JSON
/// it is `{"$array": {"dtype", "shape", "base64"}}`.
///
/// ```
/// use hatchery::Array;
/// let image = Array::from_slice(&[2, 3], &[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert_eq!((image.dtype(), image.shape()), ("<f4", &[2, 3][..]));
/// assert_eq!(image.to_vec::<f32>()?[4], 4.0);
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    dtype: String,
    shape: Vec<usize>,
    data: Bytes,
}

/// Bytes without a shape: a picture file, a pickle. Cheap to clone.
///
/// As an argument or a result of a call they travel beside the JSON, without being copied into it. In any other JSON
/// they are `{"$bytes": base64}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binary(pub Bytes);

impl Array {
    /// An array over bytes that are already there. `dtype` is NumPy's type string, like `<f4`, `|u1`, `<i8`.
    ///
    /// # Errors
    /// `validation`, if `dtype` has no fixed size or the shape does not make up the length of `data`.
    pub fn new(dtype: impl Into<String>, shape: Vec<usize>, data: Bytes) -> Result<Array> {
        let dtype = dtype.into();
        let Some(item) = item_size(&dtype) else {
            return Err(invalid(format!("`{dtype}` is not the type string of a number of fixed size, like `<f4`")));
        };
        match byte_length(&shape, item) {
            Some(length) if length == data.len() => Ok(Array { dtype, shape, data }),
            Some(length) => {
                Err(invalid(format!("shape {shape:?} of {dtype} takes {length} bytes, there are {}", data.len())))
            }
            None => Err(invalid(format!("shape {shape:?} of {dtype} is larger than memory can be"))),
        }
    }

    /// An array of these items, which are copied.
    ///
    /// # Errors
    /// `validation`, if the shape does not make up their number.
    pub fn from_slice<E: Element>(shape: &[usize], items: &[E]) -> Result<Array> {
        let mut data = Vec::with_capacity(size_of_val(items));
        E::write(items, &mut data);
        Array::new(E::DTYPE, shape.to_vec(), data.into())
    }

    /// An array over a buffer that was filled, without a copy. `dtype` as in [`Array::new`].
    ///
    /// # Errors
    /// `validation`, if `dtype` has no fixed size or the shape does not make up the length of the buffer.
    pub fn from_buffer(dtype: impl Into<String>, shape: Vec<usize>, buffer: Buffer) -> Result<Array> {
        Array::new(dtype, shape, buffer.freeze())
    }

    /// The items, in C order: where they are, if that is where such numbers may lie, as in shared memory; else a copy.
    ///
    /// # Errors
    /// `validation`, if the array holds items of another type. Nothing is converted.
    pub fn numbers<E: Number>(&self) -> Result<Cow<'_, [E]>> {
        self.check_holds::<E>()?;
        match bytemuck::try_cast_slice(&self.data) {
            Ok(items) if IS_LITTLE_ENDIAN => Ok(Cow::Borrowed(items)),
            _ => Ok(Cow::Owned(E::read(&self.data))),
        }
    }

    /// The items, in C order, copied.
    ///
    /// # Errors
    /// `validation`, if the array holds items of another type. Nothing is converted.
    pub fn to_vec<E: Element>(&self) -> Result<Vec<E>> {
        self.check_holds::<E>()?;
        Ok(E::read(&self.data))
    }

    fn check_holds<E: Element>(&self) -> Result<()> {
        if self.dtype == E::DTYPE {
            return Ok(());
        }
        Err(invalid(format!("the array holds `{}`, not `{}`", self.dtype, E::DTYPE)))
    }

    /// NumPy's type string, like `<f4`.
    pub fn dtype(&self) -> &str {
        &self.dtype
    }

    /// The length of each dimension, the outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes, in C order.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

impl Buffer {
    /// The bytes as numbers, to be filled in C order, before [`Array::from_buffer`].
    ///
    /// # Errors
    /// `validation`, if the length is no multiple of a number's; on a machine that is not little-endian, as arrays are.
    pub fn numbers_mut<E: Number>(&mut self) -> Result<&mut [E]> {
        let length = self.len();
        let numbers = bytemuck::try_cast_slice_mut(self).ok().filter(|_| IS_LITTLE_ENDIAN);
        numbers.ok_or_else(|| invalid(format!("{length} bytes are no numbers of type {}", E::DTYPE)))
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Binary {
        Binary(bytes.into())
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

/// Whether numbers lie in memory as they lie in an array.
const IS_LITTLE_ENDIAN: bool = cfg!(target_endian = "little");

/// Bytes of one item of a NumPy type string, if it is of a kind whose items are plain bytes (objects are not).
pub(super) fn item_size(dtype: &str) -> Option<usize> {
    let mut letters = dtype.chars();
    let (order, kind) = (letters.next()?, letters.next()?);
    let digits = match letters.as_str() {
        time if matches!(kind, 'm' | 'M') => without_unit(time)?,
        size => size,
    };
    let known =
        matches!(order, '<' | '>' | '|') && matches!(kind, 'b' | 'i' | 'u' | 'f' | 'c' | 'm' | 'M' | 'S' | 'U' | 'V');
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    let count: usize = digits.parse().ok().filter(|_| known && plain)?;
    count.checked_mul(if kind == 'U' { 4 } else { 1 })
}

/// Of `8[ns]`, the 8. What NumPy does not write, workers do not read.
fn without_unit(time: &str) -> Option<&str> {
    let Some((size, unit)) = time.split_once('[') else { return Some(time) };
    let unit = unit.strip_suffix(']')?;
    let is_word = !unit.is_empty() && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then_some(size)
}

fn byte_length(shape: &[usize], item: usize) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(item, |length, &dimension| length.checked_mul(dimension))
}

/// A Rust type that an [`Array`] can be made of and read as. Sealed: the numbers and `bool`.
pub trait Element: sealed::Codec {}

/// An [`Element`] that any bytes are one of: all but `bool`.
pub trait Number: Element + bytemuck::Pod + Send + Sync {}

mod sealed {
    /// How items lie in memory, without `unsafe`: the compiler turns these loops into copies.
    pub trait Codec: Copy {
        const DTYPE: &'static str;
        fn write(items: &[Self], out: &mut Vec<u8>);
        fn read(data: &[u8]) -> Vec<Self>;
    }
}

macro_rules! elements {
    ($($number:ty, $dtype:literal;)*) => {$(
        impl Element for $number {}
        impl Number for $number {}
        impl sealed::Codec for $number {
            const DTYPE: &'static str = $dtype;
            fn write(items: &[$number], out: &mut Vec<u8>) {
                out.extend(items.iter().flat_map(|item| item.to_le_bytes()));
            }
            fn read(data: &[u8]) -> Vec<$number> {
                let (items, _) = data.as_chunks();
                items.iter().map(|item| <$number>::from_le_bytes(*item)).collect()
            }
        }
    )*};
}

elements! {
    f32, "<f4"; f64, "<f8";
    i8, "|i1"; i16, "<i2"; i32, "<i4"; i64, "<i8";
    u8, "|u1"; u16, "<u2"; u32, "<u4"; u64, "<u8";
}

impl Element for bool {}
impl sealed::Codec for bool {
    const DTYPE: &'static str = "|b1";
    fn write(items: &[bool], out: &mut Vec<u8>) {
        out.extend(items.iter().map(|&item| u8::from(item)));
    }
    fn read(data: &[u8]) -> Vec<bool> {
        data.iter().map(|&byte| byte != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_lie_little_endian_in_c_order() {
        let array = Array::from_slice(&[2], &[1i32, -2]).unwrap();
        assert_eq!(array.data().as_ref(), [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(array.to_vec::<i32>().unwrap(), [1, -2]);
    }

    #[test]
    fn numbers_are_read_and_written_where_they_are() {
        let arena = crate::memory::Arena::new(crate::memory::ArenaSettings { limit: 1 << 20, ..Default::default() });
        for mut buffer in [arena.buffer(16).unwrap(), crate::memory::Arena::own_buffer(16)] {
            let place = buffer.as_ptr();
            buffer.numbers_mut::<f32>().unwrap().copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
            assert!(buffer.numbers_mut::<f64>().is_ok());
            let array = Array::from_buffer("<f4", vec![2, 2], buffer).unwrap();
            assert_eq!((array.data().as_ptr(), array.to_vec::<f32>().unwrap()), (place, vec![1.0, 2.0, 3.0, 4.0]));
            assert!(matches!(array.numbers::<f32>().unwrap(), Cow::Borrowed([1.0, 2.0, 3.0, 4.0])));
            let odd = Array::new("<f4", vec![1], Bytes::from_owner([0u8; 9]).slice(1..5)).unwrap();
            assert_eq!(odd.numbers::<f32>().unwrap()[..], [0.0]);
            assert!(array.numbers::<i32>().is_err());
        }
        assert!(arena.buffer(15).unwrap().numbers_mut::<f32>().is_err());
        assert_eq!(arena.status().slots, 0);
    }

    #[test]
    fn an_array_is_read_only_as_what_it_holds() {
        let error = Array::from_slice(&[1], &[1.0f64]).unwrap().to_vec::<f32>().unwrap_err();
        assert_eq!(error.to_string(), "the array holds `<f8`, not `<f4`");
    }

    #[test]
    fn a_shape_that_does_not_fit_says_what_would() {
        let error = Array::from_slice(&[2, 2], &[1.0f32, 2.0, 3.0]).unwrap_err();
        assert_eq!(error.to_string(), "shape [2, 2] of <f4 takes 16 bytes, there are 12");
    }

    #[test]
    fn type_strings_of_plain_items_have_a_size_and_others_none() {
        let sizes = ["<f4", "|b1", ">c16", "<U3", "|V5", "<M8[ns]", "|S0"].map(item_size);
        assert_eq!(sizes, [4, 1, 16, 12, 5, 8, 0].map(Some));
        let broken_units = ["<M8[", "<M8[]", "<M8[25s/7]", "<m8[s]s", "<M8]"].map(item_size);
        assert_eq!(broken_units, [None; 5]);
        assert_eq!(["|O", "|O8", "f4", "<f", "<f-4", "<f+4", "", "<é4"].map(item_size), [None; 8]);
    }

    #[test]
    fn no_dimension_is_one_item_and_a_zero_dimension_is_none() {
        assert!(Array::from_slice(&[], &[true]).is_ok());
        assert!(Array::from_slice::<u64>(&[usize::MAX, 0, usize::MAX], &[]).is_ok());
    }
}
