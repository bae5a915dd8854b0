//! Host tools, as messages.

use hatchery::{Payload, Result};
use hatchery_grpc::{document, payload, v1};

use super::options::options;
use super::service::Asked;
use crate::{host_tools, orders};

pub(super) async fn list(asked: Asked<v1::ListHostToolsRequest>) -> Result<v1::ListHostToolsResponse> {
    let tools = host_tools::list(&asked.house, given(&asked.message.session))?;
    Ok(v1::ListHostToolsResponse { tools: tools.iter().map(document).collect::<Result<_>>()? })
}

pub(super) async fn get(asked: Asked<v1::GetHostToolRequest>) -> Result<v1::GetHostToolResponse> {
    let v1::GetHostToolRequest { name, session } = asked.message;
    let tool = host_tools::get(&asked.house, &name, given(&session))?;
    Ok(v1::GetHostToolResponse { tool: Some(document(&tool)?) })
}

pub(super) async fn call(asked: Asked<v1::CallHostToolRequest>) -> Result<v1::CallHostToolResponse> {
    let Asked { house, metadata, message: v1::CallHostToolRequest { name, arguments, options: wanted }, .. } = asked;
    let (options, arguments): (_, Payload) = (options(wanted, &metadata)?, payload::read(arguments)?);
    let result = host_tools::call(&house, &name, arguments, &options).await?;
    Ok(v1::CallHostToolResponse { result: Some(payload::write(&result)?) })
}

pub(super) async fn unregister(asked: Asked<v1::UnregisterHostToolRequest>) -> Result<v1::UnregisterHostToolResponse> {
    let Asked { house, caller, message: v1::UnregisterHostToolRequest { name, session }, .. } = asked;
    document(&orders::unregister_host_tool(&house, &caller, &name, given(&session)).await?)
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
