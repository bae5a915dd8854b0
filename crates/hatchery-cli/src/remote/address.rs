//! Where the daemon is: the flag, the variable, or the record in the data directory.

use std::str::FromStr;

use clap::Args;
use hatchery::{Error, ErrorKind, Result};
use hatchery_daemon::Record;
use hyper::http::uri::Authority;

use super::Daemon;
use crate::cli::GlobalOptions;
use crate::configuration;

const VARIABLE: &str = "HATCHERY_ADDR";

/// Which daemon.
#[derive(Args, Clone, Debug)]
pub(crate) struct DaemonOptions {
    /// The daemon's address [default: HATCHERY_ADDR, else the daemon of the data directory]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) addr: Option<Address>,
}

/// `HOST:PORT`, with or without `http://` before it.
#[derive(Clone, Debug)]
pub(crate) struct Address(Authority);

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let parsed = bare.parse::<Authority>().ok().filter(|found| found.port_u16().is_some() && !bare.contains('@'));
        let wrong = || format!("expected the address of a daemon, like 127.0.0.1:7411, found {text:?}");
        parsed.map(Address).ok_or_else(|| Error::new(ErrorKind::Validation, wrong()))
    }
}

impl DaemonOptions {
    /// The daemon that is meant. Whether it answers is found out by asking it. `otherwise` is what to do if there is none.
    pub(crate) fn find(&self, global: &GlobalOptions, otherwise: &str) -> Result<Daemon> {
        if let Some(Address(address)) = &self.addr {
            return Ok(Daemon::at(address.clone()));
        }
        if let Some(Address(address)) = of_environment()? {
            return Ok(Daemon::at(address));
        }
        let data_dir = configuration::records(global)?.0;
        let record = Record::find(&data_dir)?
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, format!("no daemon is running; {otherwise}")))?;
        Ok(Daemon::at(record.address.to_string().parse::<Address>()?.0))
    }
}

fn of_environment() -> Result<Option<Address>> {
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    let address = text.to_string_lossy().parse();
    address.map(Some).map_err(|why: Error| Error::new(ErrorKind::Validation, format!("{VARIABLE}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, expected) in
            [("127.0.0.1:7411", "127.0.0.1:7411"), ("http://localhost:1/", "localhost:1"), ("[::1]:80", "[::1]:80")]
        {
            assert_eq!(text.parse::<Address>().unwrap().0, expected);
        }
        for text in ["", "localhost", "https://localhost:1", "localhost:x", "a@localhost:1", "localhost:1/path"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
