//! What a running daemon obeys of `[server]` when that is read again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hatchery::{Reconfigured, Result, ServerConfig};

use crate::access::{Access, Policy};
use crate::listen::{self, Tls};

/// Where a daemon is reached and by whom.
pub(crate) struct Doors {
    config: Mutex<ServerConfig>,
    addresses: Vec<SocketAddr>,
    /// Where clients are told that they reach `snakepit.bridge`, if they do: `HOST:PORT`.
    bridge: Option<String>,
    access: Arc<Access>,
    tls: Option<Arc<Tls>>,
}

/// A configuration that can be obeyed.
pub(crate) struct Checked<'a> {
    doors: &'a Doors,
    config: &'a ServerConfig,
    tls: Option<Arc<rustls::ServerConfig>>,
}

const BOUND: &str = "the daemon listens already";
const COUNTED: &str = "the daemon counts its connections since its start";

impl Doors {
    pub(crate) fn new(
        config: ServerConfig,
        addresses: Vec<SocketAddr>,
        access: Arc<Access>,
        tls: Option<Arc<Tls>>,
    ) -> Doors {
        Doors { config: Mutex::new(config), addresses, bridge: None, access, tls }
    }

    pub(crate) fn with_bridge(self, bridge: Option<String>) -> Doors {
        Doors { bridge, ..self }
    }

    /// Those of a daemon that listens nowhere.
    #[cfg(test)]
    pub(crate) fn closed() -> Doors {
        let config = ServerConfig::default();
        let access = Arc::new(Access::new(Policy::of(&config), None));
        Doors::new(config, Vec::new(), access, None)
    }

    pub(crate) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    pub(crate) fn bridge(&self) -> Option<&str> {
        self.bridge.as_deref()
    }

    pub(crate) fn speak_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the files of TLS again. Nothing changes yet.
    ///
    /// # Errors
    /// `validation` if it would let in anybody, or if a file cannot be read.
    pub(crate) fn check<'a>(&'a self, config: &'a ServerConfig) -> Result<Checked<'a>> {
        for address in &self.addresses {
            listen::may_listen(*address, config, &self.access)?;
        }
        let tls = if self.tls.is_some() { Tls::read(config)? } else { None };
        Ok(Checked { doors: self, config, tls })
    }
}

impl Checked<'_> {
    /// Has the next requests and connections obey it. Connections that are open stay.
    pub(crate) fn obey(self) -> Reconfigured {
        let Checked { doors, config, tls } = self;
        let mut before = doors.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(running), Some(tls)) = (&doors.tls, tls) {
            running.replace(tls);
        }
        doors.access.obey(Policy::of(config));
        let report = compared(&before, config);
        // What needs a restart is told of each time: it is compared with what holds.
        *before = held(&before, config);
        report
    }
}

/// What holds now: the new, but for what takes a restart.
fn held(before: &ServerConfig, config: &ServerConfig) -> ServerConfig {
    let mut held = config.clone();
    held.listen.clone_from(&before.listen);
    held.socket.clone_from(&before.socket);
    held.bridge.clone_from(&before.bridge);
    held.limits.connections = before.limits.connections;
    if before.tls.cert.is_some() != config.tls.cert.is_some() {
        held.tls = before.tls.clone();
    }
    held
}

fn compared(before: &ServerConfig, now: &ServerConfig) -> Reconfigured {
    let (limits, new) = (&before.limits, &now.limits);
    let switched = (before.tls.cert.is_some() != now.tls.cert.is_some()).then_some(BOUND);
    let keys = [
        ("bridge", before.bridge == now.bridge, Some(BOUND)),
        ("server.listen", before.listen == now.listen, Some(BOUND)),
        ("server.socket", before.socket == now.socket, Some(BOUND)),
        ("server.auth", before.auth == now.auth, None),
        ("server.insecure_plaintext", before.insecure_plaintext == now.insecure_plaintext, None),
        ("server.cors_origins", before.cors_origins == now.cors_origins, None),
        ("server.tls.cert", before.tls.cert == now.tls.cert, switched),
        ("server.tls.key", before.tls.key == now.tls.key, switched),
        ("server.tls.client_ca", before.tls.client_ca == now.tls.client_ca, switched),
        ("server.tls.client_scopes", before.tls.client_scopes == now.tls.client_scopes, switched),
        ("server.limits.requests_per_second", limits.requests_per_second == new.requests_per_second, None),
        ("server.limits.burst", limits.burst == new.burst, None),
        ("server.limits.calls_per_client", limits.calls_per_client == new.calls_per_client, None),
        ("server.limits.connections", limits.connections == new.connections, Some(COUNTED)),
        ("server.limits.connections_per_client", limits.connections_per_client == new.connections_per_client, None),
        ("server.limits.body", limits.body == new.body, None),
        ("server.limits.head", limits.head == new.head, None),
        ("server.limits.stall", limits.stall == new.stall, None),
    ];
    let mut report = Reconfigured::default();
    for (key, is_same, why_not) in keys {
        match why_not {
            _ if is_same => report.unchanged += 1,
            Some(reason) => report.needs_restart(key, reason),
            None => report.applied.push(key.to_owned()),
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hatchery::Settings;

    use super::*;

    fn server(text: &str) -> ServerConfig {
        Settings::parse(&format!("[server]\n{text}"), Path::new("/f")).config().unwrap().server
    }

    fn doors(text: &str, addresses: &[&str]) -> Doors {
        let config = server(text);
        let access = Arc::new(Access::new(Policy::of(&config), None));
        Doors::new(config, addresses.iter().map(|address| address.parse().unwrap()).collect(), access, None)
    }

    const LATER: &str = "listen = \"127.0.0.1:2\"\nauth = \"token\"\nlimits.body = \"1MiB\"\nlimits.connections = 7";

    #[test]
    fn what_can_change_changes_and_the_rest_is_named_each_time() {
        let doors = doors("", &["127.0.0.1:1"]);
        let config = server(LATER);
        let report = doors.check(&config).unwrap().obey();
        assert_eq!(report.applied, ["server.auth", "server.limits.body"]);
        let restart = |report: &Reconfigured| report.needs_restart.iter().map(|it| it.key.clone()).collect::<Vec<_>>();
        assert_eq!(restart(&report), ["server.listen", "server.limits.connections"]);
        assert_eq!(doors.access.policy().limits.body.size, Some(1 << 20));
        let bridged = format!("[bridge]\nmode = \"external\"\nhost = \"::1\"\nport = 1\n[server]\n{LATER}");
        let bridged = Settings::parse(&bridged, Path::new("/f")).config().unwrap().server;
        assert_eq!(restart(&doors.check(&bridged).unwrap().obey())[0], "bridge");
        let again = doors.check(&config).unwrap().obey();
        assert_eq!((again.applied.len(), restart(&again).len(), again.unchanged), (0, 2, 16));
    }

    #[test]
    fn a_daemon_that_others_reach_is_not_opened_to_all() {
        let doors = doors("auth = \"token\"\ninsecure_plaintext = true", &["10.0.0.1:1"]);
        for open in ["auth = \"none\"", "auth = \"none\"\ninsecure_plaintext = true", ""] {
            assert!(doors.check(&server(open)).is_err(), "{open}");
            assert_eq!(doors.access.policy().auth, hatchery::Auth::Token);
        }
    }
}
