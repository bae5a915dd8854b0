//! What goes to stdout and to stderr. Results go to stdout and nothing else does; nothing here panics or blocks, and a
//! closed stderr is nobody's concern.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hatchery::{Error, ErrorKind};
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::colour::Paint;
use crate::exit::Failure;
use crate::json_layout;
use crate::progress::Progress;
use crate::writer::{WriteError, Writer};

/// Prints results, messages and errors.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    stdout: Writer,
    stderr: Writer,
    /// Whether results are for machines.
    json: bool,
    /// Whether a person reads stdout.
    pretty: bool,
    result_paint: Paint,
    message_paint: Paint,
    /// Whether the lines of workers are on stderr already when an error repeats the last of them.
    shows_workers: Arc<AtomicBool>,
    progress: Progress,
}

impl Printer {
    /// The printer of these options. Starts a thread for each output.
    pub(crate) fn new(options: &GlobalOptions) -> io::Result<Printer> {
        let progress = Progress::on_stderr(!options.quiet);
        let stdout_is_terminal = io::stdout().is_terminal();
        // A bar on the same terminal must get out of the way of a result; a result for a pipe must not wait for the bar.
        let bar_in_the_way = progress.bar().filter(|_| stdout_is_terminal);
        Ok(Printer {
            stdout: Writer::start(rustix::stdio::stdout(), bar_in_the_way)?,
            stderr: Writer::start(rustix::stdio::stderr(), progress.bar())?,
            json: options.json,
            pretty: stdout_is_terminal && !options.json,
            result_paint: options.color.paint_for(&io::stdout()),
            message_paint: options.color.paint_for(&io::stderr()),
            shows_workers: Arc::default(),
            progress,
        })
    }

    /// The line that shows progress.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// From now on the lines of workers are shown as they come.
    pub(crate) fn workers_are_shown(&self) {
        self.shows_workers.store(true, Ordering::Relaxed);
    }

    /// Whether results are to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// The colours of human results.
    pub(crate) fn result_paint(&self) -> Paint {
        if self.json { self.result_paint.off() } else { self.result_paint }
    }

    /// The colours of messages on stderr.
    pub(crate) fn message_paint(&self) -> Paint {
        self.message_paint
    }

    /// The one result of a command: JSON text on one line, or laid out on a terminal.
    pub(crate) async fn result(&self, json: &str) -> Result<(), WriteError> {
        if self.pretty {
            return self.text(&json_layout::indented(json, self.result_paint())).await;
        }
        self.line(json).await
    }

    /// One of several results: JSON text on one line.
    pub(crate) async fn line(&self, json: &str) -> Result<(), WriteError> {
        self.text(&json_layout::one_line(json, self.result_paint())).await
    }

    /// A value of ours as the one JSON document.
    pub(crate) async fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|why| Error::new(ErrorKind::Internal, format!("write JSON: {why}")))?;
        Ok(self.line(&text).await?)
    }

    /// Text for people, as a result.
    pub(crate) async fn text(&self, text: &str) -> Result<(), WriteError> {
        self.stdout.write(format!("{text}\n")).await
    }

    /// Bytes as they are.
    pub(crate) async fn bytes(&self, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.stdout.write(bytes).await
    }

    /// Text for people, beside the results.
    pub(crate) async fn message(&self, text: &str) {
        let _closed_stderr_is_no_failure = self.stderr.write(format!("{text}\n")).await;
    }

    /// Bytes of somebody else, beside the results.
    pub(crate) async fn message_bytes(&self, bytes: Vec<u8>) {
        let _closed_stderr_is_no_failure = self.stderr.write(bytes).await;
    }

    /// Why the command failed: on stderr for people, on stdout for machines. The hint is for people.
    pub(crate) async fn error(&self, error: &Error, hint: Option<&str>) {
        self.progress.clear();
        if self.json {
            let _nobody_reads = self.line(&error_line(error)).await;
        } else {
            let told = if self.shows_workers.load(Ordering::Relaxed) { &[] } else { error.last_output() };
            self.message(&human(error, told, hint, self.message_paint)).await;
        }
    }

    /// Waits until all is written.
    pub(crate) async fn flush(&self) -> Result<(), WriteError> {
        let _closed_stderr_is_no_failure = self.stderr.flush().await;
        self.stdout.flush().await
    }
}

/// An error as scripts read it.
pub(crate) fn error_line(error: &Error) -> String {
    serde_json::json!({ "error": error.to_json() }).to_string()
}

/// The sentence, then what the worker said, then what to do.
fn human(error: &Error, last_output: &[String], hint: Option<&str>, paint: Paint) -> String {
    let mut text = format!("{} {}", paint.red("error:"), sentence(error));
    if let Some(traceback) = error.traceback() {
        add_lines(&mut text, traceback.trim_end().lines(), "", paint);
    }
    if !last_output.is_empty() {
        text.push_str("\nlast output of the worker:");
        add_lines(&mut text, last_output.iter().map(String::as_str), "  ", paint);
    }
    if let Some(hint) = hint {
        let _strings_do_not_fail = write!(text, "\n{} {hint}", paint.cyan("hint:"));
    }
    text
}

/// The message of an exception may be anything, and often is empty; its type is what says that it is one.
fn sentence(error: &Error) -> Cow<'_, str> {
    match error.python_type() {
        Some(exception) if error.kind() == ErrorKind::Remote && error.message().is_empty() => {
            format!("the tool raised {exception}").into()
        }
        Some(exception) if error.kind() == ErrorKind::Remote => {
            format!("the tool raised {exception}: {}", error.message()).into()
        }
        _ => error.message().into(),
    }
}

fn add_lines<'a>(text: &mut String, lines: impl Iterator<Item = &'a str>, indent: &str, paint: Paint) {
    for line in lines {
        let _strings_do_not_fail = write!(text, "\n{indent}{}", paint.dim(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn human(error: &Error, hint: Option<&str>, paint: Paint) -> String {
        super::human(error, error.last_output(), hint, paint)
    }

    #[test]
    fn an_error_is_one_line_and_a_hint() {
        let error = Error::new(ErrorKind::Validation, "word_count: missing argument `text`");
        assert_eq!(human(&error, None, Paint::PLAIN), "error: word_count: missing argument `text`");
        let error = Error::new(ErrorKind::NotFound, "no such tool: wordcount");
        let expected = "error: no such tool: wordcount\nhint: app.py has word_count";
        assert_eq!(human(&error, Some("app.py has word_count"), Paint::PLAIN), expected);
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let error = Error::new(ErrorKind::Validation, "no");
        assert_eq!(human(&error, None, Paint::BRIGHT), "\x1b[1;31merror:\x1b[0m no");
    }

    #[test]
    fn what_the_worker_said_comes_after_the_sentence() {
        let error = Error::new(ErrorKind::WorkerDied, "worker default-1 died: exit status 3");
        let said = ["one".to_owned(), "two".to_owned()];
        let expected = "error: worker default-1 died: exit status 3\nlast output of the worker:\n  one\n  two";
        assert_eq!(super::human(&error, &said, None, Paint::PLAIN), expected);
    }

    #[test]
    fn an_error_for_scripts_is_one_object() {
        let error = Error::new(ErrorKind::Saturated, "queue is full");
        assert_eq!(error_line(&error), r#"{"error":{"kind":"saturated","message":"queue is full","retryable":true}}"#);
    }
}
