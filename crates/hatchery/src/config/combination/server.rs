//! What does not go together in `[server]`. Whether tokens exist is not known here: the daemon looks when it starts.

use std::net::IpAddr;

use super::super::layer::Layer;
use super::super::origin::ConfigProblem;
use super::super::server::Auth;

pub(super) fn problems(top: &Layer) -> Vec<ConfigProblem> {
    RULES.iter().filter_map(|rule| rule(top)).collect()
}

const RULES: [fn(&Layer) -> Option<ConfigProblem>; 6] =
    [in_the_clear, open_to_all, half_of_a_certificate, clients_without_tls, scopes_without_clients, burst_without_rate];

/// What travels from elsewhere is encrypted, unless somebody says that it need not be.
fn in_the_clear(top: &Layer) -> Option<ConfigProblem> {
    let address = elsewhere(top)?;
    let message = format!(
        "expected an address on loopback (127.0.0.1, ::1, localhost), or beside it `tls` with `cert` and `key`, or `insecure_plaintext = \
         true`, found {address:?}: tokens and arguments would travel in the clear"
    );
    is_in_the_clear(top).then(|| error(top, "server.listen", message))?
}

/// Who may call may run the app's code.
fn open_to_all(top: &Layer) -> Option<ConfigProblem> {
    let address = elsewhere(top)?;
    let message =
        format!("expected \"token\" beside listen = {address:?}, found \"none\": anybody could run the app's code");
    lets_everybody_in(top).then(|| error(top, "server.auth", message))?
}

fn half_of_a_certificate(top: &Layer) -> Option<ConfigProblem> {
    let beside = |key, other: &str| error(top, key, format!("expected beside `{other}`, found alone"));
    match (top.get("server.tls.cert"), top.get("server.tls.key")) {
        (Some(_), None) => beside("server.tls.cert", "key"),
        (None, Some(_)) => beside("server.tls.key", "cert"),
        _ => None,
    }
}

fn clients_without_tls(top: &Layer) -> Option<ConfigProblem> {
    let alone = top.get("server.tls.cert").is_none() && top.get("server.tls.key").is_none();
    alone.then(|| error(top, "server.tls.client_ca", "expected beside `cert` and `key`, found alone"))?
}

fn scopes_without_clients(top: &Layer) -> Option<ConfigProblem> {
    let alone = top.get("server.tls.client_ca").is_none();
    alone.then(|| error(top, "server.tls.client_scopes", "expected beside `client_ca`, found alone"))?
}

fn burst_without_rate(top: &Layer) -> Option<ConfigProblem> {
    let endless = top.number("server.limits.requests_per_second").is_none();
    endless.then(|| error(top, "server.limits.burst", "expected beside `requests_per_second`, found alone"))?
}

/// Whether nothing is encrypted, and nobody has said that it need not be.
pub(super) fn is_in_the_clear(top: &Layer) -> bool {
    top.flag("server.insecure_plaintext") != Some(true) && top.get("server.tls.cert").is_none()
}

/// Whether somebody has said that no credential is asked for.
pub(super) fn lets_everybody_in(top: &Layer) -> bool {
    top.word::<Auth>("server.auth") == Some(Auth::None) && top.get("server.tls.client_ca").is_none()
}

/// The address, if others than programs of this machine can reach it.
fn elsewhere(top: &Layer) -> Option<&str> {
    let address = top.text("server.listen")?;
    let host = address.rsplit_once(':')?.0;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (!is_loopback).then_some(address)
}

/// Of a key of which somebody has said something.
fn error(top: &Layer, key: &str, message: impl Into<String>) -> Option<ConfigProblem> {
    let setting = top.explicit(key)?;
    Some(ConfigProblem::error(setting.origin.clone(), key, message))
}
