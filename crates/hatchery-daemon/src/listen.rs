//! Where the daemon listens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hatchery::{Error, ErrorKind, Result};
use tokio::net::TcpListener;

/// Listens on `HOST:PORT`, where port 0 is any free one.
pub(crate) async fn bind(text: &str) -> Result<(TcpListener, SocketAddr)> {
    let wanted = loopback(text)?;
    let failed = |why: io::Error| refused(text, &why);
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The address, if only programs of this machine can reach it.
fn loopback(text: &str) -> Result<SocketAddr> {
    let wrong = |found: &str| Error::new(ErrorKind::Validation, format!("listen on {text}: {found}"));
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    let address = address.ok_or_else(|| wrong("expected an address and a port, like 127.0.0.1:7411"))?;
    if !address.ip().is_loopback() {
        return Err(wrong(
            "only loopback addresses (127.0.0.1, ::1, localhost) are served: callers are not authenticated, so that others could run the app's code",
        ));
    }
    Ok(address)
}

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
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_served_and_others_are_not() {
        for (text, expected) in
            [("127.0.0.1:7411", "127.0.0.1:7411"), ("localhost:0", "127.0.0.1:0"), ("[::1]:80", "[::1]:80")]
        {
            assert_eq!(loopback(text).unwrap(), expected.parse().unwrap());
        }
        for (text, said) in [
            ("0.0.0.0:7411", "only loopback"),
            ("[::]:7411", "only loopback"),
            ("192.168.0.1:1", "only loopback"),
            ("127.0.0.1", "expected an address and a port"),
            ("localhost:http", "expected an address"),
            ("example.com:80", "expected an address"),
        ] {
            let error = loopback(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(error.message().starts_with(&format!("listen on {text}: ")), "{error}");
            assert!(error.message().contains(said), "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_a_conflict() {
        let (_listener, address) = bind("127.0.0.1:0").await.unwrap();
        assert_ne!(address.port(), 0);
        let error = bind(&address.to_string()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("another program listens there"), "{error}");
    }
}
