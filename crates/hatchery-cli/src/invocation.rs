//! What every command has at hand: the global options, the printer, and the ways in which it can be told to stop.

use std::time::Duration;

use hatchery::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::cli::GlobalOptions;
use crate::colour::Paint;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::remote::{Versions, advice};
use crate::writer::WriteError;

/// How long an interrupted command waits for outputs that nobody may be reading. What a file or a living reader takes,
/// it takes well within it.
pub(crate) const PARTING: Duration = Duration::from_millis(500);

/// One run of the command.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) global: GlobalOptions,
    pub(crate) printer: Printer,
    /// What was found out about the version of the daemon that is asked.
    pub(crate) versions: Versions,
    interrupt: Interrupt,
}

impl Invocation {
    /// Takes over the signals and the outputs.
    pub(crate) fn new(global: GlobalOptions, interrupt: Interrupt) -> std::io::Result<Invocation> {
        let printer = Printer::new(&global)?;
        Ok(Invocation { global, printer, versions: Versions::default(), interrupt })
    }

    /// The outcome of the work, or the signal that came first. The work is dropped then.
    pub(crate) async fn unless_interrupted<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            // A signal that is there already beats work that would begin.
            biased;
            number = self.interrupt.first() => Err(Failure::Signal(number)),
            outcome = work => outcome.map_err(Into::into),
        }
    }

    /// Ends with the first signal, for work that ends by itself then.
    pub(crate) async fn told_to_end(&self) {
        self.interrupt.first().await;
    }

    /// The first signal's number, once so many have come, for work that ends by steps.
    pub(crate) async fn told_to_end_so_often(&self, count: u32) -> i32 {
        self.interrupt.after(count).await
    }

    /// How often SIGHUP has come, in a command that does not end with it.
    pub(crate) fn hangups(&self) -> watch::Receiver<u64> {
        self.interrupt.hangups()
    }

    /// The outcome of work that makes no sense once nobody reads its results.
    pub(crate) async fn while_read<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            outcome = work => outcome,
            () = hatchery::stdout_closed() => Err(Failure::StdoutClosed),
        }
    }

    /// Asks a daemon, and prints its answer.
    pub(crate) async fn show<T: DeserializeOwned, E: Into<Failure>>(
        &self,
        asked: impl Future<Output = Result<String, E>>,
        sheet: impl FnOnce(T, Paint) -> String,
    ) -> Result<Exit, Failure> {
        let text = self.unless_interrupted(asked).await?;
        self.print_answer(&text, sheet).await?;
        Ok(Exit::Success)
    }

    /// Prints what a daemon answered: its text for machines, a sheet made of it for people.
    pub(crate) async fn print_answer<T: DeserializeOwned>(
        &self,
        text: &str,
        sheet: impl FnOnce(T, Paint) -> String,
    ) -> Result<(), Failure> {
        if self.printer.json() {
            return Ok(self.printer.result(text).await?);
        }
        Ok(self.printer.text(&sheet(understood(text)?, self.printer.result_paint())).await?)
    }

    /// Says why the command failed if it did, lets the outputs finish, and knows the exit status.
    pub(crate) async fn conclude(&self, outcome: Result<Exit, Failure>) -> Exit {
        let outcome = outcome.map_err(|failure| failure.hinted(advice));
        let exit = match &outcome {
            Ok(exit) => *exit,
            Err(failure) => failure.exit(),
        };
        if exit == Exit::Drained {
            let _held_by_its_reader = tokio::time::timeout(PARTING, self.printer.flush()).await;
            return exit;
        }
        match self.unless_interrupted(self.last_words(outcome.err())).await {
            Ok(()) | Err(Failure::StdoutClosed) => exit,
            Err(Failure::Signal(number)) => {
                let _held_by_its_reader = tokio::time::timeout(PARTING, self.printer.flush()).await;
                // What an agent came to says whether the signal has ended it.
                if matches!(exit, Exit::Agent { .. }) { exit } else { Exit::Signal(number) }
            }
            // What failed first was told.
            Err(Failure::Error { .. }) if matches!(exit, Exit::Failed(_)) => exit,
            Err(Failure::Error { error, hint }) => {
                self.printer.error(&error, hint.as_deref()).await;
                let _stdout_has_failed = self.printer.flush().await;
                Exit::Failed(error.kind())
            }
        }
    }

    async fn last_words(&self, failure: Option<Failure>) -> Result<(), WriteError> {
        self.printer.progress().clear();
        if let Some(warning) = self.versions.warning().filter(|_| !self.global.quiet) {
            self.printer.message(&format!("{} {warning}", self.printer.message_paint().yellow("warning:"))).await;
        }
        if let Some(Failure::Error { error, hint }) = &failure {
            self.printer.error(error, hint.as_deref()).await;
        }
        self.printer.flush().await
    }
}

/// What a daemon answered, as this version knows it.
pub(crate) fn understood<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let strange =
        |why| Error::new(ErrorKind::Unavailable, format!("the daemon answers what this version does not know: {why}"));
    serde_json::from_str(text).map_err(strange)
}
