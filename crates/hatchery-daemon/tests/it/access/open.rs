//! A daemon of a data directory, whose workers never come: who is let in does not depend on them.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use hatchery::{Hatchery, Result, Scope, ServerConfig, Settings};
use hatchery_daemon::{Daemon, HandedOver, NewToken, Tokens};
use hyper::Request;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Reply, send};

pub(crate) struct Open {
    pub(crate) address: SocketAddr,
    /// Where clients of the bridge reach it, if they do.
    pub(crate) bridge: Option<SocketAddr>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
}

/// What `[server]` says.
pub(crate) fn server(text: &str) -> ServerConfig {
    Settings::parse(&format!("[server]\n{text}"), Path::new("/f")).config().unwrap().server
}

/// What anybody in the network could use to reach a program of this machine.
pub(crate) fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // It sends nothing: it asks which of our addresses would be the sender's. A machine without a network has its loopback,
    // and a daemon that listens everywhere does not take that for an excuse.
    let asked = socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr());
    asked.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

impl Open {
    /// One that listens on loopback.
    pub(crate) async fn here(config: &str) -> Open {
        Open::with(tempfile::tempdir().unwrap(), &format!("listen = \"127.0.0.1:0\"\n{config}")).await
    }

    /// One that others reach, without TLS, with these tokens' scopes.
    pub(crate) async fn to_all<const N: usize>(scopes: [Scope; N], config: &str) -> (Open, [String; N]) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::of(folder.path());
        let made = scopes.map(|scope| {
            let new = NewToken { name: Some(scope.to_string()), scopes: vec![scope], expires: None };
            tokens.make(&new).unwrap().0.text().to_owned()
        });
        let text = format!("listen = \"0.0.0.0:0\"\ninsecure_plaintext = true\n{config}");
        let mut open = Open::with(folder, &text).await;
        open.address = SocketAddr::new(own_address(), open.address.port());
        (open, made)
    }

    pub(crate) async fn with(folder: tempfile::TempDir, config: &str) -> Open {
        let daemon = Daemon::open(folder.path(), &server(config), HandedOver::default()).await.unwrap();
        let (address, socket) = (daemon.address(), daemon.socket().map(Path::to_owned));
        let bridge = daemon.bridge().map(|bridge| bridge.parse().unwrap());
        let (stop, stopped) = oneshot::channel();
        let never = std::future::pending::<Result<Hatchery>>();
        let ended = tokio::spawn(daemon.serve(never, async { drop(stopped.await) }));
        Open { address, bridge, socket, folder, stop, ended }
    }

    pub(crate) fn tokens(&self) -> Tokens {
        Tokens::of(self.folder.path())
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, token: &str) -> Reply {
        let request = Request::builder().method(method).uri(path);
        let request =
            if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
        send(self.address, request.body(String::new()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        self.ask("GET", path, token).await
    }

    /// Ends it, and proves that it leaves nothing that others could connect to.
    pub(crate) async fn end(self) {
        let _has_ended_by_itself = self.stop.send(());
        self.ended.await.unwrap().unwrap();
        assert!(self.socket.is_none_or(|socket| !socket.exists()));
        assert!(!self.folder.path().join("daemon.json").exists());
    }
}
