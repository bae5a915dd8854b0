//! The keys of a daemon's doors: where it is reached, by whom, and how much of it one client may have.

use super::{Fallback, Key, Kind, Value, key, seconds, table};
use crate::config::server::{Auth, Scope};
use crate::config::words::words;

/// Where a daemon listens.
pub(in crate::config) const LISTEN: &str = "127.0.0.1:7411";

pub(super) const SERVER: &[Key] = &[
    key(
        "listen",
        Kind::Address,
        Fallback::Is(|| Value::Text(LISTEN.to_owned())),
        "Where a daemon listens: HOST:PORT, port 0 being any free one. An address that is not on loopback takes tokens (`hatchery token new`) \
         or `tls.client_ca`, and TLS or `insecure_plaintext`. A TCP socket that systemd hands over goes before.",
    ),
    key(
        "socket",
        Kind::PathOrNone,
        Fallback::Nothing("daemon.sock in the data directory"),
        "The Unix socket of a daemon, or none. It takes the user of the daemon and root, without a token. \
         A Unix socket that systemd hands over goes before.",
    ),
    key(
        "auth",
        Kind::Words(words::<Auth>),
        Fallback::Nothing("none on loopback, token elsewhere"),
        "Who may call. With none, everybody who reaches the daemon, which then has to listen on loopback; with token, who shows one, or a \
         certificate of `tls.client_ca`.",
    ),
    key(
        "insecure_plaintext",
        Kind::Flag,
        Fallback::Is(|| Value::Flag(false)),
        "Lets tokens, arguments and results travel unencrypted from elsewhere. For those who have TLS in front of the daemon.",
    ),
    key(
        "cors_origins",
        Kind::List(&Kind::Origin),
        Fallback::Is(|| Value::List(Vec::new())),
        "The web sites whose pages may call, each as its pages name it: `https://example.org`. Pages of others are refused.",
    ),
    table("tls", TLS, "Encryption of the TCP address, and the certificates of clients."),
    table(
        "limits",
        LIMITS,
        "How much of a daemon one client may have, and all of them. Whose limits: a token's, a certificate's, a user's, else an address's.",
    ),
];

const TLS: &[Key] = &[
    key(
        "cert",
        Kind::Path,
        Fallback::Nothing("no TLS"),
        "The certificate of the daemon and those between it and its authority, as PEM. Read again at a reload.",
    ),
    key("key", Kind::Path, Fallback::Nothing("no TLS"), "Its private key, as PEM."),
    key(
        "client_ca",
        Kind::Path,
        Fallback::Nothing("no certificates of clients"),
        "The authorities that sign the certificates of clients, as PEM. Who has no such certificate is not let in; with auth = token, only if it \
         has no token either.",
    ),
    key(
        "client_scopes",
        Kind::List(&Kind::Words(words::<Scope>)),
        Fallback::Nothing("everything"),
        "What clients with a certificate may do. operate has the others in it.",
    ),
];

const LIMITS: &[Key] = &[
    key(
        "requests_per_second",
        Kind::NumberOrInfinity,
        Fallback::Is(|| Value::Infinity),
        "How many requests a client may make in a second, in the long run. More are answered with 429 and `Retry-After`.",
    ),
    key(
        "burst",
        Kind::Whole(1, 1_000_000_000),
        Fallback::Nothing("those of one second, 1 at least"),
        "How many of them it may make at once, after a rest.",
    ),
    key(
        "calls_per_client",
        Kind::WholeOrInfinity(1, 1_000_000_000),
        Fallback::Is(|| Value::Whole(1024)),
        "How many requests of a client are answered at once, streams and event feeds among them.",
    ),
    key(
        "connections",
        Kind::Whole(1, 1_000_000),
        Fallback::Is(|| Value::Whole(1024)),
        "How many connections there may be over TCP, but no more than half of the descriptors that the process may have; more wait. The Unix \
         socket has a quarter as many besides.",
    ),
    key(
        "connections_per_client",
        Kind::WholeOrInfinity(1, 1_000_000),
        Fallback::Nothing("256 from elsewhere, infinity from this machine"),
        "How many of them may be of one address, certificate or user; more are closed.",
    ),
    key(
        "body",
        Kind::Size,
        Fallback::Is(|| Value::Size(64 << 20)),
        "How large the body of a request may be; more than 64MiB no call takes in any case.",
    ),
    key(
        "head",
        Kind::Period,
        Fallback::Is(|| seconds(30)),
        "How long a client may take for the head of a request. A connection of HTTP/1.1 that is idle for so long is ended; one of HTTP/2 only if nobody who is let in has asked on it.",
    ),
    key(
        "stall",
        Kind::Period,
        Fallback::Is(|| seconds(60)),
        "How long a client may take nothing of its answer before its connection is cut.",
    ),
];
