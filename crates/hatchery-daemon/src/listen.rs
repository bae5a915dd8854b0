//! Where the daemon listens, and who is let listen where.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use hatchery::{Auth, Error, ErrorKind, Result, ServerConfig};
use rustix::net::sockopt::socket_peercred;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::access::{Access, Arrival};

mod common_name;
mod handed_over;
pub(crate) mod socket;
mod tls;

pub use handed_over::HandedOver;
pub(crate) use socket::Socket;
pub(crate) use tls::Tls;

/// All that connections come in by.
pub(crate) struct Listeners {
    tcp: Vec<(TcpListener, SocketAddr)>,
    sockets: Vec<Socket>,
    /// Which is asked first, so that none waits behind another for ever.
    turn: usize,
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
            tcp.push(adopted(listener).map_err(|why| refused("a TCP socket that was handed over", &why))?);
        }
        if tcp.is_empty() {
            let failed = |why: io::Error| refused(text, &why);
            let listener = TcpListener::bind(address(text)?).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            tcp.push((listener, address));
        }
        Ok(Listeners { tcp, sockets: Vec::new(), turn: 0 })
    }

    pub(crate) fn add(&mut self, socket: Socket) {
        self.sockets.push(socket);
    }

    /// The first address: the one that others are told of.
    pub(crate) fn address(&self) -> SocketAddr {
        self.tcp.first().map_or_else(|| (Ipv4Addr::LOCALHOST, 0).into(), |(_, address)| *address)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.tcp.iter().map(|(_, address)| *address)
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
                Some((listener, address)) if room.tcp => accepted_tcp(listener, *address, context),
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

fn accepted_tcp(listener: &TcpListener, address: SocketAddr, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
    let accepted = |(stream, peer): (_, SocketAddr)| Accepted::Tcp(stream, Arrival::over_tcp(address.ip(), peer.ip()));
    listener.poll_accept(context).map_ok(accepted)
}

/// Who is at the other end, the kernel knows.
fn accepted_unix(socket: &Socket, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
    socket.listener().poll_accept(context).map(|accepted| {
        let (stream, _) = accepted?;
        let uid = socket_peercred(&stream)?.uid.as_raw();
        Ok(Accepted::Unix(stream, Arrival::over_socket(uid)))
    })
}

fn adopted(listener: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, address))
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

#[cfg(test)]
mod tests;
