//! How long a client is waited for: for its first request, and for it to take something of its answers. An answer waits for
//! its client when the connection does not ask it for more, be it that the socket is full or that the client of HTTP/2 opens
//! no window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

/// What is waited for on a connection.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    has_asked: AtomicBool,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
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
    /// The client has made a request.
    pub(crate) fn asked(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
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

    /// Ends when it is at an end: after `head` without a request, or after `stall` in which nothing was taken.
    pub(crate) async fn ends(&self, head: Duration, stall: Duration) {
        let silent = Instant::now() + head;
        loop {
            let now = Instant::now();
            let first = (!self.has_asked.load(Ordering::Relaxed)).then_some(silent);
            let due = first.into_iter().chain(self.longest().map(|since| since + stall)).min();
            if due.is_some_and(|due| due <= now) {
                return;
            }
            // Whatever begins to wait meanwhile is due after this.
            tokio::time::sleep_until(due.unwrap_or(now + stall).min(now + stall)).await;
        }
    }

    fn longest(&self) -> Option<Instant> {
        self.waits().longest()
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    fn longest(&self) -> Option<Instant> {
        let answers = self.answers.iter().filter_map(|(_, since)| *since);
        answers.chain(self.write).min()
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
        let (patience, start) = (Arc::new(Patience::default()), Instant::now());
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
    async fn who_waits_for_us_may_wait() {
        let client = async |patience: &Arc<Patience>| {
            patience.asked();
            let answer = patience.answer();
            answer.is_asked();
            seconds(1000).await;
        };
        assert_eq!(ended(client).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_one_answer_is_given_up() {
        let client = async |patience: &Arc<Patience>| {
            patience.asked();
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
            patience.asked();
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
