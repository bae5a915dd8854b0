//! Daemons that ask who comes, and are asked who they are.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::play_with;
use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Serves one pool, with this in the table `[server]`.
fn serving(sandbox: &Sandbox, server: &str) -> Daemon {
    let server = format!("[server]\nlisten = \"127.0.0.1:0\"\n{server}\n");
    sandbox.write("hatchery.toml", &format!("{server}[[pools]]\nname = \"default\"\napp = \"app.py\"\n"));
    Daemon::start(sandbox, &["serve"])
}

/// Makes a token for each scope, in a file of its name.
fn tokens(sandbox: &Sandbox, scopes: &[&str]) {
    for scope in scopes {
        let made = sandbox.run(&["token", "new", "--scope", scope, "--name", scope, "-q"]).exits(0);
        sandbox.write(scope, made.stdout.trim_end());
    }
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes `NAME.pem` and `NAME.key`: of who is reached by these hosts, if by any.
fn signed(sandbox: &Sandbox, authority: &Authority, name: &str, hosts: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, name);
    sandbox.write(&format!("{name}.pem"), &params.signed_by(&key, authority).unwrap().pem());
    sandbox.write(&format!("{name}.key"), &key.serialize_pem());
}

/// A daemon by the name of `localhost`, for which `ours.pem` vouches. For `robot.pem` does whom it trusts, if it asks for certificates; for
/// `stranger.pem` does `others.pem`, whom nobody trusts.
fn behind_tls(sandbox: &Sandbox, server: &str, clients: &str) -> Daemon {
    let (ours, robots, others) = (authority("ours"), authority("robots"), authority("others"));
    for (name, authority) in [("ours.pem", &ours), ("robots.pem", &robots), ("others.pem", &others)] {
        sandbox.write(name, &authority.pem());
    }
    signed(sandbox, &ours, "daemon", &["localhost"]);
    signed(sandbox, &robots, "robot", &[]);
    signed(sandbox, &others, "stranger", &[]);
    serving(sandbox, &format!("{server}\ntls = {{ cert = \"daemon.pem\", key = \"daemon.key\"{clients} }}"))
}

#[test]
fn a_daemon_that_wants_tokens_is_shown_one() {
    let sandbox = Sandbox::with_app();
    let daemon = serving(&sandbox, "auth = \"token\"");
    tokens(&sandbox, &["call", "observe", "operate"]);
    play_with(&sandbox, &["tokens", &daemon.address]).exits(0);
    daemon.end();
}

#[test]
fn a_socket_knows_its_user() {
    let sandbox = Sandbox::with_app();
    let daemon = serving(&sandbox, "auth = \"token\"");
    play_with(&sandbox, &["socket", &sandbox.name("state/hatchery/default/daemon.sock")]).exits(0);
    daemon.end();
}

#[test]
fn a_daemon_behind_tls_is_trusted_if_its_authority_is() {
    let sandbox = Sandbox::with_app();
    let daemon = behind_tls(&sandbox, "auth = \"token\"", "");
    tokens(&sandbox, &["call"]);
    play_with(&sandbox, &["tls", &daemon.address]).exits(0);
    daemon.end();
}

#[test]
fn a_daemon_that_wants_certificates_is_shown_one() {
    let sandbox = Sandbox::with_app();
    let daemon = behind_tls(&sandbox, "", ", client_ca = \"robots.pem\"");
    play_with(&sandbox, &["certificates", &daemon.address]).exits(0);
    daemon.end();
}
