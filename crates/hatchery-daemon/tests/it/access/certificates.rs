use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hatchery::Scope;
use hatchery_daemon::{NewToken, Tokens};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::open::Open;
use crate::configured::Configured;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
fn signed(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Writes the daemon's files, and says so in its configuration.
fn prepared(folder: &Path, server: &Authority, clients: &Authority, config: &str) -> String {
    let (cert, key) = signed(server, "daemon");
    for (name, text) in [("cert.pem", &cert), ("key.pem", &key), ("ca.pem", &clients.pem())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let at = folder.display();
    format!("{config}\ntls = {{ cert = \"{at}/cert.pem\", key = \"{at}/key.pem\", client_ca = \"{at}/ca.pem\" }}")
}

/// A connection to it, with the certificate that it has shown.
struct Secured {
    address: SocketAddr,
    sender: http1::SendRequest<Empty<Bytes>>,
    certificate: Vec<u8>,
    /// The last answer's.
    body: Bytes,
}

impl Secured {
    /// Trusts `server`, and shows a certificate or none. Or why there is no connection.
    async fn to(address: SocketAddr, server: &Authority, shown: Option<&(String, String)>) -> Result<Secured, String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(server.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match shown {
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = connecting.await.map_err(|why| why.to_string())?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
        tokio::spawn(connection);
        Ok(Secured { address, sender, certificate, body: Bytes::new() })
    }

    /// The status of an answer, or why there is none.
    async fn status(&mut self, token: Option<&str>) -> Result<u16, String> {
        let mut request = Request::get("/v1/status").header(header::HOST, self.address.to_string());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
        let response = response.map_err(|why| why.to_string())?;
        let status = response.status().as_u16();
        self.body = response.into_body().collect().await.map_err(|why| why.to_string())?.to_bytes();
        Ok(status)
    }
}

/// The status of the one answer of a connection.
async fn status(
    address: SocketAddr,
    server: &Authority,
    shown: Option<&(String, String)>,
    token: Option<&str>,
) -> Result<u16, String> {
    Secured::to(address, server, shown).await?.status(token).await
}

#[tokio::test]
async fn who_has_no_certificate_of_our_authority_gets_no_answer_at_all() {
    let (server, clients, others) = (authority(), authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let config = prepared(folder.path(), &server, &clients, "");
    let open = Open::with(folder, &format!("listen = \"127.0.0.1:0\"\n{config}")).await;
    let robot = signed(&clients, "robot");
    assert_eq!(status(open.address, &server, Some(&robot), None).await, Ok(200));
    assert!(status(open.address, &server, None, None).await.is_err());
    let stranger = signed(&others, "robot");
    assert!(status(open.address, &server, Some(&stranger), None).await.is_err());
    // Nor does who speaks no TLS.
    let request = Request::get("/healthz").body(String::new()).unwrap();
    assert!(crate::client::open(open.address, request).await.is_err());
    open.end().await;
}

/// What is there is spoken by gRPC, which this client does not.
#[tokio::test]
async fn the_bridge_for_others_asks_for_the_same_certificate() {
    let (server, clients) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let config = prepared(folder.path(), &server, &clients, "");
    let (_taken, bridge) = crate::bridge::beside_a_taken_port();
    let open = Open::with(folder, &format!("listen = \"127.0.0.1:0\"\n{config}\n{bridge}")).await;
    let at = open.bridge.unwrap();
    assert_eq!(status(at, &server, Some(&signed(&clients, "robot")), None).await, Ok(404));
    assert!(status(at, &server, None, None).await.is_err());
    open.end().await;
}

#[tokio::test]
async fn where_a_token_will_do_a_certificate_does_too_and_nothing_does_not() {
    let (server, clients) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let new = NewToken { scopes: vec![Scope::Observe], ..NewToken::default() };
    let (token, _) = Tokens::of(folder.path()).make(&new).unwrap();
    let config = prepared(folder.path(), &server, &clients, "auth = \"token\"");
    let open = Open::with(folder, &format!("listen = \"127.0.0.1:0\"\n{config}")).await;
    let robot = signed(&clients, "robot");
    assert_eq!(status(open.address, &server, Some(&robot), None).await, Ok(200));
    assert_eq!(status(open.address, &server, None, Some(token.text())).await, Ok(200));
    assert_eq!(status(open.address, &server, None, None).await, Ok(401));
    open.end().await;
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_shown_to_those_who_come_after_the_reload() {
    let (first, second, clients) = (authority(), authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let config = prepared(folder.path(), &first, &clients, "");
    let daemon = Configured::with(folder, &config).await;
    let robot = signed(&clients, "robot");
    let mut early = Secured::to(daemon.address, &first, Some(&robot)).await.unwrap();
    assert_eq!(early.status(None).await, Ok(200));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&early.body).unwrap()["tls"], true);
    prepared(daemon.folder.path(), &second, &clients, "");
    let mut late = Secured::to(daemon.address, &first, Some(&robot)).await.unwrap();
    assert_eq!(late.certificate, early.certificate, "nobody has told it to read the files");
    daemon.obeys(&config).await;
    let mut fresh = Secured::to(daemon.address, &second, Some(&robot)).await.unwrap();
    assert_ne!(fresh.certificate, early.certificate);
    assert!(Secured::to(daemon.address, &first, Some(&robot)).await.is_err(), "the old one is shown no more");
    for connection in [&mut early, &mut late, &mut fresh] {
        assert_eq!(connection.status(None).await, Ok(200));
    }
    daemon.end().await;
}

#[tokio::test]
async fn files_that_cannot_be_read_leave_the_certificate_as_it_is() {
    let (server, clients) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let config = prepared(folder.path(), &server, &clients, "");
    let daemon = Configured::with(folder, &config).await;
    std::fs::write(daemon.folder.path().join("cert.pem"), "none").unwrap();
    let error = daemon.refuses(&config).await;
    assert!(error.message().contains("cert.pem"), "{error}");
    assert_eq!(status(daemon.address, &server, Some(&signed(&clients, "robot")), None).await, Ok(200));
    daemon.end().await;
}

#[tokio::test]
async fn who_came_when_a_token_would_do_shows_a_certificate_once_it_does_not() {
    let (server, clients) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let config = prepared(folder.path(), &server, &clients, "auth = \"token\"");
    let daemon = Configured::with(folder, &config).await;
    let token = daemon.token("one");
    let mut bare = Secured::to(daemon.address, &server, None).await.unwrap();
    assert_eq!(bare.status(Some(&token)).await, Ok(200));
    daemon.obeys(&config.replace("auth = \"token\"", "")).await;
    assert_eq!(bare.status(None).await, Ok(401));
    assert_eq!(bare.status(Some(&token)).await, Ok(200), "who shows a token is judged by that");
    assert!(status(daemon.address, &server, None, None).await.is_err());
    daemon.end().await;
}
