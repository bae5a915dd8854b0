//! That a file has grown, told by the kernel: one inotify instance for all runs, as a user has few of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::process;

/// How often a file is looked at that the kernel says nothing about.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Watches files. There is nothing of it until the first one is watched, and it ends with the last clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher(Arc<Mutex<Option<Running>>>);

/// One file that is watched, until this is dropped. A file is watched for one at a time.
#[derive(Debug)]
pub(crate) enum Watch {
    /// The kernel tells.
    Told(Told),
    /// It does not, and this is why. The file is looked at now and then.
    Looked(io::Error),
}

#[derive(Debug)]
pub(crate) struct Told {
    inotify: Arc<Inotify>,
    number: i32,
    grown: Arc<Notify>,
}

#[derive(Debug)]
struct Running {
    inotify: Arc<Inotify>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Inotify {
    fd: AsyncFd<OwnedFd>,
    watched: Mutex<HashMap<i32, Arc<Notify>>>,
}

impl Watcher {
    /// Within a runtime, which has to live as long as the watcher.
    pub(crate) fn watch(&self, path: &Path) -> Watch {
        match self.inotify().and_then(|inotify| inotify.watch(path)) {
            Ok(told) => Watch::Told(told),
            Err(error) => Watch::Looked(error),
        }
    }

    fn inotify(&self) -> io::Result<Arc<Inotify>> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(Arc::clone(&running.inotify));
        }
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let inotify = Arc::new(Inotify { fd: process::readable(fd)?, watched: Mutex::default() });
        let task = tokio::spawn(tell(Arc::clone(&inotify))).abort_handle();
        *running = Some(Running { inotify: Arc::clone(&inotify), task });
        Ok(inotify)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Returns once the file may have grown since the last time. Cancel safe.
    pub(crate) async fn grown(&self) {
        match self {
            Watch::Told(told) => told.grown.notified().await,
            Watch::Looked(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut watched = self.inotify.watched();
        watched.remove(&self.number);
        // It is gone already if the file is.
        let _gone = inotify::remove_watch(self.inotify.fd.get_ref(), self.number);
    }
}

impl Inotify {
    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Arc<Notify>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(self: Arc<Inotify>, path: &Path) -> io::Result<Told> {
        // Held, so that nothing is told of it before it is known here.
        let mut watched = self.watched();
        let number = inotify::add_watch(self.fd.get_ref(), path, WatchFlags::MODIFY)?;
        let grown = Arc::new(Notify::new());
        watched.insert(number, Arc::clone(&grown));
        drop(watched);
        Ok(Told { inotify: self, number, grown })
    }

    fn tell(&self, number: i32, what: ReadFlags) {
        let watched = self.watched();
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            watched.values().for_each(|grown| grown.notify_one());
        } else if let Some(grown) = watched.get(&number) {
            grown.notify_one();
        }
    }

    /// Tells everything that the kernel has to tell now.
    fn tell_all(&self) -> Result<Infallible, Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.fd.get_ref(), &mut buffer);
        loop {
            let event = events.next()?;
            self.tell(event.wd(), event.events());
        }
    }
}

async fn tell(inotify: Arc<Inotify>) {
    while let Ok(mut ready) = inotify.fd.readable().await {
        let Err(_until_there_is_more) = inotify.tell_all();
        ready.clear_ready();
    }
}
