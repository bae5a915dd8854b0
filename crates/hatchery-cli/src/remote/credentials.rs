//! How a daemon is shown who asks: a token, or a certificate. Neither is ever on the command line, where `ps` would show it.

use std::path::Path;
use std::sync::Arc;

use hatchery::{Error, ErrorKind, Result};
use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

const VARIABLE: &str = "HATCHERY_TOKEN";

/// Where machines keep the authorities that they trust, and the variable that says so.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const AUTHORITIES_VARIABLE: &str = "SSL_CERT_FILE";

/// What stands in `Authorization`. It is not shown when it is printed.
#[derive(Clone, Debug)]
pub(super) struct Token(pub(super) HeaderValue);

impl Token {
    pub(super) fn in_file(path: &Path) -> Result<Token> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| invalid(format!("read the token in {}: {why}", path.display())))?;
        Token::new(&text, &path.display().to_string())
    }

    pub(super) fn of_environment() -> Result<Option<Token>> {
        let text = std::env::var_os(VARIABLE).filter(|text| !text.is_empty());
        text.map(|text| Token::new(&text.to_string_lossy(), VARIABLE)).transpose()
    }

    /// The message never has the token in it.
    fn new(text: &str, place: &str) -> Result<Token> {
        let token = text.trim();
        let is_one = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let header = is_one.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
        let mut header =
            header.ok_or_else(|| invalid(format!("{place}: expected one token, as `hatchery token new` prints it")))?;
        header.set_sensitive(true);
        Ok(Token(header))
    }
}

/// Whom we trust, and who we are.
pub(super) fn client_side(authorities: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|why| Error::new(ErrorKind::Internal, format!("prepare TLS: {why}")))?;
    let builder = builder.with_root_certificates(trusted(authorities)?);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|why| invalid(format!("--cert {} with --key {}: {why}", certificate.display(), key.display())))?,
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trusted(named: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match named {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|why| invalid(format!("--ca {}: {why}", path.display())))?;
            }
        }
        // Of a machine's many, one that is not understood hurts nobody.
        None => drop(store.add_parsable_certificates(of_machine()?)),
    }
    Ok(store)
}

fn of_machine() -> Result<Vec<CertificateDer<'static>>> {
    let said = std::env::var_os(AUTHORITIES_VARIABLE).filter(|path| !path.is_empty());
    let usual = || AUTHORITIES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
    let path = said.map(Into::into).or_else(usual);
    let none = || invalid("https: this machine has no list of authorities; name one with --ca FILE".to_owned());
    certificates(&path.ok_or_else(none)?)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: String| invalid(format!("read the certificates in {}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|why| wrong(why.to_string()))?;
    if found.is_empty() { Err(wrong("there is none, in PEM".to_owned())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|why| invalid(format!("read the private key in {}: {why}", path.display())))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_never_shown() {
        let token = Token::new(" hatchery_abc\n", "file").unwrap();
        assert_eq!(token.0.as_bytes(), b"Bearer hatchery_abc");
        assert!(!format!("{token:?}").contains("abc"), "{token:?}");
        for text in ["", "\n", "two words", "hatchery_\u{e9}"] {
            let error = Token::new(text, "file").unwrap_err();
            assert!(
                error.message().starts_with("file: expected one token") && !error.message().contains("two"),
                "{error}"
            );
        }
    }
}
