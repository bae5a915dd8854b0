//! More clients than a daemon can serve, and clients that take nothing of what they asked for: who is served is served in time, who is
//! not is told so, and when all have gone nothing of them is left.

mod clients;
mod figures;
mod silent;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clients::{Load, Told, Until};
use figures::{Footprint, Metrics};
use silent::Silent;

use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

/// So many at once, half of them over HTTP and half over gRPC, each on a connection of its own.
const CLIENTS: usize = 512;

/// All that wait are more than two workers serve within the timeout: some wait in vain. All clients are more than may wait: some
/// are refused. Without either bound a call would wait for 20 s.
const POOL: &str = r#"
[[pools]]
name = "default"
app = "app.py"
workers = 2
max_queue = 256
timeouts = { queue = "1s" }

[server]
listen = "127.0.0.1:0"
limits = { head = "10s", stall = "5s" }
"#;

/// Enough of them to keep both workers at work.
const FEW: usize = 6;

/// How long those few call, before the others come.
const CALM: Duration = Duration::from_secs(3);

/// Of what the few are served; on a machine of two cores that were wanted by five others, too, it was 0.65.
const STARVED: f64 = 0.25;

/// How long a call runs.
const RUN_MS: u64 = 80;

/// The bound of the histogram, in seconds, below which the wait of every call has to be: a busy machine is slow to wake who has waited long
/// enough, so it is not the next one above 1 s.
const WAIT: &str = "16.384";

const NAP: &str = r#"tool="nap""#;

const APP: &str = r#"
import time

from hatchery import Context, tool


@tool
def nap(ms: int) -> int:
    time.sleep(ms / 1000)
    return ms


@tool
def torrent():
    while True:
        yield "x" * (1 << 20)


@tool
def chatter(events: int, size: int, ctx: Context) -> None:
    for number in range(events):
        ctx.emit("chatter", {"number": number}, {"text": "x" * size})
"#;

/// For what has to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// What memory may grow by between a sixth of the load and its end.
const GROWTH: u64 = 24 << 20;

#[test]
fn more_than_can_be_served_are_refused_and_the_others_are_served_in_time() {
    // Whoever was not served comes back a little later: what is left of a busy machine is for those who are.
    bear(Until::Served(100), Duration::from_millis(500));
}

/// `cargo test --release -p hatchery-cli --test it -- --ignored --nocapture --exact load::a_minute_of_it`
#[test]
#[ignore = "takes a minute"]
fn a_minute_of_it() {
    let (words, share) = bear(Until::Passed(Duration::from_secs(60)), Duration::ZERO);
    println!("{words}");
    // Without optimization, or where others want the processors, too, it is less: the daemon answers as many refusals as it can.
    assert!(cfg!(debug_assertions) || share > STARVED, "who is served starves: {words}");
}

/// The whole of it; what came of it, in words, and how many were served in a second, of those that a few clients alone were. `pause`
/// is that of a client that was not served.
fn bear(until: Until, pause: Duration) -> (String, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sandbox = Sandbox::with(APP);
    sandbox.write("hatchery.toml", POOL);
    let daemon = Daemon::start(&sandbox, &["serve"]);
    let address = daemon.address.parse().unwrap();
    let pid = daemon.running.id();
    // With the first session the daemon opens the file that sessions are kept in.
    sandbox.run(&["call", "nap", "ms=1", "--session", "first", "-q"]).exits(0);
    sandbox.run(&["sessions", "delete", "first", "-q"]).exits(0);
    let calm = Arc::new(Load::new(address, RUN_MS, Until::Passed(CALM), Duration::ZERO));
    runtime.block_on(clients::put(&calm, FEW, || ()));
    let calm = calm.told();
    assert!(calm.served > 0 && calm.unexpected.is_empty(), "{calm:?}");
    let before = Footprint::of(pid);
    let workers = || sandbox.run(&["workers", "--json"]).exits(0).json();
    let processes = |workers: &serde_json::Value| {
        workers.as_array().unwrap().iter().map(|worker| worker["pid"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let first_workers = processes(&workers());
    let silent = runtime.block_on(Silent::come(address));
    // More than all that lies between the daemon and those who do not read.
    sandbox.run(&["call", "chatter", "events=300", "size=30000", "-q"]).exits(0);
    let began = Instant::now();
    let load = Arc::new(Load::new(address, RUN_MS, until, pause));
    let seen = runtime.block_on(clients::put(&load, CLIENTS, || Footprint::of(pid)));
    let took = began.elapsed();

    let told = load.told();
    assert!(told.unexpected.is_empty(), "{:#?}", told.unexpected);
    assert!(told.served > 0 && told.saturated > 0 && told.late > 0, "{told:?}");
    runtime.block_on(silent.were_cut());
    let most = seen.iter().map(|footprint| footprint.descriptors).max().unwrap();
    assert!(most <= before.descriptors + CLIENTS + Silent::COUNT + 16, "{before:?} {most}");
    let (early, late) = (seen[0].memory, seen[seen.len() - 1].memory);
    assert!(late <= early + GROWTH, "{before:?} {early} {late}");
    all_is_as_before(address, pid, before);
    accounts_agree(&Metrics::of(address), &calm, &told);
    assert_eq!(processes(&workers()), first_workers, "no worker was lost");
    daemon.end();
    let share = told.rate() / calm.rate();
    let words = format!(
        "{CLIENTS} clients for {:.1} s: {}, {share:.2} of {FEW} clients alone: {}; descriptors: {} before, {most} at most; memory: {} KiB before, {} at a sixth, {} at the end",
        took.as_secs_f64(),
        told.in_words(),
        calm.in_words(),
        before.descriptors,
        before.memory >> 10,
        early >> 10,
        late >> 10,
    );
    (words, share)
}

/// What the daemon has counted is what its clients were told, and nobody waited for longer than they may.
fn accounts_agree(counted: &Metrics, calm: &Told, told: &Told) {
    let outcome = |outcome: &str| counted.sum("calls_total", &[NAP, &format!("outcome={outcome:?}")]);
    // One more was called before, by the command.
    let heard = [calm.served + told.served + 1, calm.saturated + told.saturated, calm.late + told.late];
    assert_eq!(["ok", "saturated", "deadline"].map(outcome), heard, "{calm:?} {told:?}");
    let waits = counted.sum("call_queue_seconds_count", &[NAP]);
    let in_time = counted.sum("call_queue_seconds_bucket", &[NAP, &format!("le={WAIT:?}")]);
    assert!(in_time == waits && waits >= told.served, "{}", counted.text());
}

/// Waits until nothing of the clients is left.
fn all_is_as_before(address: SocketAddr, pid: u32, before: Footprint) {
    let end = Instant::now() + PATIENCE;
    loop {
        // The connection of a look is gone by the next one.
        let descriptors = Footprint::of(pid).descriptors;
        let now = Metrics::of(address);
        let left =
            ["sessions", "event_subscribers", "calls_queued", "calls_running"].map(|name| (name, now.sum(name, &[])));
        // There were some more before, if the daemon had not yet noticed that the command was gone.
        if descriptors <= before.descriptors && left.iter().all(|(_, count)| *count == 0) {
            return;
        }
        assert!(Instant::now() < end, "{descriptors} descriptors, {} before; {left:?}", before.descriptors);
        std::thread::sleep(Duration::from_millis(20));
    }
}
