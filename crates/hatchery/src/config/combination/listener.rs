//! What does not go together in `[bridge]`.

use super::server::{is_in_the_clear, lets_everybody_in};
use crate::config::layer::Layer;
use crate::config::listener::{BridgeMode, address, pool};
use crate::config::origin::ConfigProblem;
use crate::config::words::Word;

pub(super) fn problems(top: &Layer) -> Vec<ConfigProblem> {
    // One that is none is told already.
    let Some(mode) = top.word("bridge.mode") else { return Vec::new() };
    let keys = of(mode);
    let missing = keys.needed.iter().filter_map(|key| missing(top, mode, key));
    let strays = ALL.iter().filter(|key| !keys.needed.contains(key) && !keys.possible.contains(key));
    let strays = strays.filter_map(|key| stray(top, mode, key));
    let rules = RULES.iter().filter(|_| mode != BridgeMode::Internal).filter_map(|rule| rule(top));
    missing.chain(strays).chain(rules).collect()
}

const ALL: [&str; 5] = ["host", "bind_host", "port", "base_port", "pool_size"];

const RULES: [fn(&Layer) -> Option<ConfigProblem>; 5] =
    [a_name, beyond_the_last_port, open_by_mistake, in_the_clear, open_to_all];

/// The keys of a mode.
struct Keys {
    needed: &'static [&'static str],
    possible: &'static [&'static str],
}

fn of(mode: BridgeMode) -> Keys {
    match mode {
        BridgeMode::Internal => Keys { needed: &[], possible: &[] },
        BridgeMode::External => Keys { needed: &["host", "port"], possible: &["bind_host"] },
        BridgeMode::ExternalPool => Keys { needed: &["host", "base_port"], possible: &["bind_host", "pool_size"] },
    }
}

fn missing(top: &Layer, mode: BridgeMode, key: &str) -> Option<ConfigProblem> {
    let message = format!("expected `{key}` beside mode = {:?}, found none", mode.written());
    top.get(&format!("bridge.{key}")).is_none().then(|| error(top, "bridge.mode", message))?
}

fn stray(top: &Layer, mode: BridgeMode, key: &str) -> Option<ConfigProblem> {
    let modes = [BridgeMode::External, BridgeMode::ExternalPool].into_iter();
    let has = |mode: &BridgeMode| of(*mode).needed.contains(&key) || of(*mode).possible.contains(&key);
    let names: Vec<String> = modes.filter(has).map(|mode| format!("{:?}", mode.written())).collect();
    let (wanted, found) = (names.join(" or "), mode.written());
    error(top, &format!("bridge.{key}"), format!("expected only with mode = {wanted}, found mode = {found:?}"))
}

fn a_name(top: &Layer) -> Option<ConfigProblem> {
    let (key, host) = bound(top)?;
    let instead = if key == "bridge.host" { "; or `bind_host` beside it, which is one" } else { "" };
    let message =
        format!("expected an address to listen on, like \"127.0.0.1\", or localhost, found {host:?}{instead}");
    address(host).is_none().then(|| error(top, key, message))?
}

fn beyond_the_last_port(top: &Layer) -> Option<ConfigProblem> {
    top.whole::<u16>("bridge.base_port")?;
    let said = if top.get("bridge.pool_size").is_some() { "bridge.pool_size" } else { "bridge.base_port" };
    pool(top)
        .is_none()
        .then(|| error(top, said, "expected so many ports from `base_port` on, but 65535 is the last"))?
}

/// As of a worker that would listen on all addresses.
fn open_by_mistake(top: &Layer) -> Option<ConfigProblem> {
    let (key, host) = elsewhere(top)?;
    let is_meant = top.flag("bridge.unsafe_bind") == Some(true);
    let message =
        format!("{host:?} is reached from other machines; expected unsafe_bind = true beside it, if that is meant");
    (!is_meant).then(|| error(top, key, message))?
}

fn in_the_clear(top: &Layer) -> Option<ConfigProblem> {
    let (key, host) = elsewhere(top)?;
    let message = format!(
        "expected an address on loopback, or `server.tls` with `cert` and `key`, or `server.insecure_plaintext = true`, found {host:?}: \
         tokens and arguments would travel in the clear"
    );
    is_in_the_clear(top).then(|| error(top, key, message))?
}

fn open_to_all(top: &Layer) -> Option<ConfigProblem> {
    let (key, host) = elsewhere(top)?;
    let message = format!(
        "expected an address on loopback, or server.auth = \"token\", found {host:?} and \"none\": anybody could run the tools"
    );
    lets_everybody_in(top).then(|| error(top, key, message))?
}

/// Which key says where it listens, and what.
fn bound(top: &Layer) -> Option<(&'static str, &str)> {
    ["bridge.bind_host", "bridge.host"].into_iter().find_map(|key| Some((key, top.text(key)?)))
}

/// The same, if others than programs of this machine can reach it.
fn elsewhere(top: &Layer) -> Option<(&'static str, &str)> {
    bound(top).filter(|(_, host)| address(host).is_some_and(|address| !address.to_canonical().is_loopback()))
}

/// Of a key of which somebody has said something.
fn error(top: &Layer, key: &str, message: impl Into<String>) -> Option<ConfigProblem> {
    let setting = top.explicit(key)?;
    Some(ConfigProblem::error(setting.origin.clone(), key, message))
}
