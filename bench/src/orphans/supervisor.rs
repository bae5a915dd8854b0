//! Supervisors that are this program in a hidden mode: hatchery as a library, and pools as one writes them by hand.

use std::process::{Command, Stdio};
use std::time::Duration;

use hatchery::{App, CommandApp, Hatchery, PythonApp};
use serde_json::{Value, json};

use super::folder;
use crate::Result;

/// `orphans-supervise KIND idle|busy|loop|child`.
pub(crate) fn supervise(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let kind = arguments.next().ok_or("no kind of supervisor")?;
    let posture = arguments.next().unwrap_or_default();
    let is_busy = posture == "busy";
    let workers: usize = std::env::var("ORPHANS_WORKERS")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match kind.as_str() {
        "hatchery-python" => {
            runtime.block_on(hatchery(PythonApp::file(folder().join("app.py")), workers, tool(&posture)))
        }
        "hatchery-compiled" => {
            let app = CommandApp::new(std::env::current_exe()?).arg("orphans-work");
            runtime.block_on(hatchery(app, workers, None))
        }
        "command" => command(workers, is_busy),
        "tokio" => runtime.block_on(tokio_command(workers, is_busy)),
        other => Err(format!("no such supervisor: {other}").into()),
    }
}

/// The tool that every worker is kept busy with, if it is not to be idle.
fn tool(posture: &str) -> Option<&'static str> {
    match posture {
        "busy" => Some("busy"),
        "loop" => Some("spin"),
        "child" => Some("parent"),
        _ => None,
    }
}

async fn hatchery(app: impl App, workers: usize, tool: Option<&'static str>) -> Result<()> {
    let hatchery = Hatchery::builder().pool("bench", app).workers(workers).start().await?;
    let pool = hatchery.pool("bench")?;
    for _ in 0..if tool.is_some() { workers } else { 0 } {
        let (pool, tool) = (pool.clone(), tool.unwrap_or_default());
        tokio::spawn(async move { pool.call::<Value>(tool, json!({})).await });
    }
    while tool.is_some() && pool.status().running < workers {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tell_ready()?;
    std::future::pending().await
}

#[expect(clippy::disallowed_methods, reason = "the pool that hatchery is compared with")]
fn command(workers: usize, is_busy: bool) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..workers {
        let mut command = Command::new("sh");
        command.arg(folder().join("worker.sh")).arg(posture(is_busy));
        children.push(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    }
    tell_ready()?;
    for mut child in children {
        // With `wait` the standard library would close the input first, which is what ends an idle worker.
        let input = child.stdin.take();
        child.wait()?;
        drop(input);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the pool that hatchery is compared with")]
async fn tokio_command(workers: usize, is_busy: bool) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..workers {
        let mut command = tokio::process::Command::new("sh");
        command.arg(folder().join("worker.sh")).arg(posture(is_busy)).kill_on_drop(true);
        children.push(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    }
    tell_ready()?;
    std::future::pending().await
}

fn posture(is_busy: bool) -> &'static str {
    if is_busy { "busy" } else { "idle" }
}

fn tell_ready() -> Result<()> {
    Ok(std::fs::write(std::path::Path::new(&std::env::var("ORPHANS_REPORT")?).join("ready"), "")?)
}
