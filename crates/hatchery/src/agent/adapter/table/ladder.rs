//! How an agent is ended, as its table says it.

use std::time::Duration;

use super::super::place::{Keys, Place};
use crate::agent::{Rung, Step, StopLadder};
use crate::error::Result;

const EXPECTED_STEP: &str =
    "\"interrupt\", \"close_stdin\", or one of SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2";
const EXPECTED_TIME: &str = "a whole number of milliseconds";

pub(super) fn read(place: &Place<'_>) -> Result<StopLadder> {
    let keys = place.keys(&["rungs", "total_ms"])?;
    let rungs = |place: &Place<'_>| place.each("a list of rungs, like { step = \"SIGINT\", grace_ms = 2000 }", rung);
    Ok(StopLadder { rungs: keys.need("rungs", "a list of rungs", rungs)?, total: milliseconds(&keys, "total_ms")? })
}

fn rung(place: &Place<'_>) -> Result<Rung> {
    let keys = place.keys(&["step", "grace_ms"])?;
    Ok(Rung { step: keys.need("step", EXPECTED_STEP, step)?, grace: milliseconds(&keys, "grace_ms")? })
}

fn step(place: &Place<'_>) -> Result<Step> {
    Ok(match place.text(EXPECTED_STEP)? {
        "interrupt" => Step::Interrupt,
        "close_stdin" => Step::CloseStdin,
        "SIGHUP" => Step::Signal(libc::SIGHUP),
        "SIGINT" => Step::Signal(libc::SIGINT),
        "SIGQUIT" => Step::Signal(libc::SIGQUIT),
        "SIGTERM" => Step::Signal(libc::SIGTERM),
        "SIGUSR1" => Step::Signal(libc::SIGUSR1),
        "SIGUSR2" => Step::Signal(libc::SIGUSR2),
        _ => return Err(place.expected(EXPECTED_STEP)),
    })
}

fn milliseconds(keys: &Keys<'_>, key: &str) -> Result<Duration> {
    keys.need(key, EXPECTED_TIME, |place| place.whole(EXPECTED_TIME)).map(Duration::from_millis)
}
