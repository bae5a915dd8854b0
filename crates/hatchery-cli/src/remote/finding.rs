//! Which daemon is meant: the flag says it, or the variable, or the record in the data directory.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use hatchery::{Error, ErrorKind, Result};
use hatchery_daemon::Record;

use super::connector::Connector;
use super::credentials::{Token, client_side};
use super::{Address, Daemon};
use crate::configuration;
use crate::invocation::Invocation;

const VARIABLE: &str = "HATCHERY_ADDR";

/// Which daemon, and how to show it who asks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The daemon")]
pub(crate) struct DaemonOptions {
    /// Where it is: HOST:PORT, https://HOST:PORT or unix:PATH [default: HATCHERY_ADDR, else the daemon of the data directory]
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<Address>,
    /// A file with the token to show it [default: HATCHERY_TOKEN]. A Unix socket needs none
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// With https, the authorities to trust (PEM) [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With https, the certificate to show it (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Where it is.
struct Found {
    address: Address,
    /// What it was found by; `None` if somebody has said where it is.
    data_dir: Option<PathBuf>,
}

impl DaemonOptions {
    /// The daemon that is meant. Whether it answers is found out by asking it. `otherwise` is what to do if there is none.
    pub(crate) fn find(&self, invocation: &Invocation, otherwise: &str) -> Result<Daemon> {
        let Found { address, data_dir } = self.look(invocation, otherwise)?;
        let (connector, token) = (self.connector(&address)?, self.token(&address)?);
        Ok(Daemon::at(address, data_dir, connector, token, invocation.versions.clone()))
    }

    /// The flags that were given, for who has no use for them.
    pub(crate) fn given(&self) -> [(&'static str, bool); 5] {
        [
            ("--addr", self.addr.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--ca", self.ca.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key", self.key.is_some()),
        ]
    }

    fn look(&self, invocation: &Invocation, otherwise: &str) -> Result<Found> {
        if let Some(address) = self.addr.clone().map_or_else(of_environment, |said| Ok(Some(said)))? {
            return Ok(Found { address, data_dir: None });
        }
        let data_dir = configuration::records(&invocation.global)?.0;
        let record = Record::find(&data_dir).map_err(|error| of_somebody_else(error, &data_dir))?;
        let record = record.ok_or_else(|| none(&data_dir, otherwise))?;
        invocation.versions.of_daemon(&record.version);
        Ok(Found { address: of_record(&record)?, data_dir: Some(data_dir) })
    }

    fn connector(&self, address: &Address) -> Result<Connector> {
        let plain = |connector| self.nothing_of_tls().map(|()| connector);
        match address {
            Address::Plain(authority) => plain(Connector::Plain(authority.clone())),
            Address::Unix(path) => plain(Connector::Unix(path.clone())),
            Address::Tls(authority) => {
                let identity = self.cert.as_deref().zip(self.key.as_deref());
                Ok(Connector::Tls(authority.clone(), client_side(self.ca.as_deref(), identity)?))
            }
        }
    }

    /// A token in the variable is for a daemon at an address; a socket knows who we are, and would ask more of a token.
    fn token(&self, address: &Address) -> Result<Option<Token>> {
        match (&self.token_file, address) {
            (Some(file), _) => Token::in_file(file).map(Some),
            (None, Address::Unix(_)) => Ok(None),
            (None, _) => Token::of_environment(),
        }
    }

    fn nothing_of_tls(&self) -> Result<()> {
        let [_, _, tls @ ..] = self.given();
        match tls.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(invalid(format!("{flag} is for an address that begins with https://"))),
            None => Ok(()),
        }
    }
}

/// The socket before the port: it takes no token. One that somebody took away is not waited for.
fn of_record(record: &Record) -> Result<Address> {
    match &record.socket {
        Some(socket) if socket.exists() => Ok(Address::Unix(socket.clone())),
        _ if record.tls => format!("https://{}", record.address).parse(),
        _ => record.address.to_string().parse(),
    }
}

fn of_environment() -> Result<Option<Address>> {
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    let address = text.to_string_lossy().parse();
    address.map(Some).map_err(|why: Error| invalid(format!("{VARIABLE}: {}", why.message())))
}

fn none(data_dir: &Path, otherwise: &str) -> Error {
    let message = format!(
        "no daemon is running; none has the data directory {}, and neither --addr nor {VARIABLE} names one; {otherwise}",
        data_dir.display()
    );
    Error::new(ErrorKind::Unavailable, message)
}

/// Who may not read the record may not use the socket beside it either.
fn of_somebody_else(error: Error, data_dir: &Path) -> Error {
    let owner = std::fs::metadata(data_dir).map(|folder| folder.uid()).ok();
    let owner = owner.filter(|owner| *owner != rustix::process::geteuid().as_raw());
    let Some(owner) = owner else { return error };
    let message = format!(
        "{}; the data directory is that of user {owner}: name their daemon with --addr, and show it a token with --token-file",
        error.message()
    );
    Error::new(error.kind(), message)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}
