//! A folder, an environment and the processes of one test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; whoever waits so long waits for what will not come.
const PATIENCE: Duration = Duration::from_secs(90);

/// Everything in it carries a mark in its environment, by which what is left of it can be found.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// An empty folder.
    pub(crate) fn new() -> Sandbox {
        Sandbox { folder: tempfile::tempdir().unwrap() }
    }

    /// With `app.py`, the tools of all tests.
    pub(crate) fn with_app() -> Sandbox {
        Sandbox::with(include_str!("apps/app.py"))
    }

    /// With this as `app.py`.
    pub(crate) fn with(app: &str) -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", app);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text, for arguments.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `hatchery` with these words, in the folder.
    #[expect(clippy::disallowed_methods, reason = "a test is the user of the command, and waits for it")]
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hatchery"));
        command.args(words).current_dir(self.folder.path()).env("HATCHERY_TEST_MARK", self.mark());
        command.env("XDG_CACHE_HOME", self.path("cache")).env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        for name in
            ["NO_COLOR", "HATCHERY_PYTHON", "HATCHERY_DATA_DIR", "HATCHERY_ADDR", "HATCHERY_TOKEN", "PYTHONPATH"]
        {
            command.env_remove(name);
        }
        let is_configuration = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("HATCHERY__");
        for name in std::env::vars_os().map(|(name, _)| name).filter(is_configuration) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A line of the shell, in which `"$0"` is `hatchery`. For what only a shell can do to a command's descriptors.
    #[expect(clippy::disallowed_methods, reason = "a test is the user of the command, and waits for it")]
    pub(crate) fn shell(&self, line: &str) -> Finished {
        let hatchery = self.command(&[]);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).arg(hatchery.get_program()).current_dir(self.folder.path());
        for (name, value) in hatchery.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(shell.spawn().unwrap()).finish()
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        self.start(words).finish()
    }

    /// Runs it with this on its stdin.
    pub(crate) fn run_with_input(&self, words: &[&str], input: &str) -> Finished {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let finished = Running::new(child).finish();
        writer.join().unwrap();
        finished
    }

    /// Starts the command.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        Running::new(self.command(words).spawn().unwrap())
    }

    /// Waits until the file exists, which a tool makes.
    pub(crate) fn wait_for(&self, name: &str) {
        wait_until(&format!("{name} exists"), || self.path(name).exists());
    }

    fn mark(&self) -> &Path {
        self.folder.path()
    }

    /// The processes that carry the mark.
    fn processes(&self) -> Vec<String> {
        let mark = format!("HATCHERY_TEST_MARK={}", self.mark().display()).into_bytes();
        let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let carries = |folder: &PathBuf| {
            std::fs::read(folder.join("environ"))
                .is_ok_and(|text| text.split(|byte| *byte == 0).any(|entry| entry == mark))
        };
        folders.filter(carries).map(|folder| folder.display().to_string()).collect()
    }
}

impl Drop for Sandbox {
    /// A test that failed has said enough.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            wait_until("no process is left", || self.processes().is_empty());
        }
    }
}

/// Polls a condition that must come true.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    eventually(what, || condition().then_some(()));
}

/// Polls until there is an answer.
pub(crate) fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(found) => return found,
            None => assert!(Instant::now() < end, "waited in vain until {what}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command that runs. It is ended if the test fails.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
    /// Of stderr, as far as it was read.
    said: Arc<Mutex<Vec<u8>>>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status; none if a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn new(mut child: Child) -> Running {
        let stdout = child.stdout.take().map(BufReader::new);
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let heard = Arc::clone(&said);
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(move || listen(stderr, &heard)));
        Running { child, stdout, stderr, said }
    }

    /// Whether it has said this on stderr.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.said.lock().unwrap()).contains(text)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Closes the reading end of stdout.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends a signal to the command, and to nothing else.
    #[expect(clippy::disallowed_methods, reason = "the process is our child and not yet waited for")]
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Sends a signal to the command's process group.
    #[expect(clippy::disallowed_methods, reason = "the leader is our child and not yet waited for")]
    pub(crate) fn signal_group(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process_group(pid, signal).unwrap();
    }

    /// Waits until the command has a thread of this name.
    pub(crate) fn wait_for_thread(&self, name: &str) {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let is_named =
            |task: PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
        wait_until(&format!("a thread {name} runs"), || {
            std::fs::read_dir(&tasks).unwrap().flatten().any(|entry| is_named(entry.path()))
        });
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let stdout = self.stdout.take().map(|stdout| std::thread::spawn(move || read_all(stdout)));
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None => assert!(Instant::now() < end, "the command does not end"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = |reader: Option<JoinHandle<String>>| reader.map(|thread| thread.join().unwrap()).unwrap_or_default();
        Finished { status, stdout: text(stdout), stderr: text(self.stderr.take()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _has_ended_already = self.child.kill();
        let _is_reaped_already = self.child.wait();
    }
}

/// To its end, and for others to see meanwhile.
fn listen(mut source: impl Read, heard: &Mutex<Vec<u8>>) -> String {
    let mut bytes = [0; 4096];
    loop {
        match source.read(&mut bytes).unwrap() {
            0 => return String::from_utf8_lossy(&heard.lock().unwrap()).into_owned(),
            count => heard.lock().unwrap().extend_from_slice(&bytes[..count]),
        }
    }
}

fn read_all(mut source: impl Read) -> String {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Finished {
    /// Ended with this status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Finished {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// Printed this as its result, and a line end.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Finished {
        assert_eq!(self.stdout, if text.is_empty() { String::new() } else { format!("{text}\n") }, "{self:#?}");
        self
    }

    /// Said this on stderr.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Finished {
        assert!(self.stderr.contains(text), "not said: {text}\n{self:#?}");
        self
    }

    /// Said nothing of this on stderr.
    #[track_caller]
    pub(crate) fn hides(self, text: &str) -> Finished {
        assert!(!self.stderr.contains(text), "said: {text}\n{self:#?}");
        self
    }

    /// The result as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| panic!("{why}: {self:#?}"))
    }
}
