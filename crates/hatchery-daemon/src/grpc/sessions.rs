//! Sessions, and what is stored in them, as messages.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hatchery::{Error, ErrorKind, Result};
use hatchery_grpc::{document, v1};
use serde_json::{Map, Value};

use super::service::Asked;
use crate::conversations::{self, PAGE, Wish};

pub(super) async fn list(asked: Asked<v1::ListSessionsRequest>) -> Result<v1::ListSessionsResponse> {
    let v1::ListSessionsRequest { limit, after } = asked.message;
    let limit = if limit == 0 { PAGE } else { limit as usize };
    document(&conversations::list(&asked.house, limit, given(&after))?)
}

pub(super) async fn create(asked: Asked<v1::CreateSessionRequest>) -> Result<v1::CreateSessionResponse> {
    let v1::CreateSessionRequest { id, ttl_seconds, metadata } = asked.message;
    let wish = Wish { id: given(&id).map(str::to_owned), ttl: ttl(ttl_seconds)?, metadata: facts(metadata)? };
    let made = conversations::create(&asked.house, wish)?;
    Ok(v1::CreateSessionResponse { created: made.created, session: Some(document(&made.session)?) })
}

pub(super) async fn get(asked: Asked<v1::GetSessionRequest>) -> Result<v1::GetSessionResponse> {
    let session = conversations::get(&asked.house, &asked.message.id)?;
    Ok(v1::GetSessionResponse { session: Some(document(&session)?) })
}

pub(super) async fn delete(asked: Asked<v1::DeleteSessionRequest>) -> Result<v1::DeleteSessionResponse> {
    document(&conversations::delete(&asked.house, &asked.message.id)?)
}

pub(super) async fn put_program(asked: Asked<v1::PutProgramRequest>) -> Result<v1::PutProgramResponse> {
    let v1::PutProgramRequest { session, name, json } = asked.message;
    conversations::store_program(&asked.house, &session, &name, value("json", &json)?)?;
    Ok(v1::PutProgramResponse {})
}

pub(super) async fn get_program(asked: Asked<v1::GetProgramRequest>) -> Result<v1::GetProgramResponse> {
    let program = conversations::program(&asked.house, &asked.message.session, &asked.message.name)?;
    Ok(v1::GetProgramResponse { json: program.to_string().into() })
}

pub(super) async fn delete_program(asked: Asked<v1::DeleteProgramRequest>) -> Result<v1::DeleteProgramResponse> {
    document(&conversations::delete_program(&asked.house, &asked.message.session, &asked.message.name)?)
}

pub(super) async fn put_metadata(asked: Asked<v1::PutMetadataRequest>) -> Result<v1::PutMetadataResponse> {
    let v1::PutMetadataRequest { session, name, json } = asked.message;
    conversations::set_fact(&asked.house, &session, &name, value("json", &json)?)?;
    Ok(v1::PutMetadataResponse {})
}

pub(super) async fn get_metadata(asked: Asked<v1::GetMetadataRequest>) -> Result<v1::GetMetadataResponse> {
    let fact = conversations::fact(&asked.house, &asked.message.session, &asked.message.name)?;
    Ok(v1::GetMetadataResponse { json: fact.to_string().into() })
}

pub(super) async fn delete_metadata(asked: Asked<v1::DeleteMetadataRequest>) -> Result<v1::DeleteMetadataResponse> {
    document(&conversations::delete_fact(&asked.house, &asked.message.session, &asked.message.name)?)
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Infinity is a time that no clock can express.
fn ttl(seconds: Option<f64>) -> Result<Option<Duration>> {
    let Some(seconds) = seconds else { return Ok(None) };
    if seconds == f64::INFINITY {
        return Ok(Some(Duration::MAX));
    }
    let wrong =
        |_| Error::new(ErrorKind::Validation, format!("ttl_seconds: expected a time from 0 on, found {seconds}"));
    Duration::try_from_secs_f64(seconds).map(Some).map_err(wrong)
}

fn facts(texts: HashMap<String, Bytes>) -> Result<Map<String, Value>> {
    texts.into_iter().map(|(name, json)| Ok((name.clone(), value(&format!("metadata {name}"), &json)?))).collect()
}

fn value(what: &str, json: &[u8]) -> Result<Value> {
    let wrong = |why| Error::new(ErrorKind::Validation, format!("{what}: read JSON: {why}"));
    serde_json::from_slice(json).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_a_duration_or_none() {
        assert_eq!(ttl(None).unwrap(), None);
        assert_eq!(ttl(Some(1.5)).unwrap(), Some(Duration::from_millis(1500)));
        assert_eq!(ttl(Some(f64::INFINITY)).unwrap(), Some(Duration::MAX));
        for wrong in [-1.0, f64::NAN, f64::NEG_INFINITY, 1e300] {
            assert_eq!(ttl(Some(wrong)).unwrap_err().kind(), ErrorKind::Validation, "{wrong}");
        }
    }
}
