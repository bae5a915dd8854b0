//! Reading stdin in a thread of its own: nobody knows when it ends, and a command that is told to end does not wait for it.

use std::io::Read;

use hatchery::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// What one argument object may take, as on the wire.
const LIMIT: u64 = 64 * 1024 * 1024;

/// All of stdin. The thread is left behind if the future is dropped; it ends with the process.
pub(crate) async fn read_to_end() -> Result<Vec<u8>> {
    let (done, read) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            let mut text = Vec::new();
            let outcome = std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut text);
            let _gave_up = done.send(outcome.map(|_| text));
        })
        .map_err(failed)?;
    let text = read.await.map_err(failed)?.map_err(failed)?;
    if text.len() as u64 > LIMIT {
        return Err(Error::new(ErrorKind::Limit, "read arguments from stdin: more than 64 MiB"));
    }
    Ok(text)
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Validation, format!("read arguments from stdin: {why}"))
}
