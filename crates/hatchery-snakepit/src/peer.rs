//! Whose connection it is that comes in: the kernel says which user made it.

use std::net::{IpAddr, SocketAddr};

/// The kernel's lists of sockets. A client may reach an address of the fourth version by a socket of the sixth.
const LISTS: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// A list that is read while sockets come and go may lack one that is there.
const READINGS: usize = 3;

/// Whether it comes from a process of this user. True as well where the kernel does not say.
pub(crate) async fn is_of_this_user(ours: SocketAddr, theirs: SocketAddr) -> bool {
    for _reading in 0..READINGS {
        let Ok(lists) = tokio::task::spawn_blocking(read).await else { return true };
        match judge(&lists, ours, theirs) {
            Verdict::Same | Verdict::Unknown => return true,
            Verdict::Other => return false,
            Verdict::NotThere => {}
        }
    }
    false
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Same,
    Other,
    /// Its other end is not in the lists: it is closed by now, or was passed over.
    NotThere,
    /// This end is not in them either: the lists are not of use here.
    Unknown,
}

fn read() -> String {
    LISTS.iter().map(|list| std::fs::read_to_string(list).unwrap_or_default()).collect()
}

fn judge(lists: &str, ours: SocketAddr, theirs: SocketAddr) -> Verdict {
    match (user_of(lists, ours, theirs), user_of(lists, theirs, ours)) {
        (None, _) => Verdict::Unknown,
        (Some(_), None) => Verdict::NotThere,
        (Some(own), Some(other)) if own == other => Verdict::Same,
        _ => Verdict::Other,
    }
}

/// Who made the socket that has this address and is connected to that one.
fn user_of(lists: &str, local: SocketAddr, remote: SocketAddr) -> Option<&str> {
    let wanted = [(plain(local), plain(remote)), (mapped(local), mapped(remote))];
    lists.lines().find_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let (local, remote, user) = (fields.get(1)?, fields.get(2)?, fields.get(7)?);
        wanted.iter().any(|(own, other)| own == local && other == remote).then_some(*user)
    })
}

/// As the lists write it: words of 32 bits in the order of this machine, then the port.
fn written(bytes: &[u8], port: u16) -> String {
    let word = |word: &[u8]| word.try_into().map(u32::from_ne_bytes).unwrap_or_default();
    let words: String = bytes.chunks(4).map(|bytes| format!("{:08X}", word(bytes))).collect();
    format!("{words}:{port:04X}")
}

fn plain(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => written(&ip.octets(), address.port()),
        IpAddr::V6(ip) => written(&ip.octets(), address.port()),
    }
}

/// An address of the fourth version, as one of the sixth.
fn mapped(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => written(&ip.to_ipv6_mapped().octets(), address.port()),
        IpAddr::V6(_) => plain(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "127.0.0.1:40001";
    const THEIRS: &str = "127.0.0.1:50002";

    fn row(local: &str, remote: &str, user: u32) -> String {
        format!(
            "   3: {local} {remote} 01 00000000:00000000 00:00000000 00000000  {user}        0 4711 1 0 20 4 30 10 -1\n"
        )
    }

    fn judged(rows: &[String]) -> Verdict {
        judge(&rows.concat(), OURS.parse().unwrap(), THEIRS.parse().unwrap())
    }

    #[test]
    fn an_address_is_written_as_the_kernel_writes_it() {
        let ours = OURS.parse().unwrap();
        let loopback = u32::from_ne_bytes([127, 0, 0, 1]);
        assert_eq!(plain(ours), format!("{loopback:08X}:9C41"));
        let prefix = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
        assert_eq!(mapped(ours), format!("{:016X}{prefix:08X}{loopback:08X}:9C41", 0));
    }

    #[test]
    fn both_ends_are_of_one_user() {
        let (ours, theirs) = (OURS.parse().unwrap(), THEIRS.parse().unwrap());
        let own = row(&plain(ours), &plain(theirs), 1000);
        assert_eq!(judged(&[own.clone(), row(&plain(theirs), &plain(ours), 1000)]), Verdict::Same);
        assert_eq!(judged(&[own.clone(), row(&mapped(theirs), &mapped(ours), 1000)]), Verdict::Same);
        assert_eq!(judged(&[own.clone(), row(&plain(theirs), &plain(ours), 65534)]), Verdict::Other);
        assert_eq!(judged(&[own.clone(), row(&mapped(theirs), &mapped(ours), 0)]), Verdict::Other);
        assert_eq!(judged(&[own]), Verdict::NotThere);
        assert_eq!(judged(&["  sl  local_address\n".to_owned()]), Verdict::Unknown);
    }

    #[test]
    fn another_address_with_the_same_port_is_another_socket() {
        let (ours, theirs): (SocketAddr, SocketAddr) = (OURS.parse().unwrap(), THEIRS.parse().unwrap());
        let beside = SocketAddr::new([127, 0, 0, 2].into(), theirs.port());
        let rows = [row(&plain(ours), &plain(theirs), 1000), row(&plain(beside), &plain(ours), 1000)];
        assert_eq!(judged(&rows), Verdict::NotThere);
    }

    #[tokio::test]
    async fn a_connection_of_this_process_is_this_users() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = listener.local_addr().unwrap();
        let _client = tokio::net::TcpStream::connect(ours).await.unwrap();
        let (_stream, theirs) = listener.accept().await.unwrap();
        assert!(is_of_this_user(ours, theirs).await);
        let judged = judge(&read(), ours, theirs);
        assert!(matches!(judged, Verdict::Same), "{judged:?}: this machine has no such lists");
    }
}
