//! The listener of one worker: on loopback, on a port of its own. Who comes by it is that worker.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};
use hatchery_grpc::bridge::proto::bridge_service_server::BridgeServiceServer;
use hatchery_grpc::bridge::{ANSWER_LIMIT, MESSAGE_LIMIT};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tonic::Request;
use tonic::service::interceptor::InterceptedService;

use crate::host::Host;
use crate::peer;
use crate::secret::Secret;

/// A worker has a channel or two; one that opens these is not well.
const MOST_CONNECTIONS: usize = 32;

/// After an accept that failed, as for want of descriptors, before the next.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Dropped, nobody listens, and its connections are closed.
pub(crate) struct Listener {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Listener {
    /// Answers from now on.
    pub(crate) async fn open(host: Host, secret: Arc<Secret>) -> Result<Listener> {
        let wrong = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("listen for a worker on 127.0.0.1: {error}"))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let serving = tokio::spawn(serve(listener, Arc::new(host), secret)).abort_handle();
        Ok(Listener { address, serving })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, host: Arc<Host>, secret: Arc<Secret>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(answer(stream, Arc::clone(&host), Arc::clone(&secret)));
            }
            Ok((one_too_many, _)) => drop(one_too_many),
            Err(_) => tokio::time::sleep(AFTER_A_FAILURE).await,
        }
    }
}

async fn answer(stream: TcpStream, host: Arc<Host>, secret: Arc<Secret>) {
    // A worker is of this user; another one is told nothing.
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(ours), Ok(theirs)) if peer::is_of_this_user(ours, theirs).await => {}
        _ => return,
    }
    // Without it, short answers wait for the other side's acknowledgement.
    let _as_it_is = stream.set_nodelay(true);
    let service = BridgeServiceServer::from_arc(host)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(ANSWER_LIMIT);
    let service = InterceptedService::new(service, move |request: Request<()>| {
        secret.check(&request)?;
        Ok(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    // A worker that goes away takes its connection with it; what is wrong with one is the worker's to tell.
    let _over = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}
