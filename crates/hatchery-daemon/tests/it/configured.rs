//! A daemon with a configuration that can be read again, of one pool that serves.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hatchery::{Config, Error, Hatchery, Reconfigured, Result, Scope, Settings};
use hatchery_daemon::{Daemon, HandedOver, NewToken, Phase, Reloader, Tokens};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Configured {
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    server: Arc<Mutex<String>>,
    reloader: Reloader,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
}

/// The well-behaved tools of the library's own tests, and what `[server]` says.
fn config(server: &str) -> Result<Config> {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../hatchery/tests/fixtures/apps/basics.py");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[[pools]]\nname = \"default\"\napp = {app:?}\nworkers = 1\n"
    );
    Settings::parse(&text, Path::new("/f")).config()
}

impl Configured {
    /// What the configuration names may lie in the folder, whose data directory is itself.
    pub(crate) async fn with(folder: tempfile::TempDir, server: &str) -> Configured {
        let first = config(server).unwrap();
        let server = Arc::new(Mutex::new(server.to_owned()));
        let reading = Arc::clone(&server);
        let daemon = Daemon::open(folder.path(), &first.server, HandedOver::default()).await.unwrap();
        let daemon = daemon.reloaded_by(move || config(&reading.lock().unwrap()));
        let (address, mut phases, reloader) = (daemon.address(), daemon.phases(), daemon.reloader());
        let (stop, stopped) = oneshot::channel();
        let pools = Hatchery::builder().configure(&first).data_dir(folder.path());
        let ended = tokio::spawn(daemon.start(pools, async { drop(stopped.await) }));
        let reached = *phases.wait_for(|phase| *phase >= Phase::Serving).await.unwrap();
        assert_eq!(reached, Phase::Serving, "it ended: {:?}", ended.await);
        Configured { address, folder, server, reloader, stop, ended }
    }

    pub(crate) fn tokens(&self) -> Tokens {
        Tokens::of(self.folder.path())
    }

    /// A token of this name for everything.
    pub(crate) fn token(&self, name: &str) -> String {
        let new = NewToken { name: Some(name.to_owned()), scopes: vec![Scope::Operate], expires: None };
        self.tokens().make(&new).unwrap().0.text().to_owned()
    }

    /// The configuration says this from now on.
    pub(crate) async fn obeys(&self, server: &str) -> Reconfigured {
        server.clone_into(&mut self.server.lock().unwrap());
        self.reloader.reload().await.unwrap()
    }

    /// The same, where it does not.
    pub(crate) async fn refuses(&self, server: &str) -> Error {
        server.clone_into(&mut self.server.lock().unwrap());
        self.reloader.reload().await.unwrap_err()
    }

    pub(crate) async fn end(self) {
        let _has_ended_by_itself = self.stop.send(());
        self.ended.await.unwrap().unwrap();
    }
}
