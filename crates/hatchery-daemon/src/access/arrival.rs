//! How a connection came, as far as the kernel and TLS know it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::Client;

/// How a connection came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) entrance: Entrance,
    pub(crate) door: Door,
    /// The address of the peer, or its user.
    pub(crate) peer: Client,
    /// The common name of its certificate.
    pub(crate) certificate: Option<Arc<str>>,
    pub(crate) is_encrypted: bool,
}

/// What is behind the address that it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// All that a daemon answers.
    Daemon,
    /// `snakepit.bridge`, for clients that are no workers.
    Bridge,
}

/// What it came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// An address that only programs of this machine reach, and with them the web pages of its browsers.
    Loopback(IpAddr),
    /// An address that others reach.
    Public,
    /// The Unix socket.
    Socket,
}

impl Arrival {
    /// Over TCP: where it was accepted, and from whom.
    pub(crate) fn over_tcp(listener: IpAddr, peer: IpAddr) -> Arrival {
        let entrance =
            if listener.to_canonical().is_loopback() { Entrance::Loopback(listener) } else { Entrance::Public };
        let peer = Client::Address(whole(peer));
        Arrival { entrance, door: Door::Daemon, peer, certificate: None, is_encrypted: false }
    }

    /// Over the Unix socket.
    pub(crate) fn over_socket(uid: u32) -> Arrival {
        let (entrance, peer) = (Entrance::Socket, Client::User(uid));
        Arrival { entrance, door: Door::Daemon, peer, certificate: None, is_encrypted: false }
    }

    pub(crate) fn at(self, door: Door) -> Arrival {
        Arrival { door, ..self }
    }

    pub(crate) fn encrypted(self, certificate: Option<Arc<str>>) -> Arrival {
        Arrival { certificate, is_encrypted: true, ..self }
    }

    /// Whose connection it is, before anything is read from it.
    pub(crate) fn client(&self) -> Client {
        self.certificate.as_ref().map_or_else(|| self.peer.clone(), |name| Client::Certificate(Arc::clone(name)))
    }

    pub(crate) fn is_from_here(&self) -> bool {
        self.entrance != Entrance::Public
    }
}

/// A client of IPv6 has a whole network of addresses, and is known by that.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_and_of_ipv6_a_network() {
        for (address, expected) in
            [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
        {
            assert_eq!(whole(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn an_address_is_public_unless_it_is_on_loopback_whoever_comes_to_it() {
        let entrance =
            |listener: &str| Arrival::over_tcp(listener.parse().unwrap(), "127.0.0.1".parse().unwrap()).entrance;
        assert_eq!(entrance("0.0.0.0"), Entrance::Public);
        assert_eq!(entrance("::"), Entrance::Public);
        assert_eq!(entrance("10.0.0.1"), Entrance::Public);
        assert!(matches!(entrance("127.0.0.1"), Entrance::Loopback(_)));
        assert!(matches!(entrance("::ffff:127.0.0.1"), Entrance::Loopback(_)));
    }
}
