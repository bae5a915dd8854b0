//! One connection to a daemon, whatever it goes over.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Authority;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tower::Service;

/// What lies between here and anywhere answers within it, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to one daemon.
#[derive(Clone)]
pub(super) enum Connector {
    Plain(Authority),
    Tls(Authority, TlsConnector),
    Unix(PathBuf),
}

/// Bytes in both directions.
pub(super) trait Channel: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Channel for T {}

impl Connection for Box<dyn Channel> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Channel>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let connected = tokio::time::timeout(PATIENCE, connector.connect()).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
        })
    }
}

impl Connector {
    async fn connect(&self) -> io::Result<Box<dyn Channel>> {
        Ok(match self {
            Connector::Plain(authority) => Box::new(tcp(authority).await?),
            Connector::Tls(authority, tls) => {
                let host = authority.host().trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                Box::new(tls.connect(name, tcp(authority).await?).await?)
            }
            Connector::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// A request is one small write, and so is its answer.
async fn tcp(authority: &Authority) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority.as_str()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
