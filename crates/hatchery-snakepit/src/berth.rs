//! How a worker is made ready for, and connected to: a listener before it starts, the file by which it says its port, a connection.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hatchery::{
    Berth, Error, ErrorKind, Heartbeat, Later, Launch, LinkedProcess, ProfileWorker, Result, Sessions, Transport,
    TransportContext,
};
use hatchery_grpc::bridge::{Client, Connection, Peer, RequestOptions};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::app::has_flag;
use crate::current::Current;
use crate::host::Host;
use crate::link::Link;
use crate::listener::Listener;
use crate::readiness::ReadyFile;
use crate::secret::{self, Secret};
use crate::sessions::WorkerSessions;
use crate::{shim, telemetry};

/// Speaks `snakepit.bridge` with the workers of a pool: see [`PoolBuilder::transport`](hatchery::PoolBuilder::transport).
#[derive(Clone, Default)]
pub struct Bridge(Arc<Links>);

/// The workers that are connected, to be told of sessions that end.
#[derive(Default)]
struct Links {
    links: Mutex<Vec<Weak<Link>>>,
    /// The session store tells them.
    is_told: OnceLock<()>,
}

impl Bridge {
    /// With a listener for each worker, on loopback.
    pub fn new() -> Bridge {
        Bridge::default()
    }
}

impl Links {
    /// A pool has one store for as long as it lives.
    fn listen(links: &Arc<Links>, sessions: &Sessions) {
        let links = Arc::downgrade(links);
        sessions.on_end(move |id| {
            if let Some(links) = links.upgrade() {
                links.session_ended(id);
            }
        });
    }

    fn add(&self, link: &Arc<Link>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    fn session_ended(&self, id: &str) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner).clone();
        links.iter().for_each(|link| Link::session_ended(link, id));
    }
}

impl Transport for Bridge {
    fn name(&self) -> &str {
        "grpc"
    }

    fn prepare(&self, worker: TransportContext) -> Later<'_, Result<Box<dyn Berth>>> {
        Box::pin(async move {
            self.0.is_told.get_or_init(|| Links::listen(&self.0, &worker.sessions));
            let sessions = Arc::new(WorkerSessions::new(worker.sessions.clone()));
            let current = Arc::new(Current::new(worker.worker.clone(), worker.generation));
            let host = Host {
                pool: Arc::clone(&worker.pool),
                sessions: Arc::clone(&sessions),
                current: Arc::clone(&current),
                host_tools: worker.host_tools.clone(),
                calls: worker.calls.clone(),
            };
            let secret = Arc::new(Secret::new()?);
            let listener = Listener::open(host, Arc::clone(&secret)).await?;
            let ready = ReadyFile::new(place_for(&worker)?);
            let links = Arc::clone(&self.0);
            Ok(Box::new(BridgeBerth { worker, listener, secret, ready, sessions, current, links }) as Box<dyn Berth>)
        })
    }
}

/// Only this user can write there, and what a killed supervisor leaves goes with its record.
fn place_for(worker: &TransportContext) -> Result<PathBuf> {
    let Some(folder) = &worker.folder else {
        let message = "no folder for the file by which a worker says where it listens: neither the data dir nor the runtime dir can be written";
        return Err(Error::new(ErrorKind::Unavailable, message));
    };
    Ok(folder.join(format!("ready-{}-{}", worker.worker, worker.generation)))
}

/// What is ready for one worker.
struct BridgeBerth {
    worker: TransportContext,
    listener: Listener,
    secret: Arc<Secret>,
    ready: ReadyFile,
    sessions: Arc<WorkerSessions>,
    current: Arc<Current>,
    links: Arc<Links>,
}

impl Berth for BridgeBerth {
    fn launch(&self, launch: Launch) -> Launch {
        let args: Vec<String> = launch.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let launch = match has_flag(&args, "--elixir-address") {
            true => launch,
            false => launch.arg("--elixir-address").arg(self.listener.address().to_string()),
        };
        // Only the shim hides it from what the worker starts.
        let launch = match shim::is_in(&launch) {
            true => launch.env(secret::VARIABLE, self.secret.text()),
            false => launch,
        };
        launch
            .env("SNAKEPIT_READY_FILE", self.ready.path())
            .env("SNAKEPIT_HEARTBEAT_CONFIG", heartbeat_config(&self.worker.heartbeat))
    }

    fn connect(&self, _process: LinkedProcess) -> Later<'_, Result<Arc<dyn ProfileWorker>>> {
        Box::pin(async move {
            let port = self.ready.port().await?;
            let link = Arc::new(self.link(port).await?);
            self.links.add(&link);
            Ok(link as Arc<dyn ProfileWorker>)
        })
    }
}

impl BridgeBerth {
    async fn link(&self, port: u16) -> Result<Link> {
        let wrong = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("connect to its port {port} on 127.0.0.1: {error}"))
        };
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(wrong)?;
        stream.set_nodelay(true).map_err(wrong)?;
        let (connection, driver) = Connection::handshake(stream).await?;
        let (tell_over, over) = watch::channel(None);
        let driving = tokio::spawn(async move {
            let ended = driver.await.err();
            let closed = || Error::new(ErrorKind::Unavailable, "it closed its connection");
            tell_over.send_replace(Some(ended.unwrap_or_else(closed)));
        });
        let client = Client::new(connection, Peer::Worker);
        let mut link = Link {
            client: client.clone(),
            sessions: Arc::clone(&self.sessions),
            current: Arc::clone(&self.current),
            over,
            measured: watch::Sender::default(),
            tasks: vec![driving.abort_handle()],
        };
        let greeting = RequestOptions::new().timeout(GREETING);
        client.ping("connection_test", &greeting).await.map_err(|error| not_greeted(port, &error))?;
        let metadata = [("worker".to_owned(), self.worker.worker.to_string())].into();
        client.initialize_session(self.sessions.private(), metadata, None, &greeting).await?;
        let (voice, wanted) = (self.worker.voice.clone(), link.measured.subscribe());
        let telling = tokio::spawn(telemetry::pass_on(client, voice, wanted));
        link.tasks.push(telling.abort_handle());
        Ok(link)
    }
}

/// A worker that has said its port answers at once, or never.
const GREETING: Duration = Duration::from_secs(30);

/// The process lives: what is gone is the connection, and it was never that of a worker.
fn not_greeted(port: u16, error: &Error) -> Error {
    let kind = if error.kind() == ErrorKind::WorkerDied { ErrorKind::Protocol } else { error.kind() };
    Error::new(kind, format!("greet it on its port {port} on 127.0.0.1: {}", error.message()))
}

/// As a worker reads it. Without end is what its numbers can say.
fn heartbeat_config(heartbeat: &Heartbeat) -> String {
    let milliseconds = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    let config = json!({
        "enabled": heartbeat.enabled,
        "interval_ms": milliseconds(heartbeat.interval),
        "timeout_ms": milliseconds(heartbeat.timeout),
        "max_missed_heartbeats": heartbeat.max_missed,
        "initial_delay_ms": milliseconds(heartbeat.initial_delay),
        "dependent": heartbeat.dependent,
    });
    config.to_string()
}
