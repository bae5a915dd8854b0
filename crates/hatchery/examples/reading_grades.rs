//! Says of each file that is named on standard input how many years of school one needs to read it.
//!
//!     ls *.md | cargo run --example reading_grades
//!
//! Script mode: a program that has workers for one piece of work, and wants none left however that goes. Ctrl-C ends it in
//! the middle; so do SIGTERM, a closed terminal, `| head -1`, an error, a panic and the end of the input.
#![expect(clippy::print_stderr, reason = "an example shows what it got")]

use std::cell::Cell;
use std::io::{BufRead, Write as _};
use std::path::Path;
use std::process::ExitCode;

use hatchery::{Error, ErrorKind, Hatchery, PythonApp, Result, ScriptTimeouts};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/text/app.py");

#[derive(Deserialize)]
struct Readability {
    school_grade: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let builder = Hatchery::builder().pool("text", PythonApp::file(APP));
    // The library handles no signal; whatever future ends here ends the work.
    let why = Cell::new(0);
    let stop = async { why.set(stopped().await) };
    match builder.run(ScriptTimeouts::default(), stop, grade_all).await {
        Ok(files) => ended(&format!("{files} files")),
        // From here on no worker is left, and `main` may return what it likes.
        Err(error) if error.kind() == ErrorKind::Cancelled => ExitCode::from(why.get()),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that went away before the last line is no failure either.
fn ended(last_words: &str) -> ExitCode {
    let _nobody_reads = say(last_words);
    ExitCode::SUCCESS
}

/// Ctrl-C, SIGTERM, SIGHUP, or a reader that has gone away: the exit status that says which.
async fn stopped() -> u8 {
    let came = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // Without a handler there is none.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = came(SignalKind::interrupt()) => 130,
        () = came(SignalKind::terminate()) => 143,
        () = came(SignalKind::hangup()) => 129,
        () = hatchery::stdout_closed() => 0,
    }
}

async fn grade_all(hatchery: &Hatchery) -> Result<usize> {
    let pool = hatchery.pool("text")?;
    let mut names = lines();
    let mut files = 0;
    while let Some(name) = names.recv().await {
        let text = read(Path::new(&name))?;
        let Readability { school_grade } = pool.call("readability", json!({ "text": text })).await?;
        say(&format!("{school_grade:>6.1} {name}"))?;
        files += 1;
    }
    Ok(files)
}

/// `println!` would panic where nobody reads.
fn say(line: &str) -> Result<()> {
    let failed = |why| Error::new(ErrorKind::Cancelled, format!("write to stdout: {why}"));
    writeln!(std::io::stdout(), "{line}").map_err(failed)
}

fn read(path: &Path) -> Result<String> {
    let failed = |why| Error::new(ErrorKind::Validation, format!("read {}: {why}", path.display()));
    std::fs::read_to_string(path).map_err(failed)
}

/// A thread of its own reads them: one that waits for a terminal does not hold up the end of the program.
fn lines() -> Receiver<String> {
    let (sender, receiver) = channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
