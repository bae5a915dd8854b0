//! Events as messages.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::stream;
use hatchery::{Event, Events, Heard, Result};
use hatchery_grpc::v1;
use hatchery_grpc::v1::events_response::Told;
use tonic::Status;

use super::observation::documents;
use super::service::Asked;
use crate::event_feed::{self, Wanted};
use crate::house::House;

/// What happens, until the daemon ends. Dropped, as when the client goes away, it hears no more.
pub(super) type Feed = Pin<Box<dyn Stream<Item = Result<v1::EventsResponse, Status>> + Send>>;

/// Whoever has the head of the answer misses nothing that happens from then on.
pub(super) fn events(asked: Asked<v1::EventsRequest>) -> Result<Feed> {
    let v1::EventsRequest { kinds, pool, worker, correlation_id } = asked.message;
    let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let (pool, worker, correlation_id) = (given(&pool), given(&worker), given(&correlation_id));
    let wanted = Wanted {
        kind: Some(&kinds.join(",")),
        pool: pool.as_deref(),
        worker: worker.as_deref(),
        correlation_id: correlation_id.as_deref(),
    };
    let events = event_feed::subscribe(&asked.house, &wanted.filter()?)?;
    let listener = Listener { events, house: asked.house, count: 0 };
    Ok(Box::pin(stream::unfold(listener, |mut listener| async { Some((Ok(listener.next().await?), listener)) })))
}

pub(super) async fn catalogue(_: Asked<v1::EventCatalogueRequest>) -> Result<v1::EventCatalogueResponse> {
    Ok(v1::EventCatalogueResponse { events: documents(event_feed::catalogue())? })
}

struct Listener {
    events: Events,
    house: Arc<House>,
    /// What it has told so far.
    count: u64,
}

impl Listener {
    async fn next(&mut self) -> Option<v1::EventsResponse> {
        let heard = tokio::select! {
            biased;
            heard = self.events.hear() => heard?,
            () = self.house.closed() => return None,
        };
        self.count += 1;
        Some(v1::EventsResponse { told: Some(told(self.count, &heard)) })
    }
}

fn told(id: u64, heard: &Heard) -> Told {
    if let Event::Lagged(lagged) = &heard.event {
        return Told::Lagged(v1::Lagged { lost: lagged.lost });
    }
    let json = heard.to_json();
    let at = json["at"].as_f64().unwrap_or_default();
    Told::Event(v1::Event { id, name: heard.event.name().to_owned(), at, json: json.to_string().into() })
}
