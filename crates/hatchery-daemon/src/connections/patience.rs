//! How long a client is waited for: for a request of somebody who is let in, and for it to take something of its answers. An
//! answer waits for its client when the connection does not ask it for more, be it that the socket is full or that the client of
//! HTTP/2 opens no window.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

/// What is waited for on a connection.
#[derive(Debug)]
pub(crate) struct Patience(Mutex<Waits>);

#[derive(Debug)]
struct Waits {
    /// Since when nobody has asked who is let in; `None` if who asked last was.
    known: Option<Instant>,
    /// Since when the socket has taken nothing.
    write: Option<Instant>,
    /// Since when each answer has not been asked for more; `None` while it is us that the client waits for.
    answers: Slab<Option<Instant>>,
}

/// An answer that is under way. Dropped, nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Answer {
    of: Arc<Patience>,
    key: usize,
}

impl Patience {
    /// The client has just come.
    pub(crate) fn new() -> Patience {
        Patience(Mutex::new(Waits { known: Some(Instant::now()), write: None, answers: Slab::new() }))
    }

    /// Somebody asks who is let in, and may then be silent for as long as they like.
    pub(crate) fn known(&self) {
        self.waits().known = None;
    }

    /// Somebody asks who is not let in: another request is waited for as for a first one, and more of this kind do not help.
    pub(crate) fn unknown(&self) {
        self.waits().known.get_or_insert_with(Instant::now);
    }

    /// Somebody asks for what needs no credential, and may do so again in a while.
    pub(crate) fn passing(&self) {
        self.waits().known = Some(Instant::now());
    }

    /// An answer begins: from now on the client is to take it.
    pub(crate) fn answer(self: &Arc<Patience>) -> Answer {
        let key = self.waits().answers.insert(Some(Instant::now()));
        Answer { of: Arc::clone(self), key }
    }

    /// The socket was given something; is it full?
    pub(crate) fn writes(&self, is_full: bool) {
        let mut waits = self.waits();
        waits.write = if is_full { waits.write.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Ends when it is at an end: after `head` in which nobody was known and no answer under way, or after `stall` in which
    /// nothing was taken.
    pub(crate) async fn ends(&self, head: Duration, stall: Duration) {
        loop {
            let (now, due) = (Instant::now(), self.waits().due(head, stall));
            if due.is_some_and(|due| due <= now) {
                return;
            }
            // Whatever begins to wait meanwhile is due after this.
            let soonest = now + head.min(stall);
            tokio::time::sleep_until(due.unwrap_or(soonest).min(soonest)).await;
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    fn due(&self, head: Duration, stall: Duration) -> Option<Instant> {
        let unknown = self.known.filter(|_| self.answers.is_empty()).map(|since| since + head);
        let answers = self.answers.iter().filter_map(|(_, since)| *since);
        let stalled = answers.chain(self.write).min().map(|since| since + stall);
        unknown.into_iter().chain(stalled).min()
    }
}

impl Answer {
    /// The connection asks for more of it.
    pub(crate) fn is_asked(&self) {
        self.set(None);
    }

    /// The connection was given more of it.
    pub(crate) fn is_given(&self) {
        self.set(Some(Instant::now()));
    }

    fn set(&self, since: Option<Instant>) {
        if let Some(wait) = self.of.waits().answers.get_mut(self.key) {
            *wait = since;
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.of.waits().answers.try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(30);
    const STALL: Duration = Duration::from_secs(60);

    /// When it was at an end, with a client that does this.
    async fn ended(client: impl AsyncFnOnce(&Arc<Patience>)) -> Option<Duration> {
        let (patience, start) = (Arc::new(Patience::new()), Instant::now());
        tokio::select! {
            () = patience.ends(HEAD, STALL) => Some(start.elapsed()),
            () = client(&patience) => None,
        }
    }

    async fn seconds(count: u64) {
        tokio::time::sleep(Duration::from_secs(count)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_is_not_waited_for() {
        assert_eq!(ended(async |_| seconds(1000).await).await, Some(HEAD));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_again_and_again_is_not_waited_for_longer_than_who_asks_nothing() {
        let refused = async |patience: &Arc<Patience>| {
            for _ in 0..100 {
                seconds(20).await;
                patience.unknown();
            }
        };
        assert_eq!(ended(&refused).await, Some(HEAD));
        let revoked = async |patience: &Arc<Patience>| {
            patience.known();
            seconds(1000).await;
            refused(patience).await;
        };
        assert_eq!(ended(revoked).await, Some(Duration::from_secs(1020) + HEAD));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_how_we_are_may_ask_again_and_may_watch() {
        let asks = async |patience: &Arc<Patience>| {
            for _ in 0..10 {
                patience.passing();
                seconds(20).await;
            }
            seconds(1000).await;
        };
        assert_eq!(ended(asks).await, Some(Duration::from_secs(180) + HEAD));
        let watches = async |patience: &Arc<Patience>| {
            patience.passing();
            let answer = patience.answer();
            answer.is_asked();
            seconds(1000).await;
        };
        assert_eq!(ended(watches).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_us_may_wait() {
        let client = async |patience: &Arc<Patience>| {
            patience.known();
            let answer = patience.answer();
            answer.is_asked();
            seconds(1000).await;
        };
        assert_eq!(ended(client).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_one_answer_is_given_up() {
        let client = async |patience: &Arc<Patience>| {
            patience.known();
            let (taken, left) = (patience.answer(), patience.answer());
            for _ in 0..10 {
                taken.is_given();
                left.is_given();
                seconds(30).await;
            }
            for _ in 0..100 {
                taken.is_given();
                seconds(30).await;
            }
        };
        assert_eq!(ended(client).await, Some(Duration::from_secs(270) + STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_socket_is_waited_for_from_its_first_refusal_on() {
        let client = async |patience: &Arc<Patience>| {
            patience.known();
            patience.writes(true);
            seconds(50).await;
            patience.writes(false);
            for _ in 0..100 {
                patience.writes(true);
                seconds(20).await;
            }
        };
        assert_eq!(ended(client).await, Some(Duration::from_secs(50) + STALL));
    }
}
