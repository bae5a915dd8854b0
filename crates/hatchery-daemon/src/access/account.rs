//! What clients of one kind have had of the daemon. Each kind has an account of its own: the bounded memory for those whom nobody
//! knows may be full of addresses, and who shows a token is told apart all the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Client;
use super::rates::{Rate, Rates};
use super::shares::Shares;

pub(super) struct Account {
    rates: Mutex<Rates<Client>>,
    /// Requests that are answered.
    pub(super) answers: Shares,
}

impl Account {
    /// Of so many clients.
    pub(super) fn new(clients: usize) -> Account {
        Account { rates: Mutex::new(Rates::new(clients)), answers: Shares::default() }
    }

    /// Lets a client ask once, or says how long it has to wait.
    pub(super) fn ask(&self, client: &Client, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).take(client, rate, now)
    }
}
