//! The connection to one worker: what executes its calls.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hatchery::{
    Error, ErrorKind, Later, Payload, ProfileCall, ProfileGraces, ProfileItems, ProfileWorker, Result, Telemetry,
    ToolSpec,
};
use hatchery_grpc::bridge::{Answer, Client, Connection, RequestOptions, ToolCall};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::current::Current;
use crate::options;
use crate::sessions::WorkerSessions;

/// Within this, a connection that is lost is known to be.
const UNTIL_IT_IS_KNOWN: Duration = Duration::from_secs(1);

/// A session that has ended is told to a worker within this, or not at all.
const UNTIL_IT_IS_TOLD: Duration = Duration::from_secs(5);

/// Before a request is made again that the worker has refused; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Link {
    pub(crate) client: Client<Connection>,
    pub(crate) sessions: Arc<WorkerSessions>,
    pub(crate) current: Arc<Current>,
    /// Why the connection is over.
    pub(crate) over: watch::Receiver<Option<Error>>,
    /// Which events the worker is to tell. Nobody listens to this if it has none.
    pub(crate) measured: watch::Sender<Telemetry>,
    /// What drives the connection, and what listens to telemetry.
    pub(crate) tasks: Vec<AbortHandle>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Link {
    fn tool_call(&self, call: &ProfileCall) -> ToolCall {
        let session = call.session.as_deref().unwrap_or(self.sessions.private());
        self.sessions.sees(session);
        let asked = ToolCall::new(&*call.tool, call.arguments.clone()).session(session);
        let asked = call.metadata.iter().fold(asked, options::told);
        match &call.trace_parent {
            Some(span) => asked.metadata("traceparent", &**span),
            None => asked,
        }
    }

    async fn run(&self, call: &ProfileCall) -> Result<Payload> {
        let options = request_options(call);
        let answer = until_taken(|| self.client.execute_tool(self.tool_call(call), &options)).await?;
        surfaced(answer)
    }

    async fn run_stream(&self, call: &ProfileCall, items: &mut ProfileItems) -> Result<()> {
        let options = request_options(call);
        let mut chunks = until_taken(|| self.client.execute_streaming_tool(self.tool_call(call), &options)).await?;
        while let Some(item) = chunks.next_item().await {
            items.send(item?).await?;
        }
        Ok(())
    }

    /// What failed, unless it did for want of a connection: then the pool knows better why, and does not wait for this.
    async fn unless_over<T>(&self, result: Result<T>) -> Result<T> {
        if !matches!(&result, Err(error) if error.kind() == ErrorKind::WorkerDied) {
            return result;
        }
        match tokio::time::timeout(UNTIL_IT_IS_KNOWN, self.ended()).await {
            Ok(_) => std::future::pending().await,
            Err(_) => result,
        }
    }

    /// Tells the worker that a session has ended, if it has seen it: it would send heartbeats for it as long as it lives.
    pub(crate) fn session_ended(link: &Weak<Link>, id: &str) {
        let Some(link) = link.upgrade().filter(|link| link.sessions.forget(id)) else { return };
        let id = id.to_owned();
        tokio::spawn(async move {
            let options = RequestOptions::new().timeout(UNTIL_IT_IS_TOLD);
            let _it_lives_on = link.client.cleanup_session(id, &options).await;
        });
    }
}

/// A threaded worker takes as many requests at once as it has threads, and counts one that is over for a moment longer. It has not looked
/// at what it refuses: the request is made again, until the call's time is over.
async fn until_taken<T, F: Future<Output = Result<T>>>(mut ask: impl FnMut() -> F) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(error) if error.kind() == ErrorKind::Unavailable && error.is_retryable() => {
                tokio::time::sleep(pause).await;
            }
            taken => return taken,
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

fn request_options(call: &ProfileCall) -> RequestOptions {
    // No deadline: the pool has one, and a worker that ends a call at its deadline does not end the tool.
    RequestOptions::new().correlation_id(&*call.correlation_id)
}

/// A value that is bytes and comes with more than what they are is both.
fn surfaced(answer: Answer) -> Result<Payload> {
    match answer.about {
        Some(about) if about.as_object().is_some_and(|about| !about.is_empty() && !about.contains_key("dtype")) => {
            Payload::from_json(json!({ "binary": answer.value.to_json()?, "metadata": about }))
        }
        _ => Ok(answer.value),
    }
}

impl ProfileWorker for Link {
    /// An adapter tells its tools only when it runs the first.
    fn tools(&self) -> Vec<ToolSpec> {
        Vec::new()
    }

    fn takes_any_tool(&self) -> bool {
        true
    }

    fn execute(&self, call: ProfileCall) -> Later<'_, Result<Payload>> {
        Box::pin(async move {
            let _running = self.current.runs(&call);
            let result = self.run(&call).await;
            self.unless_over(result).await
        })
    }

    fn stream(&self, call: ProfileCall, mut items: ProfileItems) -> Later<'_, Result<()>> {
        Box::pin(async move {
            let _running = self.current.runs(&call);
            let result = self.run_stream(&call, &mut items).await;
            self.unless_over(result).await
        })
    }

    fn telemetry(&self, settings: &Telemetry) -> Result<()> {
        if self.measured.is_closed() {
            let message = "it sends no telemetry: Snakepit's threaded workers have none";
            return Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false));
        }
        self.measured.send_modify(|held| *held = settings.clone().over(std::mem::take(held)));
        Ok(())
    }

    fn answers(&self) -> Later<'_, Result<()>> {
        Box::pin(async move {
            let valid = self.client.heartbeat(self.sessions.private(), &RequestOptions::new()).await?;
            match valid {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Unavailable, "the worker's own session is over")),
            }
        })
    }

    fn ended(&self) -> Later<'_, Error> {
        Box::pin(async move {
            let mut over = self.over.clone();
            let why = over.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            why.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "its connection is gone"))
        })
    }

    fn stop(&self, _graces: ProfileGraces) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
