//! Whoever makes a request passes here, whatever is asked for and in which protocol: no web page of others, somebody who is
//! known, and not too often.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use axum::response::IntoResponse;
use hatchery::{Error, Result};
use hatchery_grpc::status;
use hyper::body::Incoming;

use super::answered::{Answered, Held};
use super::patience::Patience;
use crate::access::{Access, Arrival, Caller, Client, Matter, Policy, Scopes, Share, Standing};
use crate::bounded::{Beyond, Bounded, Bounds};
use crate::counters::{Content, Counters, is_grpc};
use crate::failure::Failure;
use crate::gate::{self, Site};

/// What serves the requests of one connection.
pub(super) struct Reception {
    counters: Arc<Counters>,
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
    answer: Response<Content>,
    standing: Option<Standing>,
    share: Option<Share>,
    site: Option<Site>,
}

impl Reception {
    pub(super) fn new(
        counters: Arc<Counters>,
        access: Arc<Access>,
        arrival: Arrival,
        patience: Arc<Patience>,
    ) -> Reception {
        Reception { counters, access, arrival: Arc::new(arrival), patience }
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

    pub(super) async fn answered(&self, request: Request<Incoming>) -> Response<Answered> {
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

    async fn decided(&self, request: Request<Incoming>) -> Decided {
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
            return Decided { answer: answer.map(Content::Left), standing: None, share: None, site };
        }
        match self.pass(&policy, seen, &request) {
            Ok(Pass { caller, standing, share }) => {
                let bounds = policy.limits.body;
                drop(policy);
                let answer = self.served(caller, request, bounds, is_grpc).await;
                Decided { answer, standing, share: Some(share), site }
            }
            Err(error) => refused(error, site),
        }
    }

    /// Brings it to its counter. Who reads its body is told in the words of its protocol if the client does not keep to the bounds.
    async fn served(
        &self,
        caller: Caller,
        mut request: Request<Incoming>,
        bounds: Bounds,
        is_grpc: bool,
    ) -> Response<Content> {
        if is_grpc {
            request.extensions_mut().insert(caller);
            let told = |error: Error| axum::Error::new(status::of(&error));
            return self.counters.grpc.answer(request.map(|body| Bounded::new(body, bounds, told))).await;
        }
        let request = request.map(|body| Body::new(Bounded::new(body, bounds, Beyond::told)));
        self.counters.http.answer(caller, request).await.map(Content::Left)
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

fn refusal(error: Error, is_grpc: bool) -> Response<Content> {
    let refusal: Response<Body> = match is_grpc {
        true => status::of(&error).into_http(),
        false => Failure(error).into_response(),
    };
    refusal.map(Content::Left)
}
