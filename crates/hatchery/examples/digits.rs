//! Trains a classifier of handwritten digits in each of two Python workers, watches it learn, and judges it from Rust.
//!
//!     python3 -m venv examples/digits/.venv
//!     examples/digits/.venv/bin/pip install -r examples/digits/requirements.txt
//!     cargo run --example digits
//!
//! A `.venv` beside the app is found without being named; any other interpreter is named by `HATCHERY_PYTHON`, or in the
//! program with `PythonApp::python`.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::collections::BTreeMap;

use hatchery::{Array, Hatchery, Pool, PythonApp, Result};
use serde::Deserialize;
use serde_json::json;

const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits/app.py");

#[derive(Deserialize)]
struct Epoch {
    epoch: u32,
    loss: f64,
    accuracy: f64,
}

/// NumPy arrays become [`Array`]s over the bytes that were received, without a copy and without JSON.
#[derive(Deserialize)]
struct Samples {
    images: Array,
    labels: Array,
}

#[tokio::main]
async fn main() -> Result<()> {
    // Each worker loads scikit-learn, reads the data and makes its model before `start` returns.
    let hatchery = Hatchery::builder().pool("digits", PythonApp::file(APP)).workers(2).start().await?;
    let pool = hatchery.pool("digits")?;

    // A worker runs one call at a time, so two streams at once train the models of both workers.
    tokio::try_join!(train(&pool, "one"), train(&pool, "two"))?;

    // It does not matter which worker predicts which batch: both have learned the same.
    let (first, second) = tokio::try_join!(judge(&pool, 1), judge(&pool, 2))?;
    let (right, asked) = (first.0 + second.0, first.1 + second.1);
    println!("{right} of {asked} predictions are right: accuracy {:.3}", right as f64 / asked as f64);

    hatchery.shutdown().await
}

/// Prints each epoch when it is over, not when all are.
async fn train(pool: &Pool, name: &str) -> Result<()> {
    let mut epochs = pool.stream::<Epoch>("train", json!({ "epochs": 12 })).await?;
    while let Some(epoch) = epochs.next().await {
        let Epoch { epoch, loss, accuracy } = epoch?;
        println!("model {name}, epoch {epoch:>2}: loss {loss:.3}, accuracy {accuracy:.3}");
    }
    Ok(())
}

/// How many of a batch of images that no model has learned from are recognised, and how many there are.
async fn judge(pool: &Pool, seed: u64) -> Result<(usize, usize)> {
    let samples: Samples = pool.call("samples", json!({ "n": 200, "seed": seed })).await?;
    let predicted: Array = pool.call("predict", BTreeMap::from([("images", &samples.images)])).await?;
    let (predicted, labels) = (predicted.to_vec::<i64>()?, samples.labels.to_vec::<i64>()?);
    let right = predicted.iter().zip(&labels).filter(|(predicted, label)| predicted == label).count();
    Ok((right, labels.len()))
}
