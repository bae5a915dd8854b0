//! Host tools: what workers call back, as clients see it.

use hatchery::{CallOptions, HostCaller, HostToolInfo, HostTools, Payload, Result};

use crate::house::House;

/// Those that a call of this session sees; without a session, all that there are.
pub(crate) fn list(house: &House, session: Option<&str>) -> Result<Vec<HostToolInfo>> {
    let tools = tools(house)?;
    Ok(session.map_or_else(|| tools.all(), |session| tools.list(Some(session))))
}

/// The one that a call of this session gets; without a session, the global one.
///
/// # Errors
/// `not_found`.
pub(crate) fn get(house: &House, name: &str, session: Option<&str>) -> Result<HostToolInfo> {
    tools(house)?.get(session, name)
}

/// Runs one. What its caller says of sessions, time and traces holds for it.
pub(crate) async fn call(house: &House, name: &str, arguments: Payload, options: &CallOptions) -> Result<Payload> {
    let tools = tools(house)?;
    tools.execute(name, arguments, HostCaller::from(options)).await
}

/// Not the hatchery itself: nobody but its owner keeps it for so long.
pub(crate) fn tools(house: &House) -> Result<HostTools> {
    Ok(house.filled()?.host_tools().clone())
}
