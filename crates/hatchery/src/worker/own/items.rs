//! What a stream of an own worker sends, held back by the credit that its reader gives.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::error::{Error, ErrorKind, Result};
use crate::value::Payload;
use crate::worker::{Item, STREAM_WINDOW};

/// Takes the items of one streaming call, in order. A reader that is slow holds the sender back.
pub struct ProfileItems {
    reader: mpsc::UnboundedSender<Item>,
    credit: Credit,
}

/// How many bytes may still be sent; one item may take it below zero.
#[derive(Clone)]
pub(super) struct Credit(Arc<watch::Sender<i64>>);

impl Credit {
    pub(super) fn new() -> Credit {
        Credit(Arc::new(watch::Sender::new(STREAM_WINDOW.into())))
    }

    pub(super) fn grant(&self, bytes: u32) {
        self.0.send_modify(|left| *left = left.saturating_add(bytes.into()));
    }

    async fn take(&self, bytes: i64) {
        let mut left = self.0.subscribe();
        // The sender lives as long as this does.
        let _never_fails = left.wait_for(|left| *left > 0).await.is_ok();
        self.0.send_modify(|left| *left = left.saturating_sub(bytes));
    }
}

impl ProfileItems {
    pub(super) fn new(reader: mpsc::UnboundedSender<Item>, credit: Credit) -> ProfileItems {
        ProfileItems { reader, credit }
    }

    /// Sends the next item. Waits while more than 1 MiB of this stream is on its way to its reader. Not cancel safe: an item
    /// whose sending was dropped is not sent.
    ///
    /// # Errors
    /// `cancelled` if nobody reads any more.
    pub async fn send(&mut self, item: Payload) -> Result<()> {
        let cost = item.weight().max(1);
        self.credit.take(i64::try_from(cost).unwrap_or(i64::MAX)).await;
        self.reader
            .send(Item::Chunk { payload: item, cost })
            .map_err(|_| Error::new(ErrorKind::Cancelled, "the stream's reader is gone"))
    }
}
