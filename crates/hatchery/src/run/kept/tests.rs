//! Supervisors that are killed, and their successors. The first one is a process of its own: this test binary, started again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio as Pipes};

use rustix::process::{PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::*;
use crate::process::{Census, Confinement, Escalation, Mark, Sighting, Stdin, Stdio, Stdout, Worn, end, end_marked};
use crate::registry::{ProcessClass, SweepOptions, SweepReport, orphans};

mod door;
mod hand_over;
mod killed;
mod taken_over;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

const LABEL: Label<'static> = Label { worker: "agent-1", pool: "agents" };

/// Says what it reads, and its last word when there is no more to read. Its daemon would outlive it.
const ECHO: &str = "setsid sleep 1000 & echo ready; while read -r line; do echo got $line; done; echo over";

/// A folder for one test, with the output and the lock of its run.
struct Scene {
    data: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { data: tempfile::tempdir().unwrap() }
    }

    fn place(&self) -> Place {
        place(self.data.path())
    }

    /// A supervisor that keeps a run of this script.
    fn host(&self, script: &str) -> Host {
        let mut host = Host::start(self.data.path(), script, None);
        host.expect("kept");
        host
    }

    /// One that is killed as soon as it has kept it.
    fn killed_host(&self, script: &str) {
        self.host(script).kill();
    }

    fn only_run(&self) -> KeptRun {
        let mut runs = Kept::find(&self.place()).unwrap();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    fn attach(&self) -> TakenOver {
        match self.only_run().attach().unwrap() {
            Attachment::Attached(taken_over) => *taken_over,
            other => panic!("{other:?}"),
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.data.path().join("output")).unwrap_or_default()
    }

    fn until_output_has(&self, line: &str) {
        until(line, || self.output().lines().any(|found| found == line));
    }

    fn sweep(&self) -> SweepReport {
        orphans(&SweepOptions { kill: true, ..SweepOptions::new(self.data.path()) }).unwrap()
    }

    /// Everything of whatever run was written down here, keeper and guardian too.
    fn processes(&self, mark: Mark) -> Vec<Sighting> {
        Census::take().unwrap().of(mark).cloned().collect()
    }

    fn records(&self) -> Vec<RunId> {
        let names = fs::read_dir(self.data.path().join("runs")).into_iter().flatten().flatten();
        names.filter_map(|entry| RunId::parse(entry.file_name().to_str()?)).collect()
    }

    fn mark(&self) -> Mark {
        let [run] = self.records()[..] else { panic!("{:?}", self.records()) };
        mark_of(run)
    }

    fn until_nothing_lives(&self, mark: Mark) {
        until("nothing of the run is left", || self.processes(mark).is_empty());
    }

    /// Whether the lock that was handed over is held by anybody.
    fn is_locked(&self) -> bool {
        !crate::storage::is_free(&File::open(self.data.path().join("session")).unwrap())
    }

    /// What nobody has received is closed by the kernel, in its own time.
    fn until_unlocked(&self) {
        until("nobody holds the lock", || !self.is_locked());
    }

    fn guards(&self, mark: Mark) -> [Guard; 2] {
        let named = |name: &str| {
            let guards = self.processes(mark).into_iter().filter(|sighting| sighting.worn.worker == 0);
            let is_called =
                |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
            let pid = guards.map(|guard| guard.pid.get()).find(|pid| is_called(*pid)).unwrap();
            Guard { pid, pidfd: pidfd_of(pid) }
        };
        [named("hatchery-keeper"), named("hatchery-guard")]
    }
}

impl Drop for Scene {
    /// What a failed test has left would live for ever.
    fn drop(&mut self) {
        for run in self.records() {
            end_marked(mark_of(run), DEADLINE, |_| false).unwrap();
        }
    }
}

struct Guard {
    pid: i32,
    pidfd: OwnedFd,
}

impl Guard {
    fn send(&self, signal: Signal) {
        pidfd_send_signal(&self.pidfd, signal).unwrap();
    }
}

impl TakenOver {
    fn say(&self, line: &str) {
        rustix::io::write(self.input.as_ref().unwrap(), format!("{line}\n").as_bytes()).unwrap();
    }

    async fn end(self) -> Status {
        let death = end(self.child, &Escalation::AT_ONCE, || ()).await;
        assert!(self.kept.closed(DEADLINE).await);
        death.status
    }
}

fn mark_of(run: RunId) -> Mark {
    Mark::of_run(run, Worn::by_this_process().map(|worn| worn.mark))
}

fn pidfd_of(pid: i32) -> OwnedFd {
    pidfd_open(rustix::process::Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "not for a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn place(data: &Path) -> Place {
    let runtime = RuntimeBase::below("/no/runtime".into());
    Place { instance: Instance::default(), data_dir: data.to_owned(), runtime }
}

fn spec(data: &Path, script: &str) -> Spec {
    let output = File::options().append(true).create(true).open(data.join("output")).unwrap();
    let stderr = Stdout::File(output.try_clone().unwrap().into());
    let stdio = Stdio { stdin: Stdin::Pipe, stdout: Stdout::File(output.into()), stderr };
    Spec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        cwd: Some(data.to_owned()),
        stdio,
        fds: Vec::new(),
        confinement: Confinement::default(),
    }
}

/// A lock on a file of the test's, as a session has one.
fn session(data: &Path) -> OwnedFd {
    let file = File::options().append(true).create(true).open(data.join("session")).unwrap();
    crate::storage::lock(file).unwrap().expect("nobody else has the session").into()
}

/// A supervisor in a process of its own. Dropped, it is killed.
struct Host {
    process: Process,
    orders: ChildStdin,
    words: BufReader<ChildStdout>,
}

/// No script, but another test that is the supervisor.
const WITHOUT_DESCRIPTORS: &str = "without descriptors";

const DATA: &str = "HATCHERY_TEST_KEPT_DATA";
const SCRIPT: &str = "HATCHERY_TEST_KEPT_SCRIPT";
const DIES_AT: &str = "HATCHERY_TEST_KEPT_DIES_AT";

impl Host {
    #[expect(clippy::disallowed_methods, reason = "a supervisor is nobody's worker")]
    fn start(data: &Path, script: &str, dies_at: Option<Step>) -> Host {
        let who = if script == WITHOUT_DESCRIPTORS { "door::a_host_without_descriptors" } else { "a_host" };
        let name = format!("{}::{who}", module_path!().split_once("::").unwrap().1);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(DATA, data).env(SCRIPT, script);
        dies_at.map(|step| command.env(DIES_AT, format!("{step:?}")));
        let mut process = command.stdin(Pipes::piped()).stdout(Pipes::piped()).spawn().unwrap();
        let (orders, words) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Host { process, orders, words: BufReader::new(words) }
    }

    /// Reads until it says this.
    fn expect(&mut self, word: &str) {
        let mut said = String::new();
        let found = self.words.by_ref().lines().map_while(std::io::Result::ok).any(|line| {
            said += &line;
            line.ends_with(word)
        });
        assert!(found, "{word}: {said}");
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// It ends by itself.
    fn wait(mut self) {
        self.process.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}

/// The life of a [`Host`]: keeps a run, or takes over the one that is there, and obeys.
#[test]
#[ignore = "the supervisor of other tests"]
fn a_host() {
    let data = PathBuf::from(std::env::var_os(DATA).expect("started by other tests"));
    let successor = match Kept::find(&place(&data)).unwrap().pop() {
        None => start(&data),
        Some(run) => match run.attach().unwrap() {
            Attachment::Attached(taken_over) => *taken_over,
            other => panic!("{other:?}"),
        },
    };
    println!("kept");
    let order = std::io::stdin().lines().next().unwrap().unwrap();
    match order.as_str() {
        "leave" => assert!(successor.kept.leave(successor.child)),
        // It is over before anybody can have heard of that.
        "drop" => drop(successor),
        other => panic!("{other}"),
    }
}

fn start(data: &Path) -> TakenOver {
    let dies_at = std::env::var(DIES_AT).ok();
    let die = |step: Step| {
        if dies_at.as_ref().is_some_and(|wanted| *wanted == format!("{step:?}")) {
            pidfd_send_signal(pidfd_of(getpid().as_raw_pid()), Signal::KILL).unwrap();
        }
    };
    let spec = spec(data, &std::env::var(SCRIPT).unwrap());
    let held = vec![session(data)];
    let (spawned, kept) = Kept::start_step_by_step(&place(data), RunId::random(), LABEL, spec, held, die).unwrap();
    let Spawned { child, stdin: input, .. } = spawned;
    TakenOver { kept, child, input, held: Vec::new() }
}
