//! The thread that writes a database, so that no caller waits for a disk or for another program.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::database::DatabaseError;

/// Hands changes to the thread. Dropped, the thread writes what it has and ends.
#[derive(Debug)]
pub(crate) struct Writer<C> {
    orders: Sender<Order<C>>,
    thread: JoinHandle<()>,
    loss: Loss,
}

type Loss = Arc<Mutex<Option<String>>>;

enum Order<C> {
    Write(C),
    /// Answered when everything before it is written, or lost.
    Flush(Sender<()>),
}

impl<C: Send + 'static> Writer<C> {
    /// `write` is given all that has come since it was called last; that is meant to be one transaction. A flush alone is an
    /// empty batch.
    pub(crate) fn start(
        name: &str,
        write: impl FnMut(Vec<C>) -> Result<(), DatabaseError> + Send + 'static,
    ) -> io::Result<Writer<C>> {
        let (orders, inbox) = channel();
        let loss = Loss::default();
        let told = Arc::clone(&loss);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&inbox, &told, write))?;
        Ok(Writer { orders, thread, loss })
    }

    pub(crate) fn write(&self, change: C) {
        let _told_by_loss = self.orders.send(Order::Write(change));
    }

    /// Waits until everything that was handed over is on disk.
    pub(crate) fn flush(&self) {
        let (done, is_done) = channel();
        let _no_thread_no_answer = self.orders.send(Order::Flush(done));
        let _answered_or_dead = is_done.recv();
    }

    /// Why the last write failed; `None` if it did not.
    pub(crate) fn loss(&self) -> Option<String> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn finish(self) {
        drop(self.orders);
        let _it_does_not_panic = self.thread.join();
    }
}

fn work<C>(inbox: &Receiver<Order<C>>, loss: &Loss, mut write: impl FnMut(Vec<C>) -> Result<(), DatabaseError>) {
    while let Ok(first) = inbox.recv() {
        let (mut changes, mut waiting) = (Vec::new(), Vec::new());
        for order in std::iter::once(first).chain(inbox.try_iter()) {
            match order {
                Order::Write(change) => changes.push(change),
                Order::Flush(done) => waiting.push(done),
            }
        }
        let outcome = write(changes);
        *loss.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err().map(|error| error.to_string());
        for done in waiting {
            let _nobody_waits = done.send(());
        }
    }
}
