//! SIGINT, SIGTERM, SIGHUP and SIGQUIT, handled the same: the first asks for an orderly end, the second for an immediate one.
//! To a daemon SIGHUP means something else, and an agent has more ends than these two.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Knows which signals came. From its making on, none of the four ends the process by itself.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    seen: watch::Receiver<Seen>,
    hangups: watch::Receiver<u64>,
}

/// What SIGHUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal is gone.
    Ends,
    /// The configuration is to be read again.
    Reloads,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    first: Option<i32>,
    count: u32,
}

impl Interrupt {
    /// Listens from now on, by a task on the current runtime.
    pub(crate) fn listen(meaning: Hangup) -> io::Result<Interrupt> {
        let (sender, seen) = watch::channel(Seen::default());
        let (reloads, hangups) = watch::channel(0);
        let hangup = if is_ignored(SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) };
        let (hangup, for_reloads) = match meaning {
            Hangup::Ends => (hangup, None),
            Hangup::Reloads => (None, hangup),
        };
        let signals = Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup,
        };
        tokio::spawn(count(signals, sender));
        tokio::spawn(count_hangups(for_reloads, reloads));
        Ok(Interrupt { seen, hangups })
    }

    /// How often SIGHUP has come, where that is to reload.
    pub(crate) fn hangups(&self) -> watch::Receiver<u64> {
        self.hangups.clone()
    }

    /// The first signal's number, once it has come.
    pub(crate) async fn first(&self) -> i32 {
        self.after(1).await
    }

    /// The first signal's number, once so many have come.
    pub(crate) async fn after(&self, count: u32) -> i32 {
        let mut seen = self.seen.clone();
        match seen.wait_for(|seen| seen.count >= count).await.map(|seen| seen.first) {
            Ok(Some(number)) => number,
            // The counting task lives as long as the runtime that drives us.
            _ => std::future::pending().await,
        }
    }
}

async fn count(mut signals: Signals, seen: watch::Sender<Seen>) {
    loop {
        let number = signals.next().await;
        seen.send_modify(|seen| {
            seen.first.get_or_insert(number);
            seen.count += 1;
        });
    }
}

/// For as long as somebody looks, also if none can come.
async fn count_hangups(hangup: Option<Signal>, seen: watch::Sender<u64>) {
    let Some(mut hangup) = hangup else { return seen.closed().await };
    while hangup.recv().await.is_some() {
        seen.send_modify(|count| *count += 1);
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) -> i32 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let kind = tokio::select! {
            // Of several that came at once, the same one is always told of.
            biased;
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.quit.recv() => SignalKind::quit(),
            _ = hangup => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}

/// Whether whoever started us wants us to outlive this signal (`nohup`). Where the kernel does not say, it is not so.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}
