//! A connection wakes itself while it is polled: one of HTTP/1 hands the body of a request to who reads it, and both are parts of it. It
//! is polled again at once then: by way of the runtime each such hand-over would wake another of its threads, which finds nothing to do.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// So often in a row; then others have their turn. A request takes two or three.
const TURNS: usize = 8;

/// A future that is polled again if it was woken meanwhile.
pub(super) struct Again<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// What wakes the future.
#[derive(Default)]
struct Bell {
    state: AtomicU8,
    /// Who polls this.
    task: AtomicWaker,
}

const IDLE: u8 = 0;
const POLLED: u8 = 1;
/// While it was polled.
const WOKEN: u8 = 2;

impl<F> Again<F> {
    pub(super) fn new(future: F) -> Again<F> {
        let bell = Arc::<Bell>::default();
        Again { future: Box::pin(future), waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

impl<F: Future> Future for Again<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Again { future, bell, waker } = &mut *self;
        bell.task.register(context.waker());
        for _ in 0..TURNS {
            bell.state.store(POLLED, Ordering::Release);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if bell.state.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        bell.state.store(IDLE, Ordering::Release);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire) == Err(IDLE) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polled once: whether it is ready, how often it was polled inside, and how often its task was woken.
    fn polled(wakes_itself: usize) -> (bool, usize, usize) {
        let (count, polls) = (Arc::<Count>::default(), AtomicUsize::new(0));
        let mut again = Again::new(poll_fn(|context| {
            if polls.fetch_add(1, Ordering::Relaxed) == wakes_itself {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        let waker = Waker::from(Arc::clone(&count));
        let is_ready = Pin::new(&mut again).poll(&mut Context::from_waker(&waker)).is_ready();
        (is_ready, polls.load(Ordering::Relaxed), count.0.load(Ordering::Relaxed))
    }

    #[test]
    fn who_wakes_itself_is_polled_at_once_and_its_task_not_woken() {
        assert_eq!(polled(0), (true, 1, 0));
        assert_eq!(polled(3), (true, 4, 0));
    }

    #[test]
    fn who_never_stops_lets_others_go_on() {
        assert_eq!(polled(usize::MAX), (false, TURNS, 1));
    }

    #[test]
    fn who_is_woken_later_wakes_its_task_each_time() {
        let (count, kept) = (Arc::<Count>::default(), Mutex::new(None));
        let mut again = Again::new(poll_fn(|context| {
            *kept.lock().unwrap() = Some(context.waker().clone());
            Poll::<()>::Pending
        }));
        let waker = Waker::from(Arc::clone(&count));
        for turn in 1..=3 {
            assert!(Pin::new(&mut again).poll(&mut Context::from_waker(&waker)).is_pending());
            kept.lock().unwrap().take().unwrap().wake();
            assert_eq!(count.0.load(Ordering::Relaxed), turn);
        }
    }

    /// Whatever two threads do at the same time, no wake is lost.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_of_another_thread_is_lost() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let sending = std::thread::spawn(move || (0..100_000).all(|number| sender.send(number).is_ok()));
        let receiving = Again::new(async move {
            let mut expected = 0;
            while let Some(number) = receiver.recv().await {
                assert_eq!(number, expected);
                expected += 1;
            }
            expected
        });
        let received = tokio::time::timeout(std::time::Duration::from_secs(60), tokio::spawn(receiving));
        assert_eq!(received.await.unwrap().unwrap(), 100_000);
        assert!(sending.join().unwrap());
    }
}
