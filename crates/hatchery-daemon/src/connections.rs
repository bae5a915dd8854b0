//! Takes connections in, and sees all of them out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::access::{Access, Arrival, Door, Limits};
use crate::counters::Counters;
use crate::house::House;
use crate::listen::{Accepted, Listeners, Room, Tls};

mod again;
mod answered;
mod patience;
mod reception;
mod stream;
mod streams;

use again::Again;
use patience::Patience;
use reception::Reception;
use stream::{Stream, Watched};
use streams::Streams;

/// How long clients have to take their last answers once all workers are gone.
const PARTING: Duration = Duration::from_secs(2);

/// How long to wait when the system has no descriptor for one more.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// A client of which nothing is heard is asked whether it is there, and then has so long to answer.
const QUIET: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(10);

/// Requests of one connection at once; more wait for each other.
const STREAMS: u32 = 256;

/// What a client of HTTP/2 may send before it is read, of one request and of all on its connection.
const WINDOW: u32 = 1 << 20;
const WINDOWS: u32 = 4 << 20;

/// What of one answer waits for the socket, at most; its client has made room for it.
const UNSENT: usize = 256 << 10;

/// How long the head of a request may be.
const HEAD_BYTES: u32 = 32 << 10;

/// How much is read of a connection before somebody asks for it, at most.
const BUFFER: usize = 64 << 10;

/// Serves connections until the house is closed, and then until they are.
pub(crate) async fn serve(mut listeners: Listeners, tls: Option<Arc<Tls>>, house: Arc<House>) {
    let behind = Behind::of(&house);
    let access = Arc::clone(house.access());
    let rooms = Rooms::of(&access.policy().limits);
    let (mut closed, mut watching) = (std::pin::pin!(house.closed()), std::pin::pin!(access.watch()));
    let graceful = GracefulShutdown::new();
    // Those that are open. They end with this.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = &mut closed => break,
            () = &mut watching => {}
            Some(_ended) = open.join_next() => {}
            accepted = listeners.accept(rooms.room()) => match accepted {
                Ok(accepted) => {
                    let guest = Guest { behind: behind.clone(), access: Arc::clone(&access), watcher: graceful.watcher() };
                    let permit = rooms.enter(&accepted);
                    let tls = tls.clone();
                    drop(open.spawn(async move {
                        guest.come(accepted, tls).await;
                        drop(permit);
                    }));
                }
                // Those that wait are tried again.
                Err(_) => tokio::time::sleep(OUT_OF_DESCRIPTORS).await,
            },
        }
    }
    drop(listeners);
    let _those_that_do_not_read_are_cut = tokio::time::timeout(PARTING, graceful.shutdown()).await;
}

/// How many connections there may be. Whoever has all those of TCP keeps nobody from the Unix socket.
struct Rooms {
    tcp: Arc<Semaphore>,
    unix: Arc<Semaphore>,
}

impl Rooms {
    /// Workers need descriptors, too.
    fn of(limits: &Limits) -> Rooms {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = usize::try_from(descriptors / 2).unwrap_or(usize::MAX).max(1);
        let tcp = limits.connections.min(most);
        let unix = (tcp / 4).max(1);
        Rooms { tcp: Arc::new(Semaphore::new(tcp)), unix: Arc::new(Semaphore::new(unix)) }
    }

    fn room(&self) -> Room {
        Room { tcp: self.tcp.available_permits() > 0, unix: self.unix.available_permits() > 0 }
    }

    fn enter(&self, accepted: &Accepted) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let of = match accepted {
            Accepted::Tcp(..) => &self.tcp,
            Accepted::Unix(..) => &self.unix,
        };
        Arc::clone(of).try_acquire_owned().ok()
    }
}

/// What is behind each door.
#[derive(Clone)]
struct Behind {
    daemon: Arc<Counters>,
    bridge: Arc<Counters>,
}

impl Behind {
    fn of(house: &Arc<House>) -> Behind {
        Behind { daemon: Arc::new(Counters::of_the_daemon(house)), bridge: Arc::new(Counters::of_the_bridge(house)) }
    }

    fn door(self, door: Door) -> Arc<Counters> {
        match door {
            Door::Daemon => self.daemon,
            Door::Bridge => self.bridge,
        }
    }
}

/// A connection that has come.
struct Guest {
    behind: Behind,
    access: Arc<Access>,
    watcher: Watcher,
}

impl Guest {
    /// Its whole visit: who it is, then request after request. The future holds the calls that it waits for: the end of the
    /// connection is theirs.
    async fn come(self, accepted: Accepted, tls: Option<Arc<Tls>>) {
        // Before anything is read, it counts as one of its address or user.
        let (Accepted::Tcp(_, arrival) | Accepted::Unix(_, arrival)) = &accepted;
        let policy = self.access.policy();
        let Some(_share) = self.access.connection(&policy, arrival) else { return };
        let head = policy.limits.head;
        match (accepted, tls) {
            (Accepted::Unix(stream, arrival), _) => self.stay(Stream::Unix(stream), arrival).await,
            (Accepted::Tcp(stream, arrival), None) => {
                prepare(&stream);
                self.stay(Stream::Tcp(stream), arrival).await;
            }
            (Accepted::Tcp(stream, arrival), Some(tls)) => {
                prepare(&stream);
                if let Some((stream, arrival)) = tls.accept(stream, arrival, head).await {
                    self.stay(Stream::Tls(Box::new(stream)), arrival).await;
                }
            }
        }
    }

    async fn stay(self, stream: Stream, arrival: Arrival) {
        let Guest { behind, access, watcher } = self;
        let counters = behind.door(arrival.door);
        let (patience, limits) = (Arc::new(Patience::new()), access.policy().limits.clone());
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&patience)));
        let reception = Arc::new(Reception::new(counters, access, arrival, Arc::clone(&patience)));
        let answering = service_fn(move |request| {
            let reception = Arc::clone(&reception);
            async move { Ok::<_, Infallible>(reception.answered(request).await) }
        });
        let builder = protocols(&limits);
        let served = Again::new(watcher.watch(builder.serve_connection(stream, answering)));
        tokio::select! {
            _client_went_away = served => {}
            () = patience.ends(limits.head, limits.stall) => {}
        }
    }
}

/// HTTP/1.1 and HTTP/2, whichever the client speaks.
fn protocols(limits: &Limits) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams::default());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(QUIET)
        .keep_alive_timeout(ANSWER)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOWS)
        .max_send_buf_size(UNSENT)
        .max_header_list_size(HEAD_BYTES);
    builder
}

/// Answers are small, and whoever waits for a chunk waits for this one. A client whose machine is gone is noticed.
fn prepare(stream: &TcpStream) {
    let _slower_otherwise = stream.set_nodelay(true);
    let asked = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, QUIET))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, ANSWER))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, 3));
    let _noticed_later_otherwise = asked;
}

#[cfg(test)]
mod tests;
