//! Takes connections in, and sees all of them out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::house::House;
use crate::routes;

/// How long a client may take for the head of a request, and leave a connection idle.
const HEAD: Duration = Duration::from_secs(30);

/// Connections at once; more wait in the listener's queue. Well under the usual limit of 1024 descriptors.
const MOST: usize = 512;

/// How long clients have to take their last answers once all workers are gone.
const PARTING: Duration = Duration::from_secs(2);

/// How long to wait when the system has no descriptor for one more.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Serves connections until the house is closed, and then until they are.
pub(crate) async fn serve(listener: TcpListener, house: Arc<House>) {
    let router = routes::router(Arc::clone(&house));
    let mut closed = std::pin::pin!(house.closed());
    let graceful = GracefulShutdown::new();
    // Those that are open. They end with this.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = &mut closed => break,
            Some(_ended) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < MOST => match accepted {
                Ok((stream, _)) => drop(open.spawn(connection(stream, router.clone(), &graceful))),
                // Those that wait are tried again.
                Err(_) => tokio::time::sleep(OUT_OF_DESCRIPTORS).await,
            },
        }
    }
    drop(listener);
    let _those_that_do_not_read_are_cut = tokio::time::timeout(PARTING, graceful.shutdown()).await;
}

/// One connection, request after request. Its future holds the call that it waits for: the end of one is that of the other.
fn connection(stream: TcpStream, router: Router, graceful: &GracefulShutdown) -> impl Future<Output = ()> + use<> {
    // Answers are small, and whoever waits for a chunk waits for this one.
    let _slower_otherwise = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let watched = graceful.watch(connection);
    async move {
        let _client_went_away = watched.await;
    }
}
