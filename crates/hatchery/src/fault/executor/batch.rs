//! Many items, so many at once, in order.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use super::{execute, panicked, with_timeout};
use crate::error::Result;

/// How a [`batch`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// So many items at once; 0 is 1. Default: the number of CPUs that this program may use.
    pub concurrency: usize,
    /// For how long an item may run, from its own start; `None`: without end. Default: 30 s.
    pub timeout: Option<Duration>,
}

impl Default for Batch {
    fn default() -> Batch {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Batch { concurrency: cpus, timeout: Some(Duration::from_secs(30)) }
    }
}

/// Runs it for each item, so many at once, all in the caller's own task. The results are in the order of the items; one that
/// fails hurts no other. An item is taken from the iterator when its turn comes.
pub async fn batch<I, T, W, F>(items: I, how: Batch, mut work: W) -> Vec<Result<T>>
where
    I: IntoIterator,
    W: FnMut(I::Item) -> F,
    F: Future<Output = Result<T>>,
{
    let mut waiting = items.into_iter().enumerate().fuse();
    let (mut running, mut done) = (Vec::new(), Vec::new());
    poll_fn(|context| {
        loop {
            let room = how.concurrency.max(1) - running.len();
            running.extend(waiting.by_ref().take(room).map(|(place, item)| {
                let made = catch_unwind(AssertUnwindSafe(|| work(item)));
                (place, Box::pin(limited(how.timeout, made)))
            }));
            if running.is_empty() {
                return Poll::Ready(());
            }
            let before = running.len();
            running.retain_mut(|(place, item)| match item.as_mut().poll(context) {
                Poll::Ready(result) => {
                    done.push((*place, result));
                    false
                }
                Poll::Pending => true,
            });
            // Who is done makes room, and those who take it are to be polled too.
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

async fn limited<T, F>(timeout: Option<Duration>, made: std::thread::Result<F>) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let future = made.map_err(panicked)?;
    match timeout {
        Some(timeout) => with_timeout(timeout, || future).await,
        None => execute(|| future).await,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;
    use crate::error::{Error, ErrorKind};

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Counts those who are there.
    struct Here<'a>(&'a Cell<u32>);

    impl Here<'_> {
        fn enter(count: &Cell<u32>) -> Here<'_> {
            count.set(count.get() + 1);
            Here(count)
        }
    }

    impl Drop for Here<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_keeps_the_order_and_its_bound() {
        let (now_running, most) = (Cell::new(0), Cell::new(0));
        let how = Batch { concurrency: 3, timeout: Some(secs(60)) };
        let results = batch(0..10u64, how, |item| {
            let (now_running, most) = (&now_running, &most);
            async move {
                let _here = Here::enter(now_running);
                most.set(most.get().max(now_running.get()));
                tokio::time::sleep(secs(100 - 10 * item)).await;
                if item == 7 {
                    panic!("seven")
                }
                if item == 8 { Err(Error::new(ErrorKind::Unavailable, "not now")) } else { Ok(item) }
            }
        });
        let results = results.await;
        assert_eq!(most.get(), 3);
        let texts =
            results.iter().map(|result| result.as_ref().map_or_else(|error| error.kind().to_string(), u64::to_string));
        let expected = ["deadline", "deadline", "deadline", "deadline", "4", "5", "6", "internal", "unavailable", "9"];
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn a_batch_of_nothing_is_done_and_one_of_ready_things_does_not_wait() {
        let how = Batch { concurrency: 0, timeout: None };
        assert!(batch(Vec::<u8>::new(), how, |item| ready(Ok(item))).await.is_empty());
        let many = batch(0..1000, how, |item| ready(Ok(item))).await;
        assert_eq!(many.into_iter().map(Result::unwrap).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    }
}
