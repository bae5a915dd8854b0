//! Events as server-sent events: each under its own name, with a number of its own. A comment now and then keeps the connection
//! open where somebody cuts those that are silent, and finds out that a client is gone.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use hatchery::{Event, Events, Heard};
use serde::Deserialize;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::query::Asked;
use super::{Answered, document};
use crate::event_feed::{self, Wanted};
use crate::event_stream;
use crate::house::House;

/// Shorter than what proxies usually take for silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    kind: Option<String>,
    pool: Option<String>,
    worker: Option<String>,
    correlation_id: Option<String>,
}

/// Dropping the answer's body, as when the client goes away, ends the subscription.
pub(crate) async fn events(State(house): State<Arc<House>>, Asked(filter): Asked<Filter>) -> Answered {
    let wanted = Wanted {
        kind: filter.kind.as_deref(),
        pool: filter.pool.as_deref(),
        worker: filter.worker.as_deref(),
        correlation_id: filter.correlation_id.as_deref(),
    };
    let events = event_feed::subscribe(&house, &wanted.filter()?)?;
    let feed = Feed { events, house, count: 0, is_begun: false };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(feed.lines())).into_response())
}

pub(crate) async fn catalogue() -> Answered {
    document(&event_feed::catalogue())
}

struct Feed {
    events: Events,
    house: Arc<House>,
    /// Events so far.
    count: u64,
    is_begun: bool,
}

impl Feed {
    fn lines(self) -> impl futures_core::Stream<Item = Result<String, Infallible>> + Send {
        futures_util::stream::unfold(self, |mut feed| async { Some((Ok(feed.next().await?), feed)) })
    }

    /// The first comes at once: whoever reads it knows that nothing that happens from now on is missed.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.is_begun, true) {
            return Some(": listening\n\n".to_owned());
        }
        match until(self.events.hear(), self.house.closed()).await {
            Ok(heard) => heard.map(|heard| self.told(&heard)),
            Err(_silence) => Some(": still here\n\n".to_owned()),
        }
    }

    fn told(&mut self, heard: &Heard) -> String {
        self.count += 1;
        let name = if matches!(heard.event, Event::Lagged(_)) { "lagged" } else { heard.event.name() };
        format!("id: {}\n{}", self.count, event_stream::event(name, &heard.to_json().to_string()))
    }
}

/// What is heard next, if that is soon; `None` at the end.
pub(super) async fn until<T>(
    heard: impl Future<Output = Option<T>>,
    closed: impl Future<Output = ()>,
) -> Result<Option<T>, Elapsed> {
    let next = async {
        tokio::select! {
            biased;
            heard = heard => heard,
            () = closed => None,
        }
    };
    timeout(KEEP_ALIVE, next).await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_broken_before_somebody_takes_it_for_the_end() {
        let begun = Instant::now();
        assert!(until::<()>(pending(), pending()).await.is_err());
        assert_eq!(begun.elapsed(), KEEP_ALIVE);
        assert!(matches!(until::<()>(ready(None), pending()).await, Ok(None)));
        assert!(matches!(until::<()>(pending(), ready(())).await, Ok(None)));
        assert_eq!(begun.elapsed(), KEEP_ALIVE, "an end is told at once");
    }
}
