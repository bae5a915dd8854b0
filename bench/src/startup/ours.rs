//! W5 as a user of the library writes it: a pool of 16 workers whose app imports what it needs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hatchery::{Event, Events, Hatchery, Pool, PoolBuilder, PoolEvent, PythonApp, StartBatches, Timeouts};
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
    let mut builder = pool(app, modules, start);
    let mut events = builder.events();
    let hatchery = builder.start().await?;
    let measured = first_calls(&hatchery.pool("bench")?, begin).await;
    hatchery.shutdown().await?;
    let started = measured?;
    match start {
        Start::Cold => Ok(started),
        Start::Template => Ok(started.since(template_ready(&mut events).await?)),
    }
}

/// All workers at once: what is measured is how fast they are, not how carefully they are started.
fn pool(app: PathBuf, modules: Modules, start: Start) -> PoolBuilder {
    let batches = StartBatches { size: WORKERS, delay: Duration::ZERO };
    let timeouts = Timeouts { queue: None, ..Timeouts::default() };
    let builder = Hatchery::builder().pool("bench", PythonApp::file(app)).workers(WORKERS);
    let builder = builder.start_batches(batches).timeouts(timeouts);
    match start {
        Start::Cold => builder.template(false),
        Start::Template => builder.preload(modules.imports().iter().copied()),
    }
}

/// How long its boot took. The hatchery has ended, and with it the events.
async fn template_ready(events: &mut Events) -> Result<Duration> {
    while let Some(event) = events.next().await {
        match event {
            Event::Pool(PoolEvent::TemplateReady { took, .. }) => return Ok(took),
            Event::Pool(PoolEvent::ColdStarts { reason, .. }) => return Err(reason.into()),
            _ => {}
        }
    }
    Err("no worker was forked from a template".into())
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
