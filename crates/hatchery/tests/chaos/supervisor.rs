//! The program that embeds the library. It does what it is told on its standard input, a word a line, and answers on its output.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::{Containment, Error, Events, Hatchery, OnEscape, Pool, StopGraces};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::shape;

/// `supervisor SHAPE WORKERS [enclosed]`.
pub(crate) fn run(shape: &str, workers: usize, containment: Containment) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // Threads of the runtime that end early: whatever hangs on the life of a thread shows.
    let runtime = builder.worker_threads(2).thread_keep_alive(Duration::from_millis(10)).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut subject = Subject {
            shape: shape.to_owned(),
            workers,
            containment,
            on_escape: OnEscape::Kill,
            hatcheries: Vec::new(),
            calls: JoinSet::new(),
            told: Arc::default(),
        };
        let mut words = words();
        while let Some(word) = words.recv().await {
            match subject.obey(&word).await {
                Ok(answer) => say(&format!("done {answer}")),
                Err(error) => say(&format!("failed {error}")),
            }
        }
    });
    ExitCode::SUCCESS
}

/// What a supervisor turns into that runs another program in its place.
pub(crate) fn idle() -> ExitCode {
    say("idle");
    loop {
        std::thread::park();
    }
}

struct Subject {
    shape: String,
    workers: usize,
    containment: Containment,
    on_escape: OnEscape,
    hatcheries: Vec<Arc<Hatchery>>,
    calls: JoinSet<Result<Value, Error>>,
    /// Every event so far, as its debug text.
    told: Arc<Mutex<Vec<String>>>,
}

impl Subject {
    /// Does it to the end; the answer.
    async fn obey(&mut self, word: &str) -> Result<String, Error> {
        match word.split(' ').collect::<Vec<_>>().as_slice() {
            ["start"] => self.hatcheries.push(Arc::new(self.start().await?)),
            ["pids"] => return self.pids(),
            ["call"] => self.call().await?,
            ["hang", calls] => self.hang(number(calls)).await?,
            ["begun", calls] => self.begun(number(calls)).await,
            ["lost"] => self.lose().await,
            ["storm"] => self.storm().await?,
            ["stop", grace] => self.stop(Duration::from_millis(number(grace) as u64)).await?,
            ["drop"] => self.hatcheries.clear(),
            ["threads", count] => self.threads(number(count))?,
            ["cycle", count] => self.cycle(number(count)).await?,
            ["adopt"] => self.on_escape = OnEscape::Adopt,
            ["report"] => self.on_escape = OnEscape::Report,
            ["told", text] => return Ok(wait_for_event(&self.told, text).await),
            ["eat"] => eat(),
            ["exec"] => become_idle(),
            _ => unreachable!("no such word: {word}"),
        }
        Ok(String::new())
    }

    async fn start(&self) -> Result<Hatchery, Error> {
        // What a stop is given comes with the word for it.
        let graces = StopGraces { ask: Duration::from_secs(3600), ..StopGraces::default() };
        let mut pool =
            Hatchery::builder().pool("chaos", shape::app(&self.shape)).stop(graces).on_escape(self.on_escape);
        tokio::spawn(remember(pool.events(), Arc::clone(&self.told)));
        pool.workers(self.workers).containment(self.containment).start().await
    }

    fn pools(&self) -> Result<Vec<Pool>, Error> {
        self.hatcheries.iter().map(|hatchery| hatchery.pool("chaos")).collect()
    }

    fn pids(&self) -> Result<String, Error> {
        let workers = self.pools()?.into_iter().flat_map(|pool| pool.workers());
        let pids: Vec<String> = workers.filter_map(|worker| worker.pid).map(|pid| pid.to_string()).collect();
        Ok(pids.join(" "))
    }

    /// A call that every pool answers sooner or later, whatever happens to its workers.
    async fn call(&self) -> Result<(), Error> {
        for pool in self.pools()? {
            while pool.call::<Value>("echo", json!({})).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// Calls that do not return, as many as asked for; as many of them run as there are workers.
    async fn hang(&mut self, calls: usize) -> Result<(), Error> {
        for pool in self.pools()? {
            for _ in 0..calls {
                let pool = pool.clone();
                self.calls.spawn(async move { pool.call::<Value>("hang", json!({})).await });
            }
            while pool.status().running < calls.min(self.workers) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    /// Waits until so many of those calls are known to have begun: one that a worker merely has is not lost with it.
    async fn begun(&self, calls: usize) {
        let begun = || self.told.lock().unwrap().iter().filter(|event| event.starts_with("Progress(")).count();
        while begun() < calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits for one of those calls to fail.
    async fn lose(&mut self) {
        let lost = self.calls.join_next().await;
        assert!(matches!(lost, Some(Ok(Err(_)))), "a call that hangs was answered: {lost:?}");
    }

    /// Workers without end: started, and ended as soon as they are there.
    async fn storm(&self) -> Result<(), Error> {
        say("done");
        loop {
            drop(self.start().await?);
        }
    }

    async fn stop(&mut self, grace: Duration) -> Result<(), Error> {
        let mut endings = JoinSet::new();
        for hatchery in std::mem::take(&mut self.hatcheries) {
            endings.spawn(async move { hatchery.shutdown_within(grace).await });
        }
        say("stopping");
        let told = Arc::clone(&self.told);
        let watching = tokio::spawn(async move {
            wait_for_event(&told, "Unkillable").await;
            say("unkillable");
        });
        while let Some(ended) = endings.join_next().await {
            ended.unwrap()?;
        }
        watching.abort();
        Ok(())
    }

    /// So many hatcheries, each started on a thread that ends at once; every second one from inside a task of the runtime.
    fn threads(&mut self, count: usize) -> Result<(), Error> {
        let runtime = tokio::runtime::Handle::current();
        let starting: Vec<_> = (0..count)
            .map(|n| {
                let (runtime, shape) = (runtime.clone(), self.shape.clone());
                std::thread::spawn(move || {
                    let start = async move { Hatchery::builder().pool("chaos", shape::app(&shape)).start().await };
                    match n % 2 {
                        0 => runtime.block_on(start),
                        _ => runtime.block_on(runtime.spawn(start)).unwrap(),
                    }
                })
            })
            .collect();
        let started =
            tokio::task::block_in_place(|| starting.into_iter().map(|thread| thread.join().unwrap()).collect());
        let started: Vec<Result<Hatchery, Error>> = started;
        for hatchery in started {
            self.hatcheries.push(Arc::new(hatchery?));
        }
        Ok(())
    }

    async fn cycle(&self, count: usize) -> Result<(), Error> {
        for _ in 0..count {
            let hatchery = self.start().await?;
            hatchery.pool("chaos")?.call::<Value>("echo", json!({})).await?;
            hatchery.shutdown_within(Duration::from_millis(200)).await?;
            // What is remembered here would look like a leak.
            self.told.lock().unwrap().clear();
        }
        Ok(())
    }
}

async fn remember(mut events: Events, told: Arc<Mutex<Vec<String>>>) {
    while let Some(event) = events.next().await {
        let text = format!("{event:?}");
        // The standard error is shown if the case fails.
        let _deaf = writeln!(std::io::stderr(), "{text}");
        told.lock().unwrap().push(text);
    }
}

/// The first, early or late, in which this is said.
async fn wait_for_event(told: &Mutex<Vec<String>>, text: &str) -> String {
    loop {
        let found = told.lock().unwrap().iter().find(|event| event.contains(text)).cloned();
        match found {
            Some(event) => return event,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Until the kernel has no more.
fn eat() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

/// The lines of the standard input; its end is the harness's.
fn words() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever does not listen any more has seen enough.
    let _deaf = writeln!(out, "{word}").and_then(|()| out.flush());
}

#[expect(clippy::disallowed_methods, reason = "this process becomes another program; nothing is started")]
fn become_idle() {
    let error = Command::new(std::env::current_exe().unwrap()).arg("idle").exec();
    say(&format!("failed exec: {error}"));
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}
