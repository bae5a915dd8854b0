//! What travels with a call: its options, its deadline, and the names of the stages that a deadline may pass in.

mod span;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::id::new_correlation_id;
use crate::waiting::Errand;

pub(crate) use span::Span;

/// What else a worker is told of a call. Few calls have any, and it is not to weigh on the others.
pub(crate) type Metadata = Arc<BTreeMap<String, String>>;

/// Options of one call. `CallOptions::default()` takes everything from the pool.
///
/// ```
/// use std::time::Duration;
/// let options = hatchery::CallOptions::new().timeout(Duration::from_secs(2)).correlation_id("order-4711");
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) correlation_id: Option<Arc<str>>,
    pub(crate) session: Option<String>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) worker: Option<Arc<str>>,
    pub(crate) priority: Priority,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) idempotent: bool,
    pub(crate) handles: bool,
    pub(crate) trace_parent: Option<Arc<str>>,
    pub(crate) metadata: Option<Metadata>,
    /// Each call is a span, for this share of those that are part of none.
    spanned: Option<f64>,
    /// That of the one call that these are the options of.
    pub(crate) span: Option<Span>,
    /// Of a worker's call that waits for this one.
    pub(crate) errand: Option<Errand>,
    /// The worker has something of the session, whoever serves it: it is named beside the session, and binds it to nobody.
    pub(crate) is_directed: bool,
}

impl CallOptions {
    /// Nothing set.
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// How long the call may take from now until its result is here, all stages together. For a stream, until its
    /// last chunk. Beats the app's and the pool's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> CallOptions {
        self.timeout = Some(timeout);
        self
    }

    /// The id under which the call appears in `ctx`, logs, errors and events. Without one, hatchery makes one.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> CallOptions {
        self.correlation_id = Some(id.into().into());
        self
    }

    /// The session that the tool sees as `ctx.session_id`.
    #[must_use]
    pub fn session(mut self, id: impl Into<String>) -> CallOptions {
        self.session = Some(id.into());
        self
    }

    /// What the call may do if its session's worker cannot take it. Beats the pool's.
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> CallOptions {
        self.affinity = Some(affinity);
        self
    }

    /// The one worker of the pool that is to run the call, by its id. It waits for its turn there; `unavailable` if that worker takes
    /// no calls or goes away before, `not_found` if there is none of this id. Not together with a session, which says itself who
    /// serves it: `validation`.
    #[must_use]
    pub fn worker(mut self, id: impl Into<Arc<str>>) -> CallOptions {
        self.worker = Some(id.into());
        self
    }

    /// Whose turn comes first, where calls wait. Calls of one session keep their order, whatever this says.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> CallOptions {
        self.priority = priority;
        self
    }

    /// On whose behalf: where calls of several tenants wait, they take turns. Default: none, which is a tenant too.
    #[must_use]
    pub fn tenant(mut self, label: impl Into<Arc<str>>) -> CallOptions {
        self.tenant = Some(label.into());
        self
    }

    /// Running it twice does no harm: it is made again, until its deadline, if its worker dies.
    #[must_use]
    pub fn idempotent(mut self, yes: bool) -> CallOptions {
        self.idempotent = yes;
        self
    }

    /// Values of the result that lie on a device stay there, each to be named by a [`Handle`](crate::Handle). Without it they are
    /// copied to memory.
    #[must_use]
    pub fn handles(mut self, yes: bool) -> CallOptions {
        self.handles = yes;
        self
    }

    /// A fact that the worker is told beside the arguments, by its name. Only workers that an embedder's [`Profile`](crate::Profile) or
    /// [`Transport`](crate::Transport) serves know of such; for those of the native wire such a call is `validation`.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> CallOptions {
        Arc::make_mut(self.metadata.get_or_insert_default()).insert(name.into(), value.into());
        self
    }

    /// The span that the call is part of, as the W3C's `traceparent`: `00-<trace id>-<span id>-<flags>`. The tool sees it as
    /// `ctx.traceparent`.
    ///
    /// # Errors
    /// `validation` if it is not of that form.
    pub fn trace_parent(mut self, text: &str) -> Result<CallOptions, Error> {
        if !is_trace_parent(text) {
            let expected = "expected 00-<32 hexadecimal digits>-<16>-<2> in lower case, the first two not zero";
            return Err(Error::new(ErrorKind::Validation, format!("traceparent: {expected}, found {text:?}")));
        }
        self.trace_parent = Some(text.into());
        Ok(self)
    }

    /// The call is a span of its own, part of that of [`CallOptions::trace_parent`] if that is sampled. Of calls without one this
    /// share, from 0 to 1, begins a trace. The tool sees the call's span as its `ctx.traceparent`, and `call.finished` has it; who
    /// asks for this exports it.
    #[must_use]
    pub fn spanned(mut self, share: f64) -> CallOptions {
        self.spanned = Some(share);
        self
    }

    /// Of one call: with a correlation id, the caller's or a new one, and with a span of its own, if it is to be one.
    pub(crate) fn identified(&self) -> CallOptions {
        let mut options = self.clone();
        options.correlation_id.get_or_insert_with(new_correlation_id);
        // Taken, so that who is identified already stays what it is.
        if let Some(share) = options.spanned.take() {
            options.span = Span::sampled(options.trace_parent.as_deref(), share);
        }
        if let Some(span) = &options.span {
            options.trace_parent = Some(Arc::clone(&span.own));
        }
        options
    }

    /// Puts the correlation id into an error of the call.
    pub(crate) fn mark(&self, error: Error) -> Error {
        match &self.correlation_id {
            Some(id) => error.with_correlation_id(id),
            None => error,
        }
    }
}

/// What a call of a session may do if the session's worker cannot take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// Go to another worker.
    #[default]
    Hint,
    /// Wait for that worker. If it is gone, so is the session's state: `unavailable`.
    StrictQueue,
    /// Fail with `conflict` if that worker is busy, with `unavailable` if it is gone.
    StrictFailFast,
}

/// Whose turn comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After everything else.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

impl Affinity {
    const WORDS: [(&str, Affinity); 3] = [
        ("hint", Affinity::Hint),
        ("strict-queue", Affinity::StrictQueue),
        ("strict-fail-fast", Affinity::StrictFailFast),
    ];
}

impl Priority {
    const WORDS: [(&str, Priority); 3] =
        [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)];
}

/// As in the shell and in headers: `strict-queue`; underscores and capitals are as good.
impl std::str::FromStr for Affinity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Affinity, Error> {
        one_of(&Affinity::WORDS, text)
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_for(&Affinity::WORDS, self))
    }
}

/// `low`, `normal` or `high`.
impl std::str::FromStr for Priority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Priority, Error> {
        one_of(&Priority::WORDS, text)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_for(&Priority::WORDS, self))
    }
}

/// Of version 00, or of a later one that begins the same (Trace Context, section 3.2).
fn is_trace_parent(text: &str) -> bool {
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length: usize| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let mut parts = text.splitn(5, '-');
    let mut part = || parts.next().unwrap_or_default();
    let (version, trace, span, flags) = (part(), part(), part(), part());
    let is_complete = parts.next().is_none() || version != "00";
    let is_version = is_hex(version, 2) && version != "ff" && text.len() <= LONGEST_TRACE_PARENT;
    is_version && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2) && is_complete
}

/// Of a later version. One of version 00 has 55 characters.
const LONGEST_TRACE_PARENT: usize = 128;

fn one_of<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, Error> {
    let said = text.to_ascii_lowercase().replace('_', "-");
    let found = words.iter().find(|(word, _)| *word == said).map(|(_, meaning)| *meaning);
    let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| Error::new(ErrorKind::Validation, format!("expected one of {}, found {text:?}", expected())))
}

fn word_for<'a, T: PartialEq>(words: &[(&'a str, T)], meaning: &T) -> &'a str {
    words.iter().find(|(_, other)| other == meaning).map_or("", |(word, _)| word)
}

/// Where a call, or a start, was when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waiting for the worker to say that it is ready.
    Start,
    /// Waiting for a free worker.
    Queue,
    /// In the worker.
    Run,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Start => "while the worker was starting",
            Stage::Queue => "while waiting in the queue",
            Stage::Run => "while the worker ran it",
        })
    }
}

/// One absolute point in time, set once when the call is made; stages only look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    allowed: Duration,
    at: Instant,
}

impl Deadline {
    /// `None` when the timeout is so long that the clock cannot express it, which is as good as none.
    pub(crate) fn after(now: Instant, allowed: Duration) -> Option<Deadline> {
        Some(Deadline { allowed, at: now.checked_add(allowed)? })
    }

    /// What is left at `now`; zero once it has passed.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    pub(crate) fn error(&self, stage: Stage) -> Error {
        Error::new(ErrorKind::Deadline, format!("deadline of {:?} passed {stage}", self.allowed))
    }
}

/// Waits until the deadline, for ever if there is none.
pub(crate) async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for (word, affinity) in Affinity::WORDS {
            assert_eq!((word.parse::<Affinity>().unwrap(), affinity.to_string().as_str()), (affinity, word));
        }
        assert_eq!("Strict_Queue".parse::<Affinity>().unwrap(), Affinity::StrictQueue);
        assert_eq!("HIGH".parse::<Priority>().unwrap(), Priority::High);
        let error = "urgent".parse::<Priority>().unwrap_err();
        assert_eq!(error.message(), "expected one of low, normal, high, found \"urgent\"");
    }

    #[test]
    fn each_call_is_a_span_of_its_own() {
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let options = CallOptions::new().trace_parent(caller).unwrap().spanned(0.0);
        let (first, second) = (options.identified(), options.identified());
        assert_ne!(first.span, second.span);
        for call in [first.identified(), second] {
            let span = call.span.unwrap();
            assert_eq!(
                (span.parent.as_deref(), call.trace_parent.as_ref()),
                (Some("00f067aa0ba902b7"), Some(&span.own))
            );
        }
        assert_eq!(first.identified().span, first.span, "once for each call");
    }

    #[test]
    fn a_trace_parent_is_that_of_the_w3c() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for good in [format!("00-{trace}-01"), format!("00-{trace}-ff"), format!("cc-{trace}-01-later")] {
            assert_eq!(CallOptions::new().trace_parent(&good).unwrap().trace_parent.as_deref(), Some(good.as_str()));
        }
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let upper = format!("00-{}-01", trace.to_uppercase());
        let long = format!("cc-{trace}-01-{}", "x".repeat(100));
        let more = format!("00-{trace}-01-more");
        for bad in ["", "00", "é", &zeros, &upper, &long, &more, &format!("ff-{trace}-01"), &format!("00-{trace}-1")] {
            let error = CallOptions::new().trace_parent(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation, "{bad}");
        }
    }

    #[test]
    fn a_timeout_past_the_end_of_time_is_none() {
        assert!(Deadline::after(Instant::now(), Duration::MAX).is_none());
    }

    #[test]
    fn the_error_names_the_stage() {
        let deadline = Deadline::after(Instant::now(), Duration::from_millis(250)).unwrap();
        let error = deadline.error(Stage::Queue);
        assert_eq!(error.to_string(), "deadline of 250ms passed while waiting in the queue");
        assert_eq!(error.kind(), ErrorKind::Deadline);
    }
}
