//! Arrays as the crate `ndarray` has them.

use std::borrow::Cow;

use bytes::Bytes;
use ndarray::{ArrayViewD, ArrayViewMutD, CowArray, Dimension, IxDyn, ShapeError};

use super::array::{Array, Number};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Buffer;

impl Array {
    /// As `ndarray` has it: a view of the same memory, if such numbers may lie there, as in shared memory; else a copy.
    ///
    /// # Errors
    /// `validation`, if the array holds items of another type. Nothing is converted.
    ///
    /// ```
    /// let array = hatchery::Array::from_slice(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
    /// assert_eq!(array.to_ndarray::<f32>()?[[1, 0]], 3.0);
    /// # Ok::<(), hatchery::Error>(())
    /// ```
    pub fn to_ndarray<E: Number>(&self) -> Result<CowArray<'_, E, IxDyn>> {
        let shape = IxDyn(self.shape());
        match self.numbers::<E>()? {
            Cow::Borrowed(numbers) => ArrayViewD::from_shape(shape, numbers).map(CowArray::from).map_err(misshapen),
            Cow::Owned(numbers) => {
                ndarray::Array::from_shape_vec(shape, numbers).map(CowArray::from).map_err(misshapen)
            }
        }
    }

    /// Takes an array of `ndarray`'s over. It is copied only if it does not lie in C order.
    ///
    /// # Errors
    /// `validation` on a machine that is not little-endian.
    pub fn from_ndarray<E: Number, D: Dimension>(array: ndarray::Array<E, D>) -> Result<Array> {
        let shape = array.shape().to_vec();
        let in_order = if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
        let (numbers, offset) = in_order.into_raw_vec_and_offset();
        let start = offset.unwrap_or(0) * size_of::<E>();
        let length = shape.iter().product::<usize>() * size_of::<E>();
        if cfg!(target_endian = "big") {
            return Err(Error::new(ErrorKind::Validation, "arrays are little-endian, and this machine is not"));
        }
        Array::new(E::DTYPE, shape, Bytes::from_owner(Numbers(numbers)).slice(start..start + length))
    }
}

impl Buffer {
    /// As an array of `ndarray`'s of this shape, in C order, to be filled before [`Array::from_buffer`].
    ///
    /// # Errors
    /// `validation`, if the shape does not make up the length.
    pub fn as_ndarray_mut<E: Number>(&mut self, shape: &[usize]) -> Result<ArrayViewMutD<'_, E>> {
        ArrayViewMutD::from_shape(IxDyn(shape), self.numbers_mut()?).map_err(misshapen)
    }
}

struct Numbers<E>(Vec<E>);

impl<E: Number> AsRef<[u8]> for Numbers<E> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

fn misshapen(error: ShapeError) -> Error {
    Error::new(ErrorKind::Validation, format!("make an array of bytes: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Arena;

    #[test]
    fn an_array_and_its_view_are_the_same_memory() {
        let mut buffer = Arena::own_buffer(24);
        buffer.as_ndarray_mut::<f32>(&[2, 3]).unwrap().fill(1.5);
        assert!(buffer.as_ndarray_mut::<f32>(&[7]).is_err());
        let array = Array::from_buffer("<f4", vec![2, 3], buffer).unwrap();
        let view = array.to_ndarray::<f32>().unwrap();
        assert_eq!((view.shape(), view.sum()), (&[2, 3][..], 9.0));
        assert!(view.is_view() && view.as_ptr().cast() == array.data().as_ptr());
    }

    #[test]
    fn an_owned_array_is_taken_over_and_one_in_another_order_is_copied() {
        let grid = ndarray::Array2::from_shape_fn((2, 3), |(row, column)| (row * 3 + column) as i64);
        let place = grid.as_ptr();
        let turned = Array::from_ndarray(grid.t().to_owned()).unwrap();
        assert_eq!((turned.shape(), turned.to_vec::<i64>().unwrap()), (&[3, 2][..], vec![0, 3, 1, 4, 2, 5]));
        let array = Array::from_ndarray(grid.slice_move(ndarray::s![1.., ..])).unwrap();
        assert_eq!(array.to_vec::<i64>().unwrap(), [3, 4, 5]);
        assert_eq!(array.data().as_ptr(), place.wrapping_add(3).cast());
    }
}
