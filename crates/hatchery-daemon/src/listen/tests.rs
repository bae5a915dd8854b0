use hatchery::{ServerConfig, Settings};

use super::*;
use crate::access::{NewToken, Policy, Scope, Tokens};

#[test]
fn an_address_is_one_of_a_machine_and_a_port() {
    for (text, expected) in
        [("127.0.0.1:7411", "127.0.0.1:7411"), ("localhost:0", "127.0.0.1:0"), ("[::1]:80", "[::1]:80")]
    {
        assert_eq!(address(text).unwrap(), expected.parse().unwrap());
    }
    for text in ["127.0.0.1", "localhost:http", "example.com:80", "7411"] {
        let error = address(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().starts_with(&format!("listen on {text}: expected an address and a port")), "{error}");
    }
}

fn server(text: &str) -> ServerConfig {
    let text = format!("[server]\n{text}");
    Settings::parse(&text, Path::new("/f")).config().unwrap().server
}

/// What is said of an address by a daemon with this configuration, in a folder with tokens or without.
fn said(address: &str, config: &str, data_dir: &Path) -> String {
    let config = server(config);
    let access = Access::new(Policy::of(&config), Some(data_dir));
    let outcome = may_listen(address.parse().unwrap(), &config, &access);
    outcome.map_or_else(|error| error.message().to_owned(), |()| "fine".to_owned())
}

#[test]
fn who_listens_where_others_reach_it_knows_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (without, with) = (folder.path().join("without"), folder.path().join("with"));
    Tokens::of(&with).make(&NewToken { scopes: vec![Scope::Call], ..NewToken::default() }).unwrap();
    let tls = "tls = { cert = \"c\", key = \"k\" }";
    let clients = "tls = { cert = \"c\", key = \"k\", client_ca = \"a\" }";
    for fine in ["127.0.0.1:1", "[::1]:1", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(said(fine, "", &without), "fine");
    }
    for address in ["0.0.0.0:1", "[::]:1", "10.1.2.3:1"] {
        assert!(said(address, "", &with).contains("are served unencrypted"));
        assert!(said(address, tls, &without).contains("nobody could show a token"));
        assert!(said(address, "insecure_plaintext = true", &without).contains("nobody could show a token"));
        assert!(said(address, "auth = \"none\"\ninsecure_plaintext = true", &with).contains("anybody could run"));
        assert_eq!(said(address, tls, &with), "fine");
        assert_eq!(said(address, "insecure_plaintext = true", &with), "fine");
        assert_eq!(said(address, clients, &without), "fine");
    }
    std::fs::write(with.join("tokens.json"), "{").unwrap();
    assert!(said("0.0.0.0:1", tls, &with).contains("it is damaged"));
}

#[tokio::test]
async fn a_port_in_use_is_a_conflict() {
    let listeners = Listeners::bind("127.0.0.1:0", Vec::new()).await.unwrap();
    assert_ne!(listeners.address().port(), 0);
    let error = Listeners::bind(&listeners.address().to_string(), Vec::new()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("another program listens there"), "{error}");
}
