//! Counts the words of two texts on two workers, from plain threads: no async runtime in sight.
//!
//!     cargo run --example blocking_threads [DIRECTORY]
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::path::Path;
use std::thread;

use hatchery::blocking::{Hatchery, Pool};
use hatchery::{PythonApp, Result};
use serde::Deserialize;
use serde_json::json;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[derive(Deserialize)]
struct Stats {
    words: u64,
}

fn main() -> Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| format!("{REPOSITORY}/docs"));
    let app = PythonApp::file(Path::new(REPOSITORY).join("examples/text/app.py"));
    let hatchery = Hatchery::builder().pool("text", app).workers(2).start_blocking()?;
    let pool = hatchery.pool("text")?;
    let text: String = pool.call("corpus", json!({ "root": root }))?;

    // A pool is a handle: each thread waits for its own call, and the calls run side by side.
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let counted = thread::scope(|scope| {
        let threads = [first, second].map(|half| scope.spawn(|| words(&pool, half)));
        threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    for count in counted {
        println!("{:>8} words", count?);
    }

    // A stream is an iterator. Dropping it cancels the call.
    for phrase in pool.stream::<(String, u64)>("ngrams", json!({ "text": text, "n": 3 }))?.take(3) {
        let (words, count) = phrase?;
        println!("{count:>8} × {words}");
    }
    hatchery.shutdown()
}

fn words(pool: &Pool, text: &str) -> Result<u64> {
    Ok(pool.call::<Stats>("stats", json!({ "text": text }))?.words)
}
