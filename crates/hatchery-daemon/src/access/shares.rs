//! How much of something each client has at the moment: requests that are answered, connections that are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Client;

/// What each client has. Who has nothing takes no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<Client, usize>>>);

/// One of them. Dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Share {
    of: Shares,
    client: Client,
}

impl Shares {
    /// One more for this client, if it has fewer than `most`.
    pub(crate) fn take(&self, client: &Client, most: Option<usize>) -> Option<Share> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(client) {
            Some(count) if most.is_some_and(|most| *count >= most) => return None,
            Some(count) => *count += 1,
            None => drop(all.insert(client.clone(), 1)),
        }
        Some(Share { of: self.clone(), client: client.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_leaves_nothing() {
        let shares = Shares::default();
        let (one, other) = (Client::User(1), Client::User(2));
        let held: Vec<_> = [(); 2].iter().map(|()| shares.take(&one, Some(2)).unwrap()).collect();
        assert!(shares.take(&one, Some(2)).is_none());
        assert!(shares.take(&other, Some(2)).is_some());
        drop(held);
        assert!(shares.take(&one, Some(1)).is_some());
        assert!(shares.0.lock().unwrap().is_empty());
    }
}
