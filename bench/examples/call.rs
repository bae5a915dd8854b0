//! What one call costs, by the form in which its result is wanted: time, and allocations of the whole process.
//! `cargo xtask bench call [CALLS]`; what the figures are made of is in `docs/design/fast-path.md`.
#![expect(clippy::print_stdout, reason = "a benchmark speaks to its user")]
#![allow(unsafe_code, reason = "an allocator that counts is one that passes everything on, which is unsafe to say")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hatchery::{CallOptions, Hatchery, Payload, PythonApp, Result, blocking};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The system's allocator, with a count of what it gave out.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: every method passes its arguments on to the system's allocator as they are, under the contract that its caller keeps.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        BYTES.fetch_add(size as u64, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The value that travels, as a type of the caller's.
#[derive(Clone, Serialize, Deserialize)]
struct Echo<'t> {
    id: u64,
    text: &'t str,
    values: [u64; 8],
}

#[derive(Deserialize)]
struct Echoed {
    id: u64,
    values: [u64; 8],
}

const ECHO: Echo<'static> = Echo { id: 1, text: "hello world", values: [1, 2, 3, 4, 5, 6, 7, 8] };

fn main() -> Result<()> {
    let calls = std::env::args().nth(1).and_then(|calls| calls.parse().ok()).unwrap_or(50_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| hatchery::Error::new(hatchery::ErrorKind::Internal, error.to_string()))?;
    runtime.block_on(async { tokio::spawn(measure(calls)).await }).unwrap_or_else(|panic| Err(broken(&panic)))?;
    measure_blocking(calls)
}

fn broken(panic: &tokio::task::JoinError) -> hatchery::Error {
    hatchery::Error::new(hatchery::ErrorKind::Internal, panic.to_string())
}

async fn measure(calls: usize) -> Result<()> {
    let hatchery = Hatchery::builder().pool("bench", app()).start().await?;
    let pool = hatchery.pool("bench")?;
    println!("{:<22} {:>8} {:>8} {:>12} {:>12}", "", "p50 us", "p99 us", "allocations", "bytes");
    for form in [Form::Unread, Form::Typed, Form::Tree] {
        let mut tally = Tally::new(calls);
        while tally.goes_on() {
            match form {
                Form::Unread => drop(pool.call_payload("echo", Payload::encode(&ECHO)?, &CallOptions::new()).await?),
                Form::Typed => check(pool.call("echo", &ECHO).await?),
                Form::Tree => drop(pool.call::<Value>("echo", json!(ECHO)).await?),
            }
        }
        tally.print(&format!("{form:?}").to_lowercase());
    }
    hatchery.shutdown().await
}

/// From a thread that waits.
fn measure_blocking(calls: usize) -> Result<()> {
    let hatchery = blocking::Hatchery::builder().pool("bench", app()).start_blocking()?;
    let pool = hatchery.pool("bench")?;
    let mut tally = Tally::new(calls);
    while tally.goes_on() {
        check(pool.call("echo", &ECHO)?);
    }
    tally.print("typed, blocking");
    hatchery.shutdown()
}

fn app() -> PythonApp {
    PythonApp::file(concat!(env!("CARGO_MANIFEST_DIR"), "/app.py"))
}

fn check(echoed: Echoed) {
    assert_eq!((echoed.id, echoed.values), (ECHO.id, ECHO.values));
}

/// How arguments are made, and how the result is read.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Made before, and not looked at.
    Unread,
    /// Types of the caller's.
    Typed,
    /// `serde_json::Value`, both ways.
    Tree,
}

/// What the calls of one form have taken so far.
struct Tally {
    calls: usize,
    warm_up: usize,
    began: Instant,
    taken: Vec<f64>,
    /// Of the allocator, when the warm-up was over.
    before: (u64, u64),
}

impl Tally {
    fn new(calls: usize) -> Tally {
        Tally { calls, warm_up: calls / 5 + 1, began: Instant::now(), taken: Vec::with_capacity(calls), before: (0, 0) }
    }

    /// The last call is over; whether another is to be made.
    fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        if self.warm_up > 0 {
            self.warm_up -= 1;
            self.before = allocated();
        } else {
            self.taken.push((now - self.began).as_nanos() as f64 / 1e3);
        }
        self.began = Instant::now();
        self.taken.len() < self.calls
    }

    fn print(mut self, name: &str) {
        let (count, bytes) = allocated();
        let per_call = |all: u64| all as f64 / self.calls as f64;
        let (count, bytes) = (per_call(count - self.before.0), per_call(bytes - self.before.1));
        self.taken.sort_by(f64::total_cmp);
        let [p50, p99] = [50, 99].map(|q| self.taken[(self.calls * q / 100).min(self.calls - 1)]);
        println!("{name:<22} {p50:>8.2} {p99:>8.2} {count:>12.2} {bytes:>12.0}");
    }
}

fn allocated() -> (u64, u64) {
    (COUNT.load(Relaxed), BYTES.load(Relaxed))
}
