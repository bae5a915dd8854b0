//! Says to the service manager, again and again, that the daemon answers; as long as it does.

use std::sync::Arc;
use std::time::Duration;

use hatchery::Pool;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::house::House;
use crate::notify::Notifier;

/// For ever. The manager bites when it has heard nothing for as long as `patience`; it is told twice in that time.
pub(crate) async fn watch(house: Arc<House>, notifier: &Notifier, patience: Duration) {
    let half = (patience / 2).max(Duration::from_millis(1));
    let mut ticks = interval(half);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut answer = tokio::spawn(look(Arc::clone(&house)));
        // One that is late is waited for: a second one would only stand behind it.
        let looked = loop {
            if let Ok(looked) = timeout(half, &mut answer).await {
                break looked;
            }
        };
        // A look that panics is no sign of life.
        if looked.is_ok() {
            notifier.alive();
        }
    }
}

/// Asks for what every status is made of, in a task of its own: that the runtime has a thread for it is part of the answer.
async fn look(house: Arc<House>) {
    let _phase = house.phase();
    let _how_they_are: Vec<_> = house.pools().iter().map(Pool::status).collect();
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_manager_hears_of_it_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let house = Arc::new(House::new(([127, 0, 0, 1], 1).into(), crate::doors::Doors::closed()));
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        let watching = tokio::spawn(async move { watch(house, &notifier, Duration::from_millis(20)).await });
        for _ in 0..3 {
            let mut text = [0; 64];
            let length = manager.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"WATCHDOG=1");
        }
        watching.abort();
    }
}
