use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::*;

const BOUND: Duration = Duration::from_secs(20);

struct Rig {
    services: Services,
    events: crate::Events,
}

impl Rig {
    fn new() -> Rig {
        let emitter = Emitter::new(64);
        let events = emitter.subscribe(crate::EventFilter::new());
        Rig { services: Services::new(Intensity::default(), emitter), events }
    }

    async fn event(&mut self) -> ServiceEvent {
        match timeout(BOUND, self.events.next()).await.unwrap().unwrap() {
            Event::Service(event) => event,
            other => panic!("{other:?}"),
        }
    }
}

/// Takes numbers and adds them to a sum that it does not own; 0 makes it panic.
async fn add_up(sum: Arc<AtomicU64>, inbox: Arc<tokio::sync::Mutex<mpsc::Receiver<u64>>>) {
    loop {
        match inbox.lock().await.recv().await {
            Some(0) => panic!("zero after {}", sum.load(Ordering::SeqCst)),
            Some(number) => {
                sum.fetch_add(number, Ordering::SeqCst);
            }
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_service_that_panics_thrice_loses_no_state_and_the_others_go_on() {
    let mut rig = Rig::new();
    let lives_of_other = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lives_of_other);
    rig.services.spawn("other", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    });
    let (send, inbox) = mpsc::channel(1);
    let (sum, inbox) = (Arc::new(AtomicU64::new(0)), Arc::new(tokio::sync::Mutex::new(inbox)));
    let state = Arc::clone(&sum);
    rig.services.spawn("sum", move || add_up(Arc::clone(&state), Arc::clone(&inbox)));
    for round in 1..=3 {
        send.send(10).await.unwrap();
        send.send(0).await.unwrap();
        let ServiceEvent::Failed { service, reason, restarts, after } = rig.event().await else { panic!("not failed") };
        assert_eq!((service.as_str(), restarts, after), ("sum", round - 1, Duration::ZERO));
        assert_eq!(reason, format!("panicked: zero after {}", round * 10));
        assert!(matches!(rig.event().await, ServiceEvent::Restarted { restarts, .. } if restarts == round));
    }
    send.send(1).await.unwrap();
    timeout(BOUND, async {
        while sum.load(Ordering::SeqCst) != 31 {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
    let [other, adder] = rig.services.status().try_into().unwrap();
    assert_eq!((other.name.as_str(), other.state, other.restarts), ("other", ServiceState::Running, 0));
    assert_eq!((adder.state, adder.restarts), (ServiceState::Running, 3));
    assert_eq!(adder.last_panic.as_deref(), Some("zero after 30"));
    assert_eq!(lives_of_other.load(Ordering::SeqCst), 1);
}

/// Tells its name when it is dropped.
struct Farewell(&'static str, mpsc::UnboundedSender<&'static str>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.1.send(self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_stop_in_the_reverse_of_their_order_one_after_another() {
    let rig = Rig::new();
    let (send, mut told) = mpsc::unbounded_channel();
    let (up, mut is_up) = mpsc::unbounded_channel();
    for name in ["first", "second", "third"] {
        let (send, up) = (send.clone(), up.clone());
        rig.services.spawn(name, move || {
            let farewell = Farewell(name, send.clone());
            up.send(()).unwrap();
            async move {
                std::future::pending::<()>().await;
                drop(farewell);
            }
        });
        timeout(BOUND, is_up.recv()).await.unwrap().unwrap();
    }
    assert_eq!(rig.services.status().iter().map(|s| s.name.clone()).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert_eq!(rig.services.stop(BOUND).await, Vec::<String>::new());
    let order: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(order, ["third", "second", "first"]);
    assert_eq!(rig.services.status(), []);
}

#[tokio::test]
async fn a_drop_ends_them() {
    let rig = Rig::new();
    let (send, mut told) = mpsc::unbounded_channel();
    let (up, is_up) = tokio::sync::watch::channel(false);
    rig.services.spawn("only", move || {
        let farewell = Farewell("only", send.clone());
        let up = up.clone();
        async move {
            up.send_replace(true);
            std::future::pending::<()>().await;
            drop(farewell);
        }
    });
    timeout(BOUND, is_up.clone().wait_for(|up| *up)).await.unwrap().unwrap();
    drop(rig);
    assert_eq!(timeout(BOUND, told.recv()).await.unwrap(), Some("only"));
}

#[tokio::test]
async fn one_that_is_deaf_costs_its_bound_and_no_other() {
    let mut rig = Rig::new();
    let (gate, wait) = std::sync::mpsc::channel::<()>();
    let (wait, (up, is_up)) = (Arc::new(Mutex::new(wait)), std::sync::mpsc::channel());
    rig.services.spawn("well", std::future::pending);
    // Deaf: a future that blocks its thread, in a runtime of its own so that it blocks nobody else's. Its supervisor has the
    // other thread.
    let services = std::mem::replace(&mut rig.services, Services::new(Intensity::default(), Emitter::new(1)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let entered = runtime.enter();
    services.spawn("deaf", move || {
        let (wait, up) = (Arc::clone(&wait), up.clone());
        async move {
            up.send(()).unwrap();
            let _gate_is_gone = wait.lock().unwrap().recv();
            std::future::pending::<()>().await;
        }
    });
    drop(entered);
    is_up.recv_timeout(BOUND).unwrap();
    assert_eq!(services.stop(Duration::from_millis(20)).await, ["deaf"]);
    drop(gate);
    runtime.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn one_that_returns_at_once_is_started_with_growing_pauses_and_never_given_up() {
    let mut rig = Rig::new();
    rig.services.spawn("eager", || async {});
    let mut pauses = Vec::new();
    while pauses.len() < 12 {
        if let ServiceEvent::Failed { reason, after, .. } = rig.event_at_any_time().await {
            assert_eq!(reason, "returned, which it never should");
            pauses.push(after.as_secs());
        }
    }
    assert_eq!(pauses[..6], [0, 0, 0, 0, 0, 1]);
    assert!(pauses.is_sorted() && pauses.iter().all(|pause| *pause <= 30), "{pauses:?}");
}

#[tokio::test]
async fn a_factory_may_panic_too_and_a_panic_without_words_is_told() {
    let mut rig = Rig::new();
    let lives = AtomicUsize::new(0);
    rig.services.spawn("odd", move || match lives.fetch_add(1, Ordering::SeqCst) {
        0 => panic!("in the factory"),
        1 => std::panic::panic_any(7),
        _ => std::future::pending::<()>(),
    });
    for expected in ["panicked: in the factory", "panicked: without a message"] {
        assert!(matches!(rig.event().await, ServiceEvent::Failed { reason, .. } if reason == expected));
        assert!(matches!(rig.event().await, ServiceEvent::Restarted { .. }));
    }
    assert_eq!(rig.services.status()[0].last_panic.as_deref(), Some("without a message"));
}

impl Rig {
    /// Without a bound: a paused clock would jump over it.
    async fn event_at_any_time(&mut self) -> ServiceEvent {
        match self.events.next().await.unwrap() {
            Event::Service(event) => event,
            other => panic!("{other:?}"),
        }
    }
}
