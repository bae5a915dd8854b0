//! W3 as a user of the library writes it.
//!
//! Each way of handing an array over is a row: a [`Contender`](crate::contender::Contender) of its own, its place in
//! `Contender::of`, and a function here.

use std::time::Instant;

use hatchery::{Array, Pool};
use serde::Serialize;
use serde_json::json;

use crate::Result;
use crate::arrays::{ITEMS, Timer, check, ones, sum};
use crate::sample::Sample;
use crate::workload::Size;

#[derive(Serialize)]
struct Total {
    array: Array,
}

/// Arrays as values: the bytes are where the caller has them, and where the library received them.
pub(super) async fn values(pool: &Pool, size: Size) -> Result<Sample> {
    let array = Array::new("<f4", vec![ITEMS], ones().into())?;
    let mut to = Timer::new(size);
    while to.goes_on() {
        let start = Instant::now();
        let total: f64 = pool.call("total", Total { array: array.clone() }).await?;
        to.took(start.elapsed());
        check(total)?;
    }
    let mut from = Timer::new(size);
    while from.goes_on() {
        let start = Instant::now();
        let array: Array = pool.call("array", json!({})).await?;
        let total = sum(array.data());
        from.took(start.elapsed());
        check(total)?;
    }
    Ok(Sample::of_arrays(&to.taken(), &from.taken()))
}
