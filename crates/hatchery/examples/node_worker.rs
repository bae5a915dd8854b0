//! Calls a worker that is written in JavaScript, and is called back by it.
//!
//!     cargo run --example node_worker
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::collections::BTreeMap;

use hatchery::{Binary, CommandApp, Error, ErrorKind, Hatchery, Result};
use serde::Deserialize;
use serde_json::json;

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/node/worker.js");

/// The arguments of the host tool. A call whose arguments are others is refused before the closure sees it.
#[derive(Deserialize)]
struct Lookup {
    key: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let capitals = BTreeMap::from([("France", "Paris"), ("Japan", "Tokyo")]);

    // A host tool runs in this process. Workers call it by its name, as many at once as they like.
    let hatchery = Hatchery::builder()
        .host_tool("lookup", move |Lookup { key }: Lookup| {
            let found = capitals.get(key.as_str()).copied();
            async move { found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no capital of {key} is known"))) }
        })
        .pool("node", CommandApp::new("node").arg(WORKER))
        .start()
        .await?;
    let pool = hatchery.pool("node")?;

    let counts: BTreeMap<String, u64> = pool.call("word_count", json!({ "text": "to be or not to be" })).await?;
    println!("word_count: {counts:?}");

    let mut countdown = pool.stream::<u64>("countdown", json!({ "n": 3 })).await?;
    while let Some(number) = countdown.next().await {
        println!("countdown: {}", number?);
    }

    // Bytes travel beside the JSON: no base64, no copy of them in the message.
    let bytes = Binary::from(b"hatchery".to_vec());
    let reversed: Binary = pool.call("reverse", BTreeMap::from([("data", bytes)])).await?;
    println!("reverse: {}", String::from_utf8_lossy(reversed.as_ref()));

    // From here to the worker, from there back to the closure above, and the answer the same way round.
    let capital: String = pool.call("lookup", json!({ "key": "Japan" })).await?;
    println!("lookup: {capital}");

    // In the worker, an error of a host tool is an exception; let through, it is what the worker's tool raised.
    match pool.call::<String>("lookup", json!({ "key": "Atlantis" })).await {
        Ok(capital) => println!("lookup: {capital}"),
        Err(error) => println!("lookup refused ({}): {}", error.kind(), error.message()),
    }

    hatchery.shutdown().await
}
