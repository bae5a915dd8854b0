//! Workers that are no processes: each is a thread of this program with a state of its own, behind the same queue, sessions and
//! deadlines as any other pool. `cargo run --example own_profile`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use hatchery::{
    Affinity, CallOptions, Error, ErrorKind, Hatchery, Later, Payload, Profile, ProfileCall, ProfileGraces,
    ProfileMetadata, ProfileWorker, Result, ToolSpec, WorkerContext,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Makes threads that count.
struct Counters;

impl Profile for Counters {
    fn metadata(&self) -> ProfileMetadata {
        ProfileMetadata { name: "counters".to_owned(), description: "a thread that counts, per worker".to_owned() }
    }

    fn start(&self, worker: WorkerContext) -> Later<'_, Result<Arc<dyn ProfileWorker>>> {
        Box::pin(async move {
            let (jobs, inbox) = mpsc::channel::<Job>();
            let thread = thread::Builder::new().name(worker.worker.to_string()).spawn(move || count(&inbox));
            let thread =
                thread.map_err(|error| Error::new(ErrorKind::Unavailable, format!("start a thread: {error}")))?;
            let worker = Counter { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) };
            Ok(Arc::new(worker) as Arc<dyn ProfileWorker>)
        })
    }
}

/// A number to add, and where the sum goes.
type Job = (i64, oneshot::Sender<i64>);

fn count(inbox: &mpsc::Receiver<Job>) {
    let mut sum = 0;
    for (number, answer) in inbox {
        sum += number;
        let _nobody_waits = answer.send(sum);
    }
}

struct Counter {
    /// Dropped, it lets the thread end.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl ProfileWorker for Counter {
    fn tools(&self) -> Vec<ToolSpec> {
        vec![ToolSpec::new("add")]
    }

    fn execute(&self, call: ProfileCall) -> Later<'_, Result<Payload>> {
        Box::pin(async move {
            let number = call.arguments.decode::<Value>()?["number"].as_i64();
            let number = number.ok_or_else(|| Error::new(ErrorKind::Validation, "add: expected a whole `number`"))?;
            let (answer, sum) = oneshot::channel();
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let sent = jobs.is_some_and(|jobs| jobs.send((number, answer)).is_ok());
            match sum.await {
                Ok(sum) if sent => Payload::encode(&sum),
                _ => Err(Error::new(ErrorKind::WorkerDied, "the thread is gone")),
            }
        })
    }

    fn stop(&self, _graces: ProfileGraces) -> Later<'_, ()> {
        Box::pin(async move {
            drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let joined = tokio::task::spawn_blocking(move || thread.map(thread::JoinHandle::join));
            let _a_panic_was_told = joined.await;
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let hatchery = Hatchery::builder().pool_of("counters", Counters).workers(2).start().await?;
    let pool = hatchery.pool("counters")?;
    let chat = CallOptions::new().session("user-7").affinity(Affinity::StrictQueue).timeout(Duration::from_secs(5));
    for number in [1, 2, 3] {
        let sum: i64 = pool.call_with("add", json!({ "number": number }), &chat).await?;
        println!("plus {number} is {sum}");
    }
    hatchery.shutdown().await
}
