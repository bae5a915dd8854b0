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
    format!(
        "listen = \"127.0.0.1:0\"\n{config}\ntls = {{ cert = \"{at}/cert.pem\", key = \"{at}/key.pem\", client_ca = \"{at}/ca.pem\" }}"
    )
}

/// The status of an answer, or why there is none.
async fn status(
    address: SocketAddr,
    server: &Authority,
    shown: Option<&(String, String)>,
    token: Option<&str>,
) -> Result<u16, String> {
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
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|why| why.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::get("/v1/status").header(header::HOST, address.to_string());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
    let response = response.map_err(|why| why.to_string())?;
    let status = response.status().as_u16();
    response.into_body().collect().await.map_err(|why| why.to_string())?;
    Ok(status)
}

#[tokio::test]
async fn who_has_no_certificate_of_our_authority_gets_no_answer_at_all() {
    let (server, clients, others) = (authority(), authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let config = prepared(folder.path(), &server, &clients, "");
    let open = Open::with(folder, &config).await;
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

#[tokio::test]
async fn where_a_token_will_do_a_certificate_does_too_and_nothing_does_not() {
    let (server, clients) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let new = NewToken { scopes: vec![Scope::Observe], ..NewToken::default() };
    let (token, _) = Tokens::of(folder.path()).make(&new).unwrap();
    let config = prepared(folder.path(), &server, &clients, "auth = \"token\"");
    let open = Open::with(folder, &config).await;
    let robot = signed(&clients, "robot");
    assert_eq!(status(open.address, &server, Some(&robot), None).await, Ok(200));
    assert_eq!(status(open.address, &server, None, Some(token.text())).await, Ok(200));
    assert_eq!(status(open.address, &server, None, None).await, Ok(401));
    open.end().await;
}
