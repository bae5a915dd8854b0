//! Reads the documentation of a project, counts it on two workers at once, and streams its most frequent phrases.
//!
//!     cargo run --example text_statistics [DIRECTORY]
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::path::Path;

use hatchery::{Hatchery, PythonApp, Result};
use serde::Deserialize;
use serde_json::json;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The worker's dataclass, as far as it is of interest here: what a type does not name is passed over.
#[derive(Deserialize)]
struct Stats {
    words: u64,
    distinct_words: u64,
    words_per_sentence: f64,
}

#[derive(Deserialize)]
struct Readability {
    school_grade: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| REPOSITORY.to_owned());
    let app = PythonApp::file(Path::new(REPOSITORY).join("examples/text/app.py"));
    let hatchery = Hatchery::builder().pool("text", app).workers(2).start().await?;
    let pool = hatchery.pool("text")?;

    let text: String = pool.call("corpus", json!({ "root": root })).await?;

    // A pool is a handle: calls that are awaited together run side by side, as many as there are workers. The third
    // waits in the pool's queue until one of the others is done.
    let args = json!({ "text": text });
    let (stats, readability, frequent) = tokio::try_join!(
        pool.call::<Stats>("stats", &args),
        pool.call::<Readability>("readability", &args),
        pool.call::<Vec<(String, u64)>>("top_words", json!({ "text": text, "n": 5, "shortest": 5 })),
    )?;
    println!("{:>8} words", stats.words);
    println!("{:>8} different words", stats.distinct_words);
    println!("{:>8.1} words in a sentence", stats.words_per_sentence);
    println!("{:>8.1} years of school to read it", readability.school_grade);
    for (word, count) in frequent {
        println!("{count:>8} × {word}");
    }

    // The generator has thousands of phrases to tell, the most frequent first. Dropping the stream cancels it.
    let mut phrases = pool.stream::<(String, u64)>("ngrams", json!({ "text": text, "n": 3 })).await?;
    for _ in 0..5 {
        let Some(phrase) = phrases.next().await else { break };
        let (words, count) = phrase?;
        println!("{count:>8} × {words}");
    }
    drop(phrases);

    hatchery.shutdown().await
}
