//! Orders, as messages. Who may give them, the desk sees to.

use std::time::Duration;

use hatchery::{Error, ErrorKind, Result};
use hatchery_grpc::{document, v1};

use super::service::Asked;
use crate::orders;

pub(super) async fn scale(asked: Asked<v1::ScaleRequest>) -> Result<v1::ScaleResponse> {
    let v1::ScaleRequest { pool, workers } = asked.message;
    document(&orders::scale(&asked.house, &asked.caller, &pool, workers as usize).await?)
}

pub(super) async fn drain(asked: Asked<v1::DrainRequest>) -> Result<v1::DrainResponse> {
    let v1::DrainRequest { pool, wait_seconds } = asked.message;
    asked.caller.may_order("drain", &format!("pool {pool}"))?;
    document(&orders::drain(&asked.house, &asked.caller, &pool, wait(wait_seconds)?).await?)
}

pub(super) async fn resume(asked: Asked<v1::ResumeRequest>) -> Result<v1::ResumeResponse> {
    document(&orders::resume(&asked.house, &asked.caller, &asked.message.pool).await?)
}

pub(super) async fn recycle(asked: Asked<v1::RecycleRequest>) -> Result<v1::RecycleResponse> {
    document(&orders::recycle(&asked.house, &asked.caller, &asked.message.worker).await?)
}

pub(super) async fn restart_worker(asked: Asked<v1::RestartWorkerRequest>) -> Result<v1::RestartWorkerResponse> {
    document(&orders::restart_worker(&asked.house, &asked.caller, &asked.message.worker).await?)
}

pub(super) async fn stop_worker(asked: Asked<v1::StopWorkerRequest>) -> Result<v1::StopWorkerResponse> {
    document(&orders::stop_worker(&asked.house, &asked.caller, &asked.message.worker).await?)
}

pub(super) async fn reload_pool(asked: Asked<v1::ReloadPoolRequest>) -> Result<v1::ReloadPoolResponse> {
    document(&orders::reload(&asked.house, &asked.caller, &asked.message.pool).await?)
}

pub(super) async fn reload(asked: Asked<v1::ReloadRequest>) -> Result<v1::ReloadResponse> {
    document(&orders::reload_configuration(&asked.house, &asked.caller).await?)
}

pub(super) async fn stop(asked: Asked<v1::StopRequest>) -> Result<v1::StopResponse> {
    document(&orders::stop(&asked.house, &asked.caller).await?)
}

pub(super) async fn reset_taints(asked: Asked<v1::ResetTaintsRequest>) -> Result<v1::ResetTaintsResponse> {
    document(&orders::clear_taints(&asked.house, &asked.caller, given(&asked.message.id)).await?)
}

pub(super) async fn reset_breakers(asked: Asked<v1::ResetBreakersRequest>) -> Result<v1::ResetBreakersResponse> {
    let v1::ResetBreakersRequest { pool, tool } = asked.message;
    let breakers = orders::reset_breakers(&asked.house, &asked.caller, &pool, given(&tool)).await?;
    Ok(v1::ResetBreakersResponse { breakers: Some(document(&breakers)?) })
}

pub(super) async fn kill_orphans(asked: Asked<v1::KillOrphansRequest>) -> Result<v1::KillOrphansResponse> {
    let run = given(&asked.message.run).map(str::to_owned);
    let report = orders::kill_orphans(&asked.house, &asked.caller, run).await?;
    Ok(v1::KillOrphansResponse { report: Some(document(&report)?) })
}

pub(super) async fn prune_sessions(asked: Asked<v1::PruneSessionsRequest>) -> Result<v1::PruneSessionsResponse> {
    document(&orders::prune_sessions(&asked.house, &asked.caller).await?)
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Absent: not at all. What no clock can express is for ever.
fn wait(seconds: Option<f64>) -> Result<Duration> {
    match seconds.unwrap_or(0.0) {
        seconds if seconds >= 0.0 => Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
        other => {
            Err(Error::new(ErrorKind::Validation, format!("wait_seconds: expected a time from 0 on, found {other}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_time_from_0_on() {
        assert_eq!(
            [None, Some(0.5), Some(f64::INFINITY)].map(|it| wait(it).unwrap()),
            [Duration::ZERO, Duration::from_millis(500), Duration::MAX]
        );
        for wrong in [-1.0, f64::NAN] {
            assert_eq!(wait(Some(wrong)).unwrap_err().kind(), ErrorKind::Validation);
        }
    }
}
