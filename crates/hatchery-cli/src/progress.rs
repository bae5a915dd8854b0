//! The one line on the terminal that changes: how far a map or a tool is. On anything but a terminal it does not exist.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A tool's fraction in steps that an eye can tell apart.
const STEPS: f64 = 1000.0;

/// How often the line is drawn, per second, at most.
const DRAWN: u8 = 15;

/// Clones draw the same line.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Whether somebody looks. Until there is something to say, the bar is hidden all the same.
    shown: bool,
}

impl Progress {
    /// Draws on stderr if that is a terminal and `wanted`; else does nothing, at no cost.
    pub(crate) fn on_stderr(wanted: bool) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Progress { bar, shown: wanted && io::stderr().is_terminal() }
    }

    /// The bar, if there is one to write around.
    pub(crate) fn bar(&self) -> Option<ProgressBar> {
        self.shown.then(|| self.bar.clone())
    }

    fn show(&self, template: &str) {
        self.bar.set_style(style(template));
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWN));
        }
    }

    /// What a tool says about itself.
    pub(crate) fn tool(&self, worker: &str, fraction: Option<f64>, message: &str) {
        if !self.shown {
            return;
        }
        self.bar.set_prefix(worker.to_owned());
        self.bar.set_message(message.to_owned());
        match fraction {
            Some(fraction) => {
                self.show("{prefix} | {bar:24} {percent:>3} % {msg}");
                self.bar.set_length(STEPS as u64);
                self.bar.set_position((fraction.clamp(0.0, 1.0) * STEPS) as u64);
            }
            None => self.show("{prefix} | {msg}"),
        }
        self.bar.tick();
    }

    /// Begins to count the lines of a map: through a file of so many bytes, or through an input without a known end.
    pub(crate) fn begin_lines(&self, bytes: Option<u64>) {
        if !self.shown {
            return;
        }
        let template = if bytes.is_some() { "{bar:32} {percent:>3} %  {msg}  {eta} left" } else { "{msg}  {elapsed}" };
        self.show(template);
        if let Some(bytes) = bytes {
            self.bar.set_length(bytes);
        }
    }

    /// So many lines are done, and with them the input up to here; so many of them failed.
    pub(crate) fn lines(&self, done: u64, failed: u64, up_to: u64) {
        if !self.shown {
            return;
        }
        let failures = if failed == 0 { String::new() } else { format!(", {failed} failed") };
        self.bar.set_message(format!("{done} lines{failures}"));
        self.bar.set_position(up_to);
    }

    /// How much of a load test is over.
    pub(crate) fn load(&self, calls: u64, elapsed: Duration) {
        if !self.shown {
            return;
        }
        self.show("{msg}");
        self.bar.set_message(format!("{calls} calls in {:.0} s", elapsed.as_secs_f64()));
        self.bar.tick();
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A template of ours that did not parse would show as the default bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
