//! Sockets that whoever started the daemon has opened for it, as systemd does (`LISTEN_FDS`, `LISTEN_PID`).

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use hatchery::{Error, ErrorKind, Result};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// Sockets that listen already. Of their kind, they go before what the configuration says.
#[derive(Debug, Default)]
pub struct HandedOver {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) unix: Vec<UnixListener>,
}

impl HandedOver {
    /// Those of this process, once: the variables that tell of them are taken away, so that no child looks for them. For a
    /// program that has one thread yet.
    ///
    /// # Errors
    /// `validation` if one is no socket that listens.
    pub fn from_environment() -> Result<HandedOver> {
        let mut descriptors = ListenFd::from_env();
        let mut all = HandedOver::default();
        for index in 0..descriptors.len() {
            all.take(&mut descriptors, index).map_err(|why| {
                let message = format!(
                    "take socket {} of LISTEN_FDS: {why}; expected a TCP or Unix socket that listens",
                    index + 1
                );
                Error::new(ErrorKind::Validation, message)
            })?;
        }
        Ok(all)
    }

    fn take(&mut self, descriptors: &mut ListenFd, index: usize) -> io::Result<()> {
        if let Ok(Some(listener)) = descriptors.take_unix_listener(index) {
            self.unix.push(listening(listener)?);
        } else if let Some(listener) = descriptors.take_tcp_listener(index)? {
            self.tcp.push(listening(listener)?);
        }
        Ok(())
    }
}

/// With `Accept=yes`, systemd hands over a connection instead.
fn listening<S: AsFd>(socket: S) -> io::Result<S> {
    match socket_acceptconn(&socket)? {
        true => Ok(socket),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen")),
    }
}
