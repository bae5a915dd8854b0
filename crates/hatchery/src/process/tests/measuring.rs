//! What a start costs, beside the floor, in one run. Printed by `cargo xtask bench spawn`; asserts nothing about time.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::*;

const STARTS: usize = 300;

#[test]
#[ignore = "a measurement: run by `cargo xtask bench spawn`"]
fn measure_spawn() {
    guardian();
    println!("start of /bin/true, us                        p50       p99  longest stall of another thread");
    measure_with("small host");
    let ballast = vec![1u8; 1 << 30];
    measure_with("host of 1 GiB");
    assert!(std::hint::black_box(ballast).iter().all(|byte| *byte == 1));
}

fn measure_with(host: &str) {
    // Interleaved, so that both meet the same weather.
    let mut samples = [(); 3].map(|()| Sample::default());
    let starts: [fn() -> Duration; 3] = [plain_spawn, standard_spawn, guarded_spawn];
    for _ in 0..10 {
        samples.iter_mut().zip(starts).for_each(|(sample, start)| sample.add(STARTS / 10, start));
    }
    // Apart, for the watch wants a processor for itself.
    for _ in 0..10 {
        samples.iter_mut().zip(starts).for_each(|(sample, start)| sample.watch(STARTS / 10, start));
    }
    for (name, sample) in NAMES.iter().zip(&mut samples) {
        let (p50, p99) = (sample.quantile(0.5), sample.quantile(0.99));
        println!("{host:<14} {name:<24} {p50:>9.0} {p99:>9.0} {:>9.0}", sample.stall);
    }
    let [plain, standard, guarded] = samples.map(|mut sample| sample.quantile(0.5));
    println!("{host:<14} ratio to posix_spawn     {:>9.2}", guarded / plain);
    println!("{host:<14} ratio to Command         {:>9.2}", guarded / standard);
}

/// The bare call; what the standard library makes of it for a child whose output is wanted; and ours, of which there is also
/// the cgroup, the mark, the adoption of what it leaves behind, and a session of its own.
const NAMES: [&str; 3] = ["posix_spawn", "Command, piped output", "through the guardian"];

/// Until the program runs, which is where both return.
fn plain_spawn() -> Duration {
    let began = Instant::now();
    let fds: Vec<OwnedFd> = [(); 3]
        .map(|()| fs::File::open("/dev/null").unwrap())
        .iter()
        .map(|file| fcntl_dupfd_cloexec(file, 64).unwrap())
        .collect();
    let args = [CString::from(c"/bin/true")];
    let pid =
        raw::posix_spawn(&raw::Plan { program: c"/bin/true", args: &args, env: &[], cwd: None, fds: &fds }).unwrap();
    let took = began.elapsed();
    waitid(WaitId::Pid(rustix::process::Pid::from_raw(pid).unwrap()), WaitIdOptions::EXITED).unwrap();
    took
}

/// With `posix_spawn` too, as long as it is asked for nothing that needs a fork.
#[expect(clippy::disallowed_methods, reason = "what it is measured against")]
fn standard_spawn() -> Duration {
    use std::process::{Command, Stdio};
    let began = Instant::now();
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let took = began.elapsed();
    child.wait().unwrap();
    took
}

fn guarded_spawn() -> Duration {
    let began = Instant::now();
    let Spawned { child, .. } = spawn(Spec { env: Vec::new(), ..spec("/bin/true", []) }).unwrap();
    let took = began.elapsed();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(end(child, &AT_ONCE, || ()));
    took
}

#[derive(Default)]
struct Sample {
    micros: Vec<f64>,
    /// The longest time for which another thread of this program made no progress, in microseconds.
    stall: f64,
}

impl Sample {
    fn add(&mut self, count: usize, start: impl Fn() -> Duration) {
        self.micros.extend((0..count).map(|_| start().as_secs_f64() * 1e6));
    }

    fn watch(&mut self, count: usize, start: impl Fn() -> Duration) {
        let over = AtomicBool::new(false);
        let stall = std::thread::scope(|scope| {
            let watch = scope.spawn(|| longest_pause(&over));
            for _ in 0..count {
                start();
            }
            over.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        self.stall = self.stall.max(stall.as_secs_f64() * 1e6);
    }

    fn quantile(&mut self, q: f64) -> f64 {
        self.micros.sort_by(f64::total_cmp);
        self.micros[((self.micros.len() - 1) as f64 * q) as usize]
    }
}

/// Writes to memory without a rest, and says how long the longest one was.
fn longest_pause(over: &AtomicBool) -> Duration {
    let mut page = vec![0u8; 4096];
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while !over.load(Ordering::Relaxed) {
        page[(last.elapsed().as_nanos() % 4096) as usize] = 1;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    std::hint::black_box(page);
    longest
}
