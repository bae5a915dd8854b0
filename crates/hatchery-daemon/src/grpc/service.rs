//! Which rpc is answered by what, and who may ask: one row each.

use std::sync::Arc;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};
use hatchery_grpc::{status, v1};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{calls, events, host_tools, observation, options, orders, sessions};
use crate::access::Caller;
use crate::access::Scope::{self, Call, Observe, Operate};
use crate::house::House;

/// `hatchery.v1.Hatchery`.
pub(super) struct Service {
    house: Arc<House>,
}

/// A message, who sends it, and what it is about.
pub(super) struct Asked<M> {
    pub(super) house: Arc<House>,
    pub(super) caller: Caller,
    pub(super) metadata: MetadataMap,
    pub(super) message: M,
}

impl Service {
    pub(super) fn new(house: Arc<House>) -> Service {
        Service { house }
    }

    /// What is asked, if the caller may: has any one of these.
    fn asked<M>(&self, request: Request<M>, scopes: &[Scope]) -> Result<Asked<M>> {
        let (metadata, extensions, message) = request.into_parts();
        let caller = Caller::of(&extensions)?;
        // Orders look themselves: one that is refused leaves a line of audit, too.
        if scopes != [Operate] {
            caller.require_one_of(scopes)?;
        }
        Ok(Asked { house: Arc::clone(&self.house), caller, metadata, message })
    }
}

/// Waits no longer than the client does.
async fn within<T>(timeout: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(timeout) = timeout else { return work.await };
    let late = |_| {
        Error::new(ErrorKind::Deadline, format!("the {timeout:?} of grpc-timeout passed before there was an answer"))
    };
    tokio::time::timeout(timeout, work).await.map_err(late)?
}

fn told<T>(outcome: Result<T>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|error| status::of(&error))
}

/// An order has one name, whichever way it comes.
fn audited(rpc: &'static str) -> &'static str {
    match rpc {
        "recycle" => "recycle_worker",
        "reset_taints" => "clear_taints",
        rpc => rpc,
    }
}

/// Writes the service from its rows, and what cannot be said in one.
macro_rules! service {
    ($( $scopes:tt { $( $rpc:ident($Message:ident) -> $Answer:ident = $answer:path; )+ } )+) => {
        /// The order that this rpc gives, as the audit calls it.
        pub(super) fn order(rpc: &str) -> Option<&'static str> {
            $(if $scopes[..] == [Operate] {
                $(if stringify!($Message).strip_suffix("Request") == Some(rpc) {
                    return Some(audited(stringify!($rpc)));
                })+
            })+
            None
        }

        #[tonic::async_trait]
        impl v1::hatchery_server::Hatchery for Service {
            type StreamCallStream = calls::Chunks;
            type EventsStream = events::Feed;

            /// Its deadline is the call's, which says in which stage it passed.
            async fn call(&self, request: Request<v1::CallRequest>) -> Result<Response<v1::CallResponse>, Status> {
                told(async { calls::call(self.asked(request, &[Call])?).await }.await)
            }

            async fn stream_call(
                &self,
                request: Request<v1::StreamCallRequest>,
            ) -> Result<Response<calls::Chunks>, Status> {
                told(async { calls::stream(self.asked(request, &[Call])?).await }.await)
            }

            /// Goes on until somebody ends it: a deadline is the client's affair.
            async fn events(&self, request: Request<v1::EventsRequest>) -> Result<Response<events::Feed>, Status> {
                told(self.asked(request, &[Observe]).and_then(events::events))
            }

            $($(
                async fn $rpc(&self, request: Request<v1::$Message>) -> Result<Response<v1::$Answer>, Status> {
                    told(async {
                        let asked = self.asked(request, &$scopes)?;
                        within(options::timeout(&asked.metadata)?, $answer(asked)).await
                    }.await)
                }
            )+)+
        }
    };
}

service! {
    [Observe, Call] {
        tools(ToolsRequest) -> ToolsResponse = observation::tools;
    }
    [Observe] {
        pools(PoolsRequest) -> PoolsResponse = observation::pools;
        stats(StatsRequest) -> StatsResponse = observation::stats;
        status(StatusRequest) -> StatusResponse = observation::status;
        workers(WorkersRequest) -> WorkersResponse = observation::workers;
        worker(WorkerRequest) -> WorkerResponse = observation::worker;
        taints(TaintsRequest) -> TaintsResponse = observation::taints;
        breakers(BreakersRequest) -> BreakersResponse = observation::breakers;
        orphans(OrphansRequest) -> OrphansResponse = observation::orphans;
        event_catalogue(EventCatalogueRequest) -> EventCatalogueResponse = events::catalogue;
        list_sessions(ListSessionsRequest) -> ListSessionsResponse = sessions::list;
        list_host_tools(ListHostToolsRequest) -> ListHostToolsResponse = host_tools::list;
        get_host_tool(GetHostToolRequest) -> GetHostToolResponse = host_tools::get;
    }
    [Call] {
        call_host_tool(CallHostToolRequest) -> CallHostToolResponse = host_tools::call;
        create_session(CreateSessionRequest) -> CreateSessionResponse = sessions::create;
        get_session(GetSessionRequest) -> GetSessionResponse = sessions::get;
        delete_session(DeleteSessionRequest) -> DeleteSessionResponse = sessions::delete;
        put_program(PutProgramRequest) -> PutProgramResponse = sessions::put_program;
        get_program(GetProgramRequest) -> GetProgramResponse = sessions::get_program;
        delete_program(DeleteProgramRequest) -> DeleteProgramResponse = sessions::delete_program;
        put_metadata(PutMetadataRequest) -> PutMetadataResponse = sessions::put_metadata;
        get_metadata(GetMetadataRequest) -> GetMetadataResponse = sessions::get_metadata;
        delete_metadata(DeleteMetadataRequest) -> DeleteMetadataResponse = sessions::delete_metadata;
    }
    [Operate] {
        unregister_host_tool(UnregisterHostToolRequest) -> UnregisterHostToolResponse = host_tools::unregister;
        prune_sessions(PruneSessionsRequest) -> PruneSessionsResponse = orders::prune_sessions;
        scale(ScaleRequest) -> ScaleResponse = orders::scale;
        drain(DrainRequest) -> DrainResponse = orders::drain;
        resume(ResumeRequest) -> ResumeResponse = orders::resume;
        recycle(RecycleRequest) -> RecycleResponse = orders::recycle;
        restart_worker(RestartWorkerRequest) -> RestartWorkerResponse = orders::restart_worker;
        stop_worker(StopWorkerRequest) -> StopWorkerResponse = orders::stop_worker;
        reload_pool(ReloadPoolRequest) -> ReloadPoolResponse = orders::reload_pool;
        reload(ReloadRequest) -> ReloadResponse = orders::reload;
        stop(StopRequest) -> StopResponse = orders::stop;
        reset_taints(ResetTaintsRequest) -> ResetTaintsResponse = orders::reset_taints;
        reset_breakers(ResetBreakersRequest) -> ResetBreakersResponse = orders::reset_breakers;
        kill_orphans(KillOrphansRequest) -> KillOrphansResponse = orders::kill_orphans;
    }
}
