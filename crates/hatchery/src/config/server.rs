//! `[server]` and `[bridge]`: where a daemon is reached, by whom, and how much of it one client may have. What nobody says is `None`: the
//! daemon has the defaults.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keys;
use super::layer::Layer;
use super::listener::BridgeListener;
use super::top::path;
use super::value::Value;
use super::words::Word;

/// `[server]`, and `[bridge]`: where a daemon is reached.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// `HOST:PORT`.
    pub listen: Option<String>,
    /// The Unix socket; `Some(None)`: none.
    pub socket: Option<Option<PathBuf>>,
    /// Who may call.
    pub auth: Option<Auth>,
    /// Whether others than this machine's may be served without TLS.
    pub insecure_plaintext: Option<bool>,
    /// Web sites whose pages may call.
    pub cors_origins: Option<Vec<String>>,
    /// `tls`.
    pub tls: TlsConfig,
    /// `limits`.
    pub limits: ServerLimitsConfig,
    /// `[bridge]`, if its mode is an external one.
    pub bridge: Option<BridgeListener>,
}

/// Who may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Everybody who reaches it. Only on loopback.
    #[default]
    None,
    /// Who shows a token, or a certificate.
    Token,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Calls of tools, and the sessions and programs that calls use.
    Call,
    /// Looking: status, workers, statistics, events, metrics.
    Observe,
    /// Orders: all that changes pools, workers, the sessions of others, or the daemon. It has the other two in it: who may
    /// end a pool may look at it and call it.
    #[default]
    Operate,
}

/// `[server.tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The daemon's certificate, and those between it and its authority.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The authorities of clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// What clients with a certificate may do. Default: everything.
    pub client_scopes: Option<Vec<Scope>>,
}

/// `[server.limits]`. `Some(None)`: no limit.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ServerLimitsConfig {
    /// Requests of one client in a second.
    pub requests_per_second: Option<Option<f64>>,
    /// Those that it may make at once.
    pub burst: Option<u64>,
    /// Requests of one client that are answered at once.
    pub calls_per_client: Option<Option<usize>>,
    /// Connections over TCP.
    pub connections: Option<usize>,
    /// Those of one client.
    pub connections_per_client: Option<Option<usize>>,
    /// The bytes of a request's body.
    pub body: Option<Option<u64>>,
    /// The time for the head of a request.
    pub head: Option<Duration>,
    /// The time in which a client takes nothing of its answer.
    pub stall: Option<Duration>,
}

impl ServerConfig {
    /// Where a daemon listens if nobody says where.
    pub const LISTEN: &str = keys::LISTEN;

    pub(super) fn of(said: &Layer) -> ServerConfig {
        ServerConfig {
            listen: said.text("server.listen").map(str::to_owned),
            socket: said.value("server.socket").map(|_| path(said, "server.socket")),
            auth: said.word("server.auth"),
            insecure_plaintext: said.flag("server.insecure_plaintext"),
            cors_origins: said.list("server.cors_origins", |value| text(value).map(str::to_owned)),
            tls: TlsConfig {
                cert: path(said, "server.tls.cert"),
                key: path(said, "server.tls.key"),
                client_ca: path(said, "server.tls.client_ca"),
                client_scopes: said.list("server.tls.client_scopes", |value| Scope::read(text(value)?)),
            },
            limits: limits(said),
            bridge: BridgeListener::of(said),
        }
    }
}

fn limits(said: &Layer) -> ServerLimitsConfig {
    let rate = "server.limits.requests_per_second";
    ServerLimitsConfig {
        requests_per_second: said.value(rate).map(|_| said.number(rate)),
        burst: said.whole("server.limits.burst"),
        calls_per_client: said.count("server.limits.calls_per_client"),
        connections: said.whole("server.limits.connections"),
        connections_per_client: said.count("server.limits.connections_per_client"),
        body: said.count("server.limits.body"),
        head: said.duration("server.limits.head"),
        stall: said.duration("server.limits.stall"),
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Call, Scope::Observe, Scope::Operate];

    /// The text form, as in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        self.written()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Word for Scope {
    const WORDS: &'static [(&'static str, Scope)] =
        &[("call", Scope::Call), ("observe", Scope::Observe), ("operate", Scope::Operate)];
}

impl Word for Auth {
    const WORDS: &'static [(&'static str, Auth)] = &[("none", Auth::None), ("token", Auth::Token)];
}
