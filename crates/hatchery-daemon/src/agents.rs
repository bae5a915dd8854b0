//! Agent runs, for clients: started, followed, told, ended. The daemon is their supervisor, and they end with it.

mod wish;

use hatchery::agent::{AgentEvents, AgentFilter, AgentInfo, AgentRun, Agents, Answer, Outcome, Phase, StopReport};
use hatchery::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;

use crate::access::Caller;
use crate::house::House;
pub(crate) use wish::Wish;

/// Something is on its way to a run.
#[derive(Serialize)]
pub(crate) struct Sent {
    pub(crate) sent: bool,
}

/// What has become of a run.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
}

/// Starts one, and answers once its process is there.
///
/// # Errors
/// Those of [`Agents::start`].
pub(crate) async fn start(house: &House, caller: &Caller, wish: Wish) -> Result<Value> {
    let work = async {
        let run = agents(house)?.start(wish.spec()?).await?;
        Ok(run.info().to_json())
    };
    caller.order("start_agent", "agents", work).await
}

/// Those that live here; or all that are written down, of whatever supervisor.
pub(crate) async fn list(house: &House, filter: AgentFilter) -> Result<Vec<Value>> {
    let agents = agents(house)?;
    if filter.with_ended || filter.state.as_deref() == Some("exited") {
        return Ok(agents.history(filter).await?.iter().map(AgentInfo::to_json).collect());
    }
    Ok(agents.list(&filter).iter().map(|info| info.to_json()).collect())
}

/// One, also if it is over.
pub(crate) async fn show(house: &House, name: &str) -> Result<Value> {
    Ok(agents(house)?.show(name).await?.to_json())
}

/// What it says, or has said.
pub(crate) async fn events(house: &House, name: &str, from: u64) -> Result<AgentEvents> {
    agents(house)?.events(name, from).await
}

/// What becomes of it, once it is over.
///
/// # Errors
/// `not_found`; `conflict` if it lives under another supervisor.
pub(crate) async fn wait(house: &House, name: &str) -> Result<Ended> {
    // Nobody but its owner keeps the hatchery for so long: a handle of a run does not.
    if let Ok(run) = live(house, name) {
        return Ok(Ended { outcome: run.wait().await });
    }
    let info = agents(house)?.show(name).await?;
    match info.state.phase.clone() {
        Phase::Exited { outcome } => Ok(Ended { outcome }),
        _ => Err(Error::new(ErrorKind::Conflict, format!("agent run {name} has another supervisor"))),
    }
}

/// Writes a turn.
pub(crate) async fn send(house: &House, caller: &Caller, name: &str, text: String) -> Result<Sent> {
    told(house, caller, "send_turn", name, async |run| run.send(text).await).await
}

/// No turn follows.
pub(crate) async fn end_input(house: &House, caller: &Caller, name: &str) -> Result<Sent> {
    told(house, caller, "end_turns", name, async |run| run.end_input().await).await
}

/// Answers what it has asked.
pub(crate) async fn answer(
    house: &House,
    caller: &Caller,
    name: &str,
    request: String,
    answer: Answer,
) -> Result<Sent> {
    told(house, caller, "answer_agent", name, async |run| run.answer(request, answer).await).await
}

/// Ends its turn, and not its process.
pub(crate) async fn interrupt(house: &House, caller: &Caller, name: &str) -> Result<Sent> {
    told(house, caller, "interrupt_agent", name, async |run| run.interrupt().await).await
}

/// Ends it, by its ladder or at once, and answers when that is done.
pub(crate) async fn stop(house: &House, caller: &Caller, name: &str, at_once: bool) -> Result<StopReport> {
    let work = async {
        let run = live(house, name)?;
        Ok(if at_once { run.kill().await } else { run.stop(None).await })
    };
    caller.order("stop_agent", &format!("run {name}"), work).await
}

async fn told(
    house: &House,
    caller: &Caller,
    order: &str,
    name: &str,
    tell: impl AsyncFnOnce(AgentRun) -> Result<()>,
) -> Result<Sent> {
    let work = async {
        tell(live(house, name)?).await?;
        Ok(Sent { sent: true })
    };
    caller.order(order, &format!("run {name}"), work).await
}

fn live(house: &House, name: &str) -> Result<AgentRun> {
    agents(house)?.get(name)
}

fn agents(house: &House) -> Result<Agents> {
    Ok(house.filled()?.agents().clone())
}
