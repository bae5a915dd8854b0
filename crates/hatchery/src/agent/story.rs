//! What a run says and what is known of it: lines are understood, written, and then acted on, in this order.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use super::books::Books;
use super::log::{Batch, LogWriter, Source, Spoken, Written};
use super::machine::{Change, Fact, Machine};
use super::order::StopReport;
use super::run::Seen;
use super::{AgentInfo, AgentRunId, Dialogue, Outcome, Signal, Stream, Tail};

/// One run, as it is told.
pub(super) struct Story {
    pub(super) dialogue: Box<dyn Dialogue>,
    pub(super) machine: Machine,
    pub(super) log: LogWriter,
    pub(super) books: Books,
    /// As it was last shown.
    pub(super) info: AgentInfo,
    pub(super) seen: watch::Sender<Seen>,
    /// When it was recorded.
    pub(super) began: Instant,
    pub(super) stdout: Voice,
    pub(super) stderr: Voice,
    /// A limit has passed, and it is to be ended for that.
    pub(super) is_past_a_limit: bool,
}

/// One of its outputs.
pub(super) struct Voice {
    source: Source,
    /// There is no more of it to come.
    is_over: bool,
    /// How its last line ended.
    tail: Tail,
}

/// Something that one of its outputs has given.
pub(super) struct Said(Stream, io::Result<Option<Batch>>);

impl Voice {
    pub(super) fn new(source: Source) -> Voice {
        Voice { source, is_over: false, tail: Tail::Missing }
    }
}

impl Story {
    /// Its process is there.
    pub(super) async fn begin(&mut self) {
        self.books.started(&self.info);
        self.hear(Fact::Spawned).await;
        if let Some(why) = self.stdout.source.unwatched() {
            self.warn(format!("its output is looked at ten times a second, as the kernel does not tell of it: {why}"))
                .await;
        }
    }

    /// What is said next; never, once all was said. Cancel safe.
    pub(super) async fn next(&mut self) -> Said {
        let Story { stdout, stderr, .. } = self;
        tokio::select! {
            biased;
            // The rarer one first, or it would not be heard beside the other.
            said = stderr.source.next(), if !stderr.is_over => Said(Stream::Stderr, said),
            said = stdout.source.next(), if !stdout.is_over => Said(Stream::Stdout, said),
            else => std::future::pending().await,
        }
    }

    pub(super) async fn listen(&mut self, Said(stream, said): Said) {
        match said {
            Ok(Some(batch)) => self.take(batch).await,
            Ok(None) => self.voice(stream).is_over = true,
            Err(error) => self.lose(stream, &error).await,
        }
        self.show();
    }

    /// Its process has ended: what it has left is read, to a bound, and then no more.
    pub(super) async fn hear_out(&mut self) {
        for stream in [Stream::Stderr, Stream::Stdout] {
            if let Err(error) = self.voice(stream).source.exited() {
                self.lose(stream, &error).await;
            }
        }
        while !(self.stdout.is_over && self.stderr.is_over) {
            let said = self.next().await;
            self.listen(said).await;
        }
    }

    /// Whatever else there may be is not read any more.
    pub(super) async fn give_up_listening(&mut self) {
        for stream in [Stream::Stderr, Stream::Stdout] {
            let voice = self.voice(stream);
            if !std::mem::replace(&mut voice.is_over, true)
                && let Some(rest) = voice.source.give_up()
            {
                self.take(rest).await;
            }
        }
        let tail = self.stdout.tail;
        self.hear(Fact::OutputEnded(tail)).await;
    }

    async fn lose(&mut self, stream: Stream, error: &io::Error) {
        let voice = self.voice(stream);
        voice.is_over = true;
        if let Some(rest) = voice.source.give_up() {
            self.take(rest).await;
        }
        self.warn(format!("reading its {} failed: {error}", name(stream))).await;
    }

    /// Whoever hears of a change finds the line that made it.
    async fn take(&mut self, mut batch: Batch) {
        let stream = batch.stream;
        for line in &mut batch.lines {
            line.signals = self.understand(stream, line);
        }
        if let Some(last) = batch.lines.last() {
            self.voice(stream).tail = if last.end == 0 { Tail::Partial(last.length) } else { Tail::Clean };
        }
        self.info.bytes += batch.len();
        let said: Vec<Vec<Signal>> = batch.lines.iter().map(|line| line.signals.clone()).collect();
        let written = self.log.write(batch, self.age()).await;
        self.is_written(written);
        for signals in said {
            self.hear(Fact::Line(stream)).await;
            for signal in &signals {
                self.hear(Fact::Signal(signal)).await;
            }
        }
    }

    /// A line that was too long to be kept means nothing, and neither does one that was cut by the end.
    fn understand(&mut self, stream: Stream, line: &Spoken) -> Vec<Signal> {
        match &line.text {
            Some(text) if line.end > 0 && stream == Stream::Stdout => self.dialogue.stdout(text),
            Some(text) if line.end > 0 => self.dialogue.stderr(text),
            _ => Vec::new(),
        }
    }

    fn voice(&mut self, stream: Stream) -> &mut Voice {
        if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout }
    }
}

/// What follows.
impl Story {
    pub(super) async fn hear(&mut self, fact: Fact<'_>) {
        let changes = self.machine.hear(fact, Instant::now());
        self.follow(changes).await;
    }

    pub(super) async fn pass_time(&mut self) {
        let changes = self.machine.pass(Instant::now());
        self.follow(changes).await;
        self.show();
    }

    async fn follow(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::State => self.books.state(&self.info, self.machine.state()),
                Change::Session { now, .. } => {
                    if let Some(warning) = self.books.session(&self.info, &now).await {
                        self.warn(warning).await;
                    }
                }
                Change::Resumable => {}
                Change::StartLate { after } => self.warn(format!("it has not said who it is for {after:?}")).await,
                Change::LimitNear { limit, left } => self.warn(format!("{limit} passes in {left:?}")).await,
                Change::LimitPassed { limit } => {
                    self.is_past_a_limit = true;
                    self.warn(format!("{limit} has passed: it is stopped")).await;
                }
            }
        }
    }

    /// A line of our own, which its user should see.
    pub(super) async fn warn(&mut self, text: String) {
        self.books.warned(&self.info, &text);
        let written = self.log.note(Bytes::from(text.clone()), vec![Signal::Warning { text }], self.age()).await;
        self.is_written(written);
    }

    fn is_written(&mut self, written: Written) {
        self.info.events = written.last;
        self.info.notes.extend(written.trouble.map(|trouble| trouble.to_string()));
    }

    /// Shows what is so now, if it is not what was shown.
    pub(super) fn show(&mut self) {
        self.learn();
        let info = &self.info;
        let has_changed = self.seen.send_if_modified(|seen| {
            let differs = *seen.info != *info;
            if differs {
                seen.info = Arc::new(info.clone());
            }
            differs
        });
        if has_changed {
            self.books.keep(&self.info);
        }
    }

    fn learn(&mut self) {
        let machine = &self.machine;
        self.info.state = machine.state().clone();
        self.info.sessions = machine.sessions().to_vec();
        self.info.resumable = machine.resumable().or(self.info.resumable);
        self.info.turns = machine.turns();
        self.info.usage = machine.usage();
    }

    /// The last that is shown: nothing follows.
    pub(super) fn conclude(mut self, report: impl FnOnce(&Outcome, AgentRunId) -> Option<StopReport>) {
        let report = self.machine.outcome().and_then(|outcome| report(outcome, self.info.run));
        self.seen.send_if_modified(|seen| {
            seen.report = report;
            false
        });
        self.learn();
        self.books.over(&self.info);
        // Whoever sees that it is over can start another run on its conversation.
        self.show();
    }

    pub(super) fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "standard output",
        Stream::Stderr => "standard error",
        Stream::Host => "notes",
    }
}
