//! W5 as a user of the library writes it: a pool of 16 workers whose app imports what it needs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hatchery::{Hatchery, Pool, PythonApp, StartBatches, Timeouts};
use serde_json::{Value, json};

use super::meeting::Meeting;
use super::{Modules, Start, Started, WORKERS};
use crate::Result;
use crate::child::folder;
use crate::family::Memory;

/// From the creation of the pool to the last answer. The boot of a template is told apart where there is one.
pub(super) async fn measure(modules: Modules, start: Start) -> Result<Started> {
    let files = tempfile::tempdir()?;
    let app = app(files.path(), modules)?;
    let begin = Instant::now();
    let hatchery = pool(app, modules, start).await?;
    let measured = first_calls(&hatchery.pool("bench")?, begin).await;
    hatchery.shutdown().await?;
    measured
}

/// All workers at once: what is measured is how fast they are, not how carefully they are started.
///
/// A start from a template is this with the modules as `preload`, and `CONTENDERS` of the room above has a row for it.
async fn pool(app: PathBuf, modules: Modules, start: Start) -> Result<Hatchery> {
    let batches = StartBatches { size: WORKERS, delay: Duration::ZERO };
    let timeouts = Timeouts { queue: None, ..Timeouts::default() };
    let builder = Hatchery::builder().pool("bench", PythonApp::file(app)).workers(WORKERS);
    let builder = builder.start_batches(batches).timeouts(timeouts);
    match start {
        Start::Cold => Ok(builder.start().await?),
        Start::Template => Err(format!("this version has no template for {}", modules.name()).into()),
    }
}

async fn first_calls(pool: &Pool, begin: Instant) -> Result<Started> {
    let mut meeting = Meeting::call()?;
    let arguments = json!({ "folder": meeting.folder() });
    let call = |arguments: Value, pool: Pool| async move { pool.call::<Value>("meet", arguments).await };
    let calls: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(call(arguments.clone(), pool.clone()))).collect();
    let _gate = meeting.all(WORKERS).await?;
    for call in calls {
        call.await??;
    }
    let ready_ms = begin.elapsed().as_secs_f64() * 1e3;
    Ok(Started { boot_ms: None, ready_ms, memory: Memory::below_this()? })
}

/// The app, with its imports at the top, as apps have them.
fn app(files: &Path, modules: Modules) -> Result<PathBuf> {
    let imports: String = modules.imports().iter().map(|name| format!("import {name}\n")).collect();
    let body = std::fs::read_to_string(folder().join("startup/app.py"))?;
    let path = files.join("app.py");
    std::fs::write(&path, imports + &body)?;
    Ok(path)
}
