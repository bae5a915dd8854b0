//! Children of the tools: compilers, interpreters, test runners. Their output passes through as it comes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long the output may stay open after its program has ended, before that counts as a process left behind.
const LINGER: Duration = Duration::from_secs(5);

/// A command that reads nothing.
#[expect(clippy::disallowed_methods, reason = "compilers and interpreters are no workers; each is waited for")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end; an error names the command and what it ended with.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", line(command))) }
}

/// Runs a command and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", line(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("`{}` wrote no UTF-8: {error}", line(command)))
}

/// Which of a test runner's two outputs holds its counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// What was seen of a command that has ended.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    pub(crate) status: ExitStatus,
    /// What `read` made of the lines.
    pub(crate) seen: Vec<T>,
    /// Whether another process still held the output when the command had ended.
    pub(crate) held: bool,
}

/// Runs a command, passes one of its outputs on line by line, and collects what `read` makes of the lines.
pub(crate) fn watch<T: Send + 'static>(
    mut command: Command,
    stream: Stream,
    read: fn(&str) -> Option<T>,
) -> Result<Watched<T>, String> {
    match stream {
        Stream::Stdout => command.stdout(Stdio::piped()),
        Stream::Stderr => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    let lines = pass_on(&mut child, read);
    let status = child.wait().map_err(|error| format!("wait for `{}`: {error}", line(&command)))?;
    let (seen, held) = drain(&lines);
    Ok(Watched { status, seen, held })
}

/// The first program of this name on PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn pass_on<T: Send + 'static>(child: &mut Child, read: fn(&str) -> Option<T>) -> Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    let copy = move |input: Box<dyn Read + Send>, mut output: Box<dyn Write + Send>| {
        let mut lines = BufReader::new(input);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            // Whoever closed our own output no longer wants the lines; the counts still matter.
            let _ = output.write_all(&line).and_then(|()| output.flush());
            if let Some(seen) = read(String::from_utf8_lossy(&line).trim_end()) {
                let _ = sender.send(seen);
            }
            line.clear();
        }
    };
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || copy(Box::new(stdout), Box::new(std::io::stdout())));
    } else if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || copy(Box::new(stderr), Box::new(std::io::stderr())));
    }
    receiver
}

/// Everything seen until the output is closed, and whether it was still open after a while of silence.
fn drain<T>(lines: &Receiver<T>) -> (Vec<T>, bool) {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(LINGER) {
            Ok(line) => seen.push(line),
            Err(RecvTimeoutError::Disconnected) => return (seen, false),
            Err(RecvTimeoutError::Timeout) => return (seen, true),
        }
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("start `{}`: {error}", line(command))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
