//! Whoever makes a request passes here, whatever is asked for and in which protocol: no web page of others, somebody who is
//! known, and not too often.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Request, Response, header};
use bytes::Bytes;
use hatchery::{Error, Result};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::patience::{Answer, Patience};
use crate::access::{Access, Arrival, Caller, Policy, Scopes, Share};
use crate::bounded::Bounded;
use crate::failure::Failure;
use crate::gate::{self, Site};

/// What serves the requests of one connection.
#[derive(Clone)]
pub(super) struct Reception {
    router: Router,
    access: Arc<Access>,
    arrival: Arc<Arrival>,
    patience: Arc<Patience>,
}

/// What a request is let in with.
struct Pass {
    caller: Caller,
    /// Counted as one that is answered, to the end of its answer.
    share: Option<Share>,
}

impl Reception {
    pub(super) fn new(router: Router, access: Arc<Access>, arrival: Arrival, patience: Arc<Patience>) -> Reception {
        Reception { router, access, arrival: Arc::new(arrival), patience }
    }

    fn pass<B>(&self, policy: &Policy, request: &Request<B>) -> Result<Pass> {
        let caller = self.access.caller(policy, &self.arrival, request.headers());
        if is_about_health(request.uri().path()) {
            let caller = caller.unwrap_or_else(|_| Caller::new(self.arrival.client(), Scopes::of(&[])));
            return Ok(Pass { caller, share: None });
        }
        let client = caller.as_ref().map_or_else(|_| self.arrival.client(), |caller| caller.client().clone());
        self.access.pace(policy, &client)?;
        let caller = caller?;
        let share = self.access.call(policy, &client)?;
        Ok(Pass { caller, share: Some(share) })
    }

    async fn answered(self, mut request: Request<Incoming>) -> Response<Watched> {
        self.patience.asked();
        let policy = self.access.policy();
        let is_grpc = is_grpc(request.headers());
        let refused = |error: Error| refusal(error, is_grpc);
        let site = match gate::check(request.uri(), request.headers(), &self.arrival, &policy.cors_origins) {
            Ok(site) => site,
            Err(error) => return self.watched(refused(error), None, None),
        };
        if let Some(answer) = site.as_ref().and_then(|_| gate::preflight(request.method(), request.headers())) {
            return self.watched(answer, None, site);
        }
        match self.pass(&policy, &request) {
            Ok(Pass { caller, share }) => {
                request.extensions_mut().insert(caller);
                let router = TowerToHyperService::new(self.router.clone());
                let request = request.map(|body| bounded(body, policy.limits.body));
                let Ok(answer) = router.call(request).await;
                self.watched(answer, share, site)
            }
            Err(error) => self.watched(refused(error), None, site),
        }
    }

    fn watched(&self, answer: Response<Body>, share: Option<Share>, site: Option<Site>) -> Response<Watched> {
        let (mut head, body) = answer.into_parts();
        if let Some(site) = site {
            site.let_read(&mut head.headers);
        }
        let answer = self.patience.answer();
        Response::from_parts(head, Watched { body, answer, _share: share })
    }
}

impl Service<Request<Incoming>> for Reception {
    type Response = Response<Watched>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Watched>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let reception = self.clone();
        Box::pin(async move { Ok(reception.answered(request).await) })
    }
}

/// Whoever watches over the daemon may be told that it is well. It learns nothing else.
fn is_about_health(path: &str) -> bool {
    ["/healthz", "/readyz"].contains(&path) || path.starts_with("/grpc.health.v1.Health/")
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

fn bounded(body: Incoming, limit: Option<u64>) -> Body {
    let body = Body::new(body);
    match limit {
        Some(limit) => Body::new(Bounded::new(body, limit)),
        None => body,
    }
}

fn refusal(error: Error, is_grpc: bool) -> Response<Body> {
    match is_grpc {
        true => hatchery_grpc::status::of(&error).into_http(),
        false => axum::response::IntoResponse::into_response(Failure(error)),
    }
}

/// The body of an answer, of which is known whether the client takes it.
pub(super) struct Watched {
    body: Body,
    answer: Answer,
    _share: Option<Share>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.answer.is_asked();
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            self.answer.is_given();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
