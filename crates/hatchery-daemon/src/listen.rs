//! Where the daemon listens, and who is let listen where.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use hatchery::{Auth, BridgeListener, Error, ErrorKind, Result, ServerConfig};
use rustix::net::sockopt::socket_peercred;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::access::{Access, Arrival, Door};

mod common_name;
mod handed_over;
pub(crate) mod socket;
mod tls;

pub use handed_over::HandedOver;
pub(crate) use socket::Socket;
pub(crate) use tls::Tls;

/// All that connections come in by.
pub(crate) struct Listeners {
    tcp: Vec<Tcp>,
    sockets: Vec<Socket>,
    /// Which is asked first, so that none waits behind another for ever.
    turn: usize,
}

struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
}

/// A connection, before anything is read from it.
pub(crate) enum Accepted {
    Tcp(TcpStream, Arrival),
    Unix(UnixStream, Arrival),
}

/// Which connections are taken in; the others wait.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) tcp: bool,
    pub(crate) unix: bool,
}

impl Listeners {
    /// Listens on `HOST:PORT`, where port 0 is any free one, or on what was handed over.
    pub(crate) async fn bind(text: &str, handed_over: Vec<std::net::TcpListener>) -> Result<Listeners> {
        let mut tcp = Vec::new();
        for listener in handed_over {
            tcp.push(Tcp::adopted(listener).map_err(|why| refused("a TCP socket that was handed over", &why))?);
        }
        if tcp.is_empty() {
            let bound = Tcp::bind(address(text)?, Door::Daemon).await;
            tcp.push(bound.map_err(|why| refused(text, &why))?);
        }
        Ok(Listeners { tcp, sockets: Vec::new(), turn: 0 })
    }

    /// Listens for clients of the bridge as well, on the first of its ports that is free.
    pub(crate) async fn bind_bridge(&mut self, wanted: &BridgeListener) -> Result<SocketAddr> {
        for port in wanted.ports.clone() {
            let address = SocketAddr::new(wanted.bind, port);
            match Tcp::bind(address, Door::Bridge).await {
                Ok(bound) => {
                    self.tcp.push(bound);
                    return Ok(address);
                }
                Err(why) if why.kind() == io::ErrorKind::AddrInUse => {}
                Err(why) => return Err(refused(&format!("{address} for `[bridge]`"), &why)),
            }
        }
        Err(all_taken(wanted))
    }

    pub(crate) fn add(&mut self, socket: Socket) {
        self.sockets.push(socket);
    }

    /// The first address: the one that others are told of.
    pub(crate) fn address(&self) -> SocketAddr {
        self.tcp.first().map_or_else(|| (Ipv4Addr::LOCALHOST, 0).into(), |tcp| tcp.address)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.tcp.iter().map(|tcp| tcp.address)
    }

    /// The first Unix socket that has a place.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.sockets.iter().find_map(Socket::path)
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self, room: Room) -> io::Result<Accepted> {
        poll_fn(|context| self.poll(room, context)).await
    }

    fn poll(&mut self, room: Room, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let all = self.tcp.len() + self.sockets.len();
        self.turn = (self.turn + 1) % all.max(1);
        for index in (self.turn..all).chain(0..self.turn) {
            let accepted = match self.tcp.get(index) {
                Some(tcp) if room.tcp => tcp.poll(context),
                None if room.unix => accepted_unix(&self.sockets[index - self.tcp.len()], context),
                _ => Poll::Pending,
            };
            if accepted.is_ready() {
                return accepted;
            }
        }
        Poll::Pending
    }
}

impl Tcp {
    async fn bind(address: SocketAddr, door: Door) -> io::Result<Tcp> {
        let listener = TcpListener::bind(address).await?;
        Ok(Tcp { address: listener.local_addr()?, listener, door })
    }

    /// One that was handed over.
    fn adopted(listener: std::net::TcpListener) -> io::Result<Tcp> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Tcp { listener: TcpListener::from_std(listener)?, address, door: Door::Daemon })
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let arrival = |peer: SocketAddr| Arrival::over_tcp(self.address.ip(), peer.ip()).at(self.door);
        self.listener.poll_accept(context).map_ok(|(stream, peer)| Accepted::Tcp(stream, arrival(peer)))
    }
}

/// Who is at the other end, the kernel knows.
fn accepted_unix(socket: &Socket, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
    socket.listener().poll_accept(context).map(|accepted| {
        let (stream, _) = accepted?;
        let uid = socket_peercred(&stream)?.uid.as_raw();
        Ok(Accepted::Unix(stream, Arrival::over_socket(uid)))
    })
}

/// The address that a text means.
pub(crate) fn address(text: &str) -> Result<SocketAddr> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    let expected = "expected an address and a port, like 127.0.0.1:7411";
    address.ok_or_else(|| Error::new(ErrorKind::Validation, format!("listen on {text}: {expected}")))
}

/// Whether an address may be listened on: one that others reach is encrypted, or somebody says that it need not be, and lets
/// nobody in without a credential, of which there is one.
pub(crate) fn may_listen(address: SocketAddr, config: &ServerConfig, access: &Access) -> Result<()> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let wrong = |found: &str| Err(Error::new(ErrorKind::Validation, format!("listen on {address}: {found}")));
    let in_the_clear = config.tls.cert.is_none() && config.insecure_plaintext != Some(true);
    let knows_clients = config.tls.client_ca.is_some();
    match () {
        () if in_the_clear => wrong(IN_THE_CLEAR),
        () if knows_clients => Ok(()),
        () if config.auth == Some(Auth::None) => wrong(OPEN_TO_ALL),
        () if !access.has_tokens()? => wrong(NO_TOKEN),
        () => Ok(()),
    }
}

const IN_THE_CLEAR: &str = "only loopback addresses (127.0.0.1, ::1, localhost) are served unencrypted, as tokens and arguments could be \
     read on the way; give `server.tls` in hatchery.toml, or `server.insecure_plaintext = true` if TLS ends in front of the daemon";

const OPEN_TO_ALL: &str = "only loopback addresses (127.0.0.1, ::1, localhost) are served with `server.auth = \"none\"`: anybody could run the \
     app's code";

const NO_TOKEN: &str = "nobody could show a token, as there is none that is valid; make one with `hatchery token new --scope call`, or give \
     `server.tls.client_ca` for clients with certificates";

fn refused(text: &str, why: &io::Error) -> Error {
    match why.kind() {
        io::ErrorKind::AddrInUse => Error::new(
            ErrorKind::Conflict,
            format!("listen on {text}: another program listens there; port 0 is any free one"),
        ),
        _ => Error::new(ErrorKind::Validation, format!("listen on {text}: {why}")),
    }
}

/// One port, or each of several.
fn all_taken(wanted: &BridgeListener) -> Error {
    let (bind, first, last) = (wanted.bind, *wanted.ports.start(), *wanted.ports.end());
    let found = match first == last {
        true => format!(
            "listen on {} for `[bridge]`: another program listens there; give it another `port`, or `mode = \"external_pool\"`, \
             which takes the first free one of several",
            SocketAddr::new(bind, first)
        ),
        false => format!(
            "listen on {bind} for `[bridge]`: other programs listen on all ports from {first} to {last}; give it another `base_port`, \
             or a larger `pool_size`"
        ),
    };
    Error::new(ErrorKind::Conflict, found)
}

#[cfg(test)]
mod tests;
