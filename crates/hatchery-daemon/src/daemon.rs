//! The life of a daemon, top to bottom.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hatchery::{Builder, Hatchery, OtlpConfig, Result, ServerConfig};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::access::{Access, Policy};
use crate::doors::Doors;
use crate::house::House;
use crate::listen::{self, Listeners, Socket, Tls, socket};
use crate::otlp::Exporting;
use crate::record::{Claim, Record};
use crate::{HandedOver, Notifier, Phase, Reload, Reloader, connections, watchdog};

/// A daemon that is bound to its address. Connections wait there until it serves.
pub struct Daemon {
    listeners: Listeners,
    tls: Option<Arc<Tls>>,
    house: Arc<House>,
    /// None: it has no data directory.
    claim: Option<Claim>,
    /// How long the service manager waits for a sign of life.
    patience: Option<Duration>,
    /// Where traces and metrics go, if they go anywhere.
    exporting: Option<Exporting>,
}

impl Daemon {
    /// Listens on `HOST:PORT` of loopback, for everybody there; port 0 is any free one. It has no data directory: no tokens, no
    /// Unix socket, and no record by which others find it.
    ///
    /// # Errors
    /// `validation` for anything but a loopback address, since callers are not authenticated; `conflict` if somebody
    /// listens there.
    pub async fn bind(address: &str) -> Result<Daemon> {
        let mut config = ServerConfig::default();
        config.listen = Some(address.to_owned());
        Daemon::listen(None, &config, HandedOver::default()).await
    }

    /// The daemon of a data directory, which it claims until it ends: it listens where the configuration says, and on the
    /// Unix socket `daemon.sock` there, and leaves a [`Record`] of both.
    ///
    /// # Errors
    /// `validation` for an address that others reach without TLS or without a credential to ask for, and for files that cannot be
    /// used; `conflict` if somebody listens there, or on every port of `[bridge]`, or if the directory has a daemon.
    pub async fn open(data_dir: &Path, config: &ServerConfig, handed_over: HandedOver) -> Result<Daemon> {
        Daemon::listen(Some(data_dir), config, handed_over).await
    }

    async fn listen(data_dir: Option<&Path>, config: &ServerConfig, handed_over: HandedOver) -> Result<Daemon> {
        let access = Arc::new(Access::new(Policy::of(config), data_dir));
        let tls = Tls::read(config)?.map(|read| Arc::new(Tls::new(read)));
        let HandedOver { tcp, unix } = handed_over;
        let wanted = config.listen.as_deref().unwrap_or(ServerConfig::LISTEN);
        if tcp.is_empty() {
            listen::may_listen(listen::address(wanted)?, config, &access)?;
        }
        let mut listeners = Listeners::bind(wanted, tcp).await?;
        for address in listeners.addresses() {
            listen::may_listen(address, config, &access)?;
        }
        let bridge = bridge(&mut listeners, config, &access).await?;
        let claim = data_dir.map(Claim::of).transpose()?;
        for socket in sockets(data_dir, config, unix).await? {
            listeners.add(socket);
        }
        if let Some(claim) = &claim {
            let record = Record::of(listeners.address(), listeners.socket(), tls.is_some());
            claim.tell(&Record { bridge: bridge.clone(), ..record })?;
        }
        let doors =
            Doors::new(config.clone(), listeners.addresses().collect(), access, tls.clone()).with_bridge(bridge);
        let house = Arc::new(House::new(listeners.address(), doors));
        Ok(Daemon { listeners, tls, house, claim, patience: None, exporting: None })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.house.address
    }

    /// How others reach it: `http://` or `https://`, and the address.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Its Unix socket, if it has one that lies in the file system.
    pub fn socket(&self) -> Option<&Path> {
        self.listeners.socket()
    }

    /// Where clients that are no workers reach `snakepit.bridge`, if they do: `HOST:PORT`.
    pub fn bridge(&self) -> Option<&str> {
        self.house.doors().bridge()
    }

    /// The phases that it enters, from now on to the last.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.house.phases()
    }

    /// What reads the configuration again when somebody orders that.
    #[must_use]
    pub fn reloaded_by(self, configuration: impl Reload) -> Daemon {
        self.house.set_configuration(Arc::new(configuration));
        self
    }

    /// Has it read its configuration again, as an order does.
    pub fn reloader(&self) -> Reloader {
        Reloader::new(&self.house)
    }

    /// Where traces of its calls and its metrics go, if the configuration says so.
    ///
    /// # Errors
    /// `validation` for an endpoint that is none, headers that cannot be read, or a build that cannot export.
    pub fn exporting(mut self, config: &OtlpConfig) -> Result<Daemon> {
        self.exporting = Exporting::of(config)?;
        if let Some(exporting) = &self.exporting {
            self.house.set_sample_ratio(exporting.sample_ratio());
        }
        Ok(self)
    }

    /// Who is told of its phases and reloads; and, twice in `patience`, that it answers.
    #[must_use]
    pub fn notifying(mut self, manager: Notifier, patience: Option<Duration>) -> Daemon {
        self.house.set_notifier(manager);
        self.patience = patience;
        self
    }

    /// [`Daemon::serve`], from the first half of the start on ([`Builder::begin`]), which is a phase of its own.
    ///
    /// # Errors
    /// Those of the start; the daemon has ended then.
    pub async fn start(self, pools: Builder, shutdown: impl Future<Output = ()>) -> Result<()> {
        let house = Arc::clone(&self.house);
        let filling = async move {
            house.enter(Phase::Sweeping);
            let begun = pools.begin().await?;
            house.enter(Phase::Filling);
            begun.fill().await
        };
        self.live(filling, shutdown).await
    }

    /// Answers from now on, takes calls once `filling` has started the pools, and drains when `shutdown` ends: calls that run
    /// may finish within the graces of their pool ([`StopGraces`](hatchery::StopGraces)). Returns when every worker is gone and every connection is closed.
    ///
    /// Dropping the future ends every worker at once.
    ///
    /// # Errors
    /// That of `filling`; the daemon has ended then.
    pub async fn serve(
        self,
        filling: impl Future<Output = Result<Hatchery>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()> {
        let house = Arc::clone(&self.house);
        let filling = async move {
            house.enter(Phase::Filling);
            filling.await
        };
        self.live(filling, shutdown).await
    }

    async fn live(
        self,
        filling: impl Future<Output = Result<Hatchery>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()> {
        let Daemon { listeners, tls, house, claim, patience, exporting } = self;
        // It is given back last: until then the directory is this daemon's.
        let _claimed = claim;
        let _until_the_end = Watching::begin(&house, patience);
        let live = live(&house, exporting.as_ref(), filling, shutdown);
        // Dropped, the connections go first: nobody is told as an answer what the end of the workers does to calls.
        let ((), outcome) = tokio::join!(connections::serve(listeners, tls, Arc::clone(&house)), live);
        outcome
    }
}

/// The one for clients of the bridge, if it is wanted: how they are told to reach it.
async fn bridge(listeners: &mut Listeners, config: &ServerConfig, access: &Access) -> Result<Option<String>> {
    let Some(wanted) = &config.bridge else { return Ok(None) };
    listen::may_listen(SocketAddr::new(wanted.bind, *wanted.ports.start()), config, access)?;
    let address = listeners.bind_bridge(wanted).await?;
    Ok(Some(format!("{}:{}", wanted.host, address.port())))
}

/// Those that were handed over, else the one that the configuration names, else the one of the data directory, if it can be there.
async fn sockets(
    data_dir: Option<&Path>,
    config: &ServerConfig,
    handed_over: Vec<std::os::unix::net::UnixListener>,
) -> Result<Vec<Socket>> {
    if !handed_over.is_empty() {
        return handed_over.into_iter().map(Socket::handed_over).collect();
    }
    let path = match (&config.socket, data_dir) {
        (Some(wanted), _) => wanted.clone(),
        (None, Some(data_dir)) => usual(data_dir),
        (None, None) => None,
    };
    match path {
        Some(path) => Ok(vec![Socket::bind(&path).await?]),
        None => Ok(Vec::new()),
    }
}

/// Nobody has asked for it: where it would not be safe, there is none.
fn usual(data_dir: &Path) -> Option<std::path::PathBuf> {
    let path = data_dir.join(socket::NAME);
    match socket::unfit(&path) {
        None => Some(path),
        Some(reason) => {
            tracing::warn!(target: "hatchery::daemon", reason, "no Unix socket");
            None
        }
    }
}

/// The watchdog's task, for as long as the daemon lives.
struct Watching(Option<AbortHandle>);

impl Watching {
    fn begin(house: &Arc<House>, patience: Option<Duration>) -> Watching {
        let (Some(notifier), Some(patience)) = (house.notifier(), patience) else { return Watching(None) };
        let house = Arc::clone(house);
        let task = tokio::spawn(async move { watchdog::watch(house, &notifier, patience).await });
        Watching(Some(task.abort_handle()))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// From the first phase after the start to the last.
async fn live(
    house: &Arc<House>,
    exporting: Option<&Exporting>,
    filling: impl Future<Output = Result<Hatchery>>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let mut shutdown = std::pin::pin!(either(shutdown, house.told_to_stop()));
    let filled = tokio::select! {
        biased;
        // Nobody has called the workers yet: they end with the future that starts them.
        () = &mut shutdown => None,
        filled = filling => Some(filled),
    };
    let outcome = match filled {
        Some(Ok(hatchery)) => until_drained(house, exporting, hatchery, shutdown).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    house.enter(Phase::Closed);
    outcome
}

/// Whichever comes first: a signal, or somebody's order.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        () = one => {}
        () = other => {}
    }
}

async fn until_drained(
    house: &Arc<House>,
    exporting: Option<&Exporting>,
    hatchery: Hatchery,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let hatchery = Arc::new(hatchery);
    let exporter = exporting.map(|exporting| exporting.begin(house, &hatchery)).transpose()?;
    house.open(&hatchery);
    shutdown.await;
    house.enter(Phase::Draining);
    let outcome = hatchery.shutdown().await;
    if let Some(exporter) = exporter {
        exporter.end().await;
    }
    outcome
}
