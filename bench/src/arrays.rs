//! The array of W3, and what each side does with one: a single pass over its bytes.

use std::time::{Duration, Instant};

use crate::Result;
use crate::sample::Sample;
use crate::workload::Size;

/// Items of the array: 64 MiB of float32.
pub(crate) const ITEMS: usize = 16 << 20;
/// Calls in each direction before the clock counts.
const WARM_UP: usize = 2;

/// The bytes of the array, every item of which is 1.
pub(crate) fn ones() -> Vec<u8> {
    1.0_f32.to_le_bytes().repeat(ITEMS)
}

/// The sum of little-endian items. 16 sums side by side, so that the compiler makes it as fast as memory is.
pub(crate) fn sum(bytes: &[u8]) -> f64 {
    let (items, _) = bytes.as_chunks::<4>();
    let (rows, rest) = items.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for row in rows {
        for (sum, item) in sums.iter_mut().zip(row) {
            *sum += f32::from_le_bytes(*item);
        }
    }
    let rest = rest.iter().map(|item| f32::from_le_bytes(*item));
    sums.into_iter().chain(rest).map(f64::from).sum()
}

/// Whether a sum is that of the whole array.
pub(crate) fn check(sum: f64) -> Result<()> {
    if sum == ITEMS as f64 { Ok(()) } else { Err(format!("an array of {ITEMS} ones was summed to {sum}").into()) }
}

/// A blocking client; each call returns the sum.
pub(crate) trait Exchange {
    fn to(&mut self) -> Result<f64>;
    fn from(&mut self) -> Result<f64>;
}

/// Times both directions.
pub(crate) fn measure<E: Exchange>(exchange: &mut E, size: Size) -> Result<Sample> {
    Ok(Sample::of_arrays(&one_way(exchange, E::to, size)?, &one_way(exchange, E::from, size)?))
}

fn one_way<E>(exchange: &mut E, call: fn(&mut E) -> Result<f64>, size: Size) -> Result<Vec<Duration>> {
    let mut timer = Timer::new(size);
    while timer.goes_on() {
        let start = Instant::now();
        let sum = call(exchange)?;
        timer.took(start.elapsed());
        check(sum)?;
    }
    Ok(timer.taken())
}

/// Counts the calls of one direction and leaves those for warm-up out.
#[derive(Debug)]
pub(crate) struct Timer {
    calls: usize,
    taken: Vec<Duration>,
}

impl Timer {
    pub(crate) fn new(size: Size) -> Timer {
        Timer { calls: WARM_UP + size.arrays, taken: Vec::new() }
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.taken.len() < self.calls
    }

    pub(crate) fn took(&mut self, taken: Duration) {
        self.taken.push(taken);
    }

    pub(crate) fn taken(mut self) -> Vec<Duration> {
        self.taken.split_off(WARM_UP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_leaves_no_item_out() {
        let items: Vec<u8> = (1..=37_u16).flat_map(|item| f32::from(item).to_le_bytes()).collect();
        assert_eq!(sum(&items), 703.0);
        check(sum(&ones())).unwrap();
        assert!(check(sum(&ones()[4..])).is_err());
    }

    #[test]
    fn warm_up_is_not_counted() {
        struct Counts(usize, usize);
        impl Exchange for Counts {
            fn to(&mut self) -> Result<f64> {
                self.0 += 1;
                Ok(ITEMS as f64)
            }
            fn from(&mut self) -> Result<f64> {
                self.1 += 1;
                Ok(ITEMS as f64)
            }
        }
        let mut counts = Counts(0, 0);
        let sample = measure(&mut counts, Size { arrays: 3, ..Size::QUICK }).unwrap();
        assert_eq!((counts.0, counts.1), (5, 5));
        assert!(sample.to_ms.is_some() && sample.from_ms.is_some());
    }
}
