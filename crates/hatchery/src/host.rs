//! Host tools: functions of this process that workers may call back with `ctx.call(name, **arguments)`.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result, near_match};
use crate::panic::message_of;
use crate::tool::ToolSpec;
use crate::value::Payload;

type Answer = Pin<Box<dyn Future<Output = Result<Payload>> + Send>>;

/// The host tools of one `Hatchery`, by name. Set before it starts.
#[derive(Clone, Default)]
pub(crate) struct HostTools(BTreeMap<String, Entry>);

#[derive(Clone)]
struct Entry {
    spec: ToolSpec,
    run: Arc<dyn Fn(Payload) -> Answer + Send + Sync>,
}

impl HostTools {
    /// Adds a tool; the arguments object is deserialized into `A` before `run` is called.
    pub(crate) fn insert<A, R, F, Fut>(&mut self, spec: ToolSpec, run: F) -> Result<()>
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let name = spec.name.clone();
        if self.0.contains_key(&name) {
            return Err(Error::new(ErrorKind::Conflict, format!("there are two host tools `{name}`")));
        }
        let tool = name.clone();
        let run = move |payload: Payload| -> Answer {
            match payload.decode::<A>() {
                Ok(arguments) => {
                    let answer = run(arguments);
                    Box::pin(async move { Payload::encode(&answer.await?) })
                }
                Err(error) => Box::pin(std::future::ready(Err(does_not_fit(&tool, &error)))),
            }
        };
        self.0.insert(name, Entry { spec, run: Arc::new(run) });
        Ok(())
    }

    /// Runs one.
    pub(crate) async fn call(&self, name: &str, arguments: Payload) -> Result<Payload> {
        match self.0.get(name) {
            Some(entry) => caught(name, async { (entry.run)(arguments).await }).await,
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("no such host tool: {name}{}", near_match(name, self.0.keys().map(String::as_str))),
            )),
        }
    }

    pub(crate) fn specs(&self) -> Vec<ToolSpec> {
        self.0.values().map(|entry| entry.spec.clone()).collect()
    }
}

/// A panic in a host tool is an answer too: the worker waits for one.
async fn caught(name: &str, answer: impl Future<Output = Result<Payload>>) -> Result<Payload> {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        // What the tool shares with the rest of the program is its own to keep whole, as in any thread that panics.
        catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)))
            .unwrap_or_else(|panic| Poll::Ready(Err(panicked(name, &*panic))))
    })
    .await
}

fn panicked(name: &str, panic: &(dyn Any + Send)) -> Error {
    Error::new(ErrorKind::Internal, format!("host tool {name} panicked: {}", message_of(panic)))
}

fn does_not_fit(tool: &str, error: &Error) -> Error {
    Error::new(ErrorKind::Validation, format!("host tool {tool}: arguments do not fit: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools() -> HostTools {
        let mut tools = HostTools::default();
        tools
            .insert(ToolSpec::new("double"), |arguments: BTreeMap<String, i64>| async move { Ok(arguments["n"] * 2) })
            .unwrap();
        tools
    }

    #[tokio::test]
    async fn a_host_tool_takes_and_gives_typed_values() {
        let answer = tools().call("double", Payload::from_json(json!({"n": 21})).unwrap()).await.unwrap();
        assert_eq!(answer.decode::<i64>().unwrap(), 42);
    }

    #[tokio::test]
    async fn an_unknown_name_and_wrong_arguments_are_typed_errors() {
        let missing = tools().call("duble", Payload::from_json(json!({})).unwrap()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert_eq!(missing.message(), "no such host tool: duble (did you mean `double`?)");
        let wrong = tools().call("double", Payload::from_json(json!({"n": "x"})).unwrap()).await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Validation);
    }

    #[test]
    fn the_same_name_twice_is_a_conflict() {
        let again = tools().insert(ToolSpec::new("double"), |_: ()| async { Ok(()) });
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    }
}
