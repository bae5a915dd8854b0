//! TLS: the daemon's certificate, and those of its clients. Its files are read again at a reload.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hatchery::{Auth, Error, ErrorKind, Result, ServerConfig};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::common_name;
use crate::access::Arrival;

/// How long a client may take until it is known to speak TLS, if it may take so long for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How TLS is spoken with those who come next.
pub(crate) struct Tls(RwLock<Arc<rustls::ServerConfig>>);

impl Tls {
    /// As it was read.
    pub(crate) fn new(config: Arc<rustls::ServerConfig>) -> Tls {
        Tls(RwLock::new(config))
    }

    /// Reads the files; `None` if the configuration says nothing of TLS.
    ///
    /// # Errors
    /// `validation`, naming the key and the file.
    pub(crate) fn read(config: &ServerConfig) -> Result<Option<Arc<rustls::ServerConfig>>> {
        read(config)
    }

    /// Holds from the next connection on.
    pub(crate) fn replace(&self, config: Arc<rustls::ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Shakes hands, in time. `None`: whoever it is does not speak it, or has no certificate that is asked for.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        arrival: Arrival,
        head: Duration,
    ) -> Option<(TlsStream<TcpStream>, Arrival)> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let accepting = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::time::timeout(HANDSHAKE.min(head), accepting).await.ok()?.ok()?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        // An authority of ours has signed it, whoever it is.
        let name =
            |certificate: &CertificateDer<'_>| common_name::of(certificate).unwrap_or_else(|| "without a name".into());
        let name = certificate.map(|certificate| name(certificate).into());
        Some((stream, arrival.encrypted(name)))
    }
}

fn read(config: &ServerConfig) -> Result<Option<Arc<rustls::ServerConfig>>> {
    let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) else { return Ok(None) };
    let failed = |key: &str, path: &Path, why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Validation, format!("server.tls.{key}: {}: {why}", path.display()))
    };
    let chain = certificates(cert).map_err(|why| failed("cert", cert, &why))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|why| failed("key", key, &why))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|why| failed("cert", cert, &why))?;
    let builder = match &config.tls.client_ca {
        Some(path) => {
            let verifier = verifier(path, config.auth == Some(Auth::Token), provider);
            builder.with_client_cert_verifier(verifier.map_err(|why| failed("client_ca", path, &why))?)
        }
        None => builder.with_no_client_auth(),
    };
    let mut read = builder.with_single_cert(chain, secret).map_err(|why| failed("key", key, &why))?;
    read.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(read)))
}

/// Who may show a token instead is let speak without a certificate.
fn verifier(
    path: &Path,
    or_token: bool,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path)? {
        authorities.add(certificate).map_err(|why| why.to_string())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let builder = if or_token { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|why| why.to_string())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err("there is no certificate in it".to_owned()),
        all => all.map_err(|why| why.to_string()),
    }
}
