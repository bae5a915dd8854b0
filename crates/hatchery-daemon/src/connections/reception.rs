//! Whoever makes a request passes here, whatever is asked for and in which protocol: no web page of others, somebody who is
//! known, and not too often.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, header};
use hatchery::{Error, Result};
use hatchery_grpc::status;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::answered::{Answered, Held};
use super::patience::Patience;
use crate::access::{Access, Arrival, Caller, Client, Matter, Policy, Scopes, Share, Standing};
use crate::bounded::{Beyond, Bounded, Bounds};
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
    /// Whether it is let in still; `None`: anybody is.
    standing: Option<Standing>,
    /// Counted as one that is answered, to the end of its answer.
    share: Share,
}

/// What is answered, for how long, whose share it is, and which site's pages may read it.
struct Decided {
    answer: Response<Body>,
    standing: Option<Standing>,
    share: Option<Share>,
    site: Option<Site>,
}

impl Reception {
    pub(super) fn new(router: Router, access: Arc<Access>, arrival: Arrival, patience: Arc<Patience>) -> Reception {
        Reception { router, access, arrival: Arc::new(arrival), patience }
    }

    /// `seen`: as of which change the policy is.
    fn pass<B>(&self, policy: &Policy, seen: u64, request: &Request<B>) -> Result<Pass> {
        let matter = about(request.uri().path());
        let caller = self.access.caller(policy, &self.arrival, request.headers());
        match (&caller, matter) {
            (Ok(_), _) => self.patience.known(),
            (Err(_), Matter::Health) => self.patience.passing(),
            (Err(_), Matter::Other) => self.patience.unknown(),
        }
        let client = caller.as_ref().map_or_else(|_| self.arrival.client(), |caller| caller.client().clone());
        self.access.pace(policy, &client, matter)?;
        let (caller, standing) = match (caller, matter) {
            (caller, Matter::Health) => (caller.unwrap_or_else(|_| nobody(client.clone())), None),
            (caller, Matter::Other) => {
                let caller = caller?;
                (caller.clone(), Some(Standing::new(&self.access, &self.arrival, caller, seen)))
            }
        };
        let share = self.access.call(policy, &client, matter)?;
        Ok(Pass { caller, standing, share })
    }

    async fn answered(self, request: Request<Incoming>) -> Response<Answered> {
        let version = request.version();
        let Decided { answer, standing, share, site } = self.decided(request).await;
        let (mut head, body) = answer.into_parts();
        if let Some(site) = site {
            site.let_read(&mut head.headers);
        }
        let held = Held { answer: self.patience.answer(), standing, share };
        let body = Answered::new(&head, body, version, held);
        Response::from_parts(head, body)
    }

    async fn decided(&self, mut request: Request<Incoming>) -> Decided {
        let (seen, policy) = (self.access.changes(), self.access.policy());
        let is_grpc = is_grpc(request.headers());
        let refused = |error, site| Decided { answer: refusal(error, is_grpc), standing: None, share: None, site };
        let site = match gate::check(request.uri(), request.headers(), &self.arrival, &policy.cors_origins) {
            Ok(site) => site,
            Err(error) => {
                self.patience.unknown();
                return refused(error, None);
            }
        };
        if let Some(answer) = site.as_ref().and_then(|_| gate::preflight(request.method(), request.headers())) {
            return Decided { answer, standing: None, share: None, site };
        }
        match self.pass(&policy, seen, &request) {
            Ok(Pass { caller, standing, share }) => {
                request.extensions_mut().insert(caller);
                let router = TowerToHyperService::new(self.router.clone());
                let request = request.map(|body| bounded(body, policy.limits.body, is_grpc));
                let Ok(answer) = router.call(request).await;
                Decided { answer, standing, share: Some(share), site }
            }
            Err(error) => refused(error, site),
        }
    }
}

impl Service<Request<Incoming>> for Reception {
    type Response = Response<Answered>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answered>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let reception = self.clone();
        Box::pin(async move { Ok(reception.answered(request).await) })
    }
}

/// Whoever watches over the daemon may be told that it is well. It learns nothing else.
fn about(path: &str) -> Matter {
    match ["/healthz", "/readyz"].contains(&path) || path.starts_with("/grpc.health.v1.Health/") {
        true => Matter::Health,
        false => Matter::Other,
    }
}

/// May do nothing else.
fn nobody(client: Client) -> Caller {
    Caller::new(client, Scopes::of(&[]))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Who reads it is told in the words of its protocol that the client has not kept to the bounds.
fn bounded(body: Incoming, bounds: Bounds, is_grpc: bool) -> Body {
    let told = if is_grpc { |error: Error| axum::Error::new(status::of(&error)) } else { Beyond::told };
    Body::new(Bounded::new(body, bounds, told))
}

fn refusal(error: Error, is_grpc: bool) -> Response<Body> {
    match is_grpc {
        true => status::of(&error).into_http(),
        false => axum::response::IntoResponse::into_response(Failure(error)),
    }
}
