//! `grpc.health.v1`: whether a call would find a worker, looked up at the moment when somebody asks.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_util::stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::is_ours;
use crate::house::House;
use crate::observation;

/// How often a watcher's answer is looked up. A look takes microseconds; a phase is noticed at once.
const PERIOD: Duration = Duration::from_millis(200);

/// The answer for the service as a whole, also by its name.
pub(super) struct Service {
    house: Arc<House>,
}

impl Service {
    pub(super) fn new(house: Arc<House>) -> Service {
        Service { house }
    }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        match of(&self.house, is_ours(service)) {
            // Its name is not repeated: who asks needs no credential, and may choose it as long as a message can be.
            ServingStatus::ServiceUnknown => Err(Status::not_found("no such service")),
            status => Ok(Response::new(answer(status))),
        }
    }

    /// The answer at once, and then each time that it is another.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (house, is_ours) = (Arc::clone(&self.house), is_ours(&request.get_ref().service));
        let watch = Watch { house, is_ours, told: None };
        let answers = stream::unfold(watch, |mut watch| async { Some((Ok(answer(watch.next().await?)), watch)) });
        Ok(Response::new(Box::pin(answers)))
    }
}

struct Watch {
    house: Arc<House>,
    is_ours: bool,
    told: Option<ServingStatus>,
}

impl Watch {
    /// `None` once the daemon has ended and that was told.
    async fn next(&mut self) -> Option<ServingStatus> {
        let mut phases = self.house.phases();
        loop {
            let now = of(&self.house, self.is_ours);
            if self.told.replace(now) != Some(now) {
                return Some(now);
            }
            if *phases.borrow_and_update() == crate::Phase::Closed {
                return None;
            }
            let _later_or_another_phase = tokio::time::timeout(PERIOD, phases.changed()).await;
        }
    }
}

fn of(house: &House, is_ours: bool) -> ServingStatus {
    match observation::readiness(house) {
        _ if !is_ours => ServingStatus::ServiceUnknown,
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
