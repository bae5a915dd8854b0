//! Host tools: functions that workers may call back with `ctx.call(name, **arguments)`. They run in this process, in another
//! worker, or in another pool; to those that call them they are all the same.

mod caller;
mod name;
mod pool_tool;
mod table;
mod tool;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Poll;

use serde_json::json;

use crate::error::{Error, ErrorKind, Result, near_match};
use crate::id::WorkerId;
use crate::panic::message_of;
use crate::tool::{ToolItems, ToolSpec};
use crate::value::Payload;
use crate::waiting::Waiting;
pub use caller::HostCaller;
pub use pool_tool::PoolTool;
use table::{Seen, Table};
pub use tool::{HostTool, HostToolInfo, HostToolSource};

/// The host tools of one [`Hatchery`](crate::Hatchery), which come and go while it runs. Cheap to clone; every clone is the same.
///
/// A tool is global, or of one session, and then only calls of that session see it. Of two with one name, such a call gets its
/// session's own. A session's tools go when it ends, those of a worker when that life of it ends.
///
/// ```no_run
/// use hatchery::{Hatchery, HostCaller, HostTool, Payload};
/// use serde_json::json;
/// # async fn example(hatchery: Hatchery) -> hatchery::Result<()> {
/// hatchery.sessions().create("user-7")?;
/// let greet = |name: String, _: HostCaller| async move { Ok(format!("hello {name}")) };
/// hatchery.host_tools().register(HostTool::new("greet", greet).session("user-7"))?;
/// let of_user = HostCaller::new().session("user-7");
/// let answer = hatchery.host_tools().execute("greet", Payload::encode(&"ada")?, of_user).await?;
/// assert_eq!(answer.decode::<String>()?, "hello ada");
/// # Ok(()) }
/// ```
///
/// # Who waits for whom
/// A tool that calls a pool does so with [`HostCaller::options`]: then a call that could only be served once it is over itself is
/// refused at once (`conflict`, `details.reason` `would_deadlock`, with the workers in `details.cycle`), and not when its time is.
#[derive(Clone, Debug)]
pub struct HostTools(Arc<Inner>);

struct Inner {
    table: RwLock<Table>,
    waiting: Waiting,
    /// When a session was made that lives: tells it from others of its name. Unset, there are no sessions.
    births: OnceLock<Births>,
}

type Births = Box<dyn Fn(&str) -> Option<u64> + Send + Sync>;

/// How many tools there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostToolLimits {
    /// Of one session. Default: 256.
    pub per_session: usize,
    /// In all, global ones among them. Default: 10 000.
    pub total: usize,
}

impl Default for HostToolLimits {
    fn default() -> HostToolLimits {
        HostToolLimits { per_session: 256, total: 10_000 }
    }
}

impl HostTools {
    pub(crate) fn new(limits: HostToolLimits) -> HostTools {
        let (table, births) = (RwLock::new(Table::new(limits)), OnceLock::new());
        HostTools(Arc::new(Inner { table, waiting: Waiting::default(), births }))
    }

    /// Adds a tool; from the next call on it can be called.
    ///
    /// # Errors
    /// As [`HostTools::register_all`].
    pub fn register(&self, tool: HostTool) -> Result<()> {
        self.register_all(vec![tool])
    }

    /// Adds all of them, or none. Each error has `details.reason` and `details.tool`.
    ///
    /// # Errors
    /// `validation`: a name (`empty`, `too_long`, `invalid_format`), or metadata (`too_many_entries`, `too_large`). `conflict`
    /// (`duplicate_tool`): there is one of this name, globally or in the session. `limit` (`too_many_tools`). `not_found`
    /// (`session_not_found`): no such session; a worker's tools may be of one that only the worker knows.
    pub fn register_all(&self, tools: Vec<HostTool>) -> Result<()> {
        let mut entries = tools.into_iter().map(HostTool::checked).collect::<Result<Vec<_>>>()?;
        for entry in &mut entries {
            entry.birth = entry.session.as_deref().and_then(|session| self.birth(session));
            entry.must_have_a_session()?;
        }
        let sessions = Table::sessions_in(&entries);
        self.table_mut().insert_all(&mut entries)?;
        // A session that ends from here on takes them along. One that has ended in between did not know of them.
        match sessions.into_iter().find(|(session, birth)| self.birth(session) != Some(*birth)) {
            None => Ok(()),
            Some((session, birth)) => {
                let _dropped_last = self.table_mut().retain_session(&session, |other| other != Some(birth));
                Err(tool::no_such_session(&session, None))
            }
        }
    }

    /// The tool that a call of this session gets by this name; without a session, the global one.
    ///
    /// # Errors
    /// `not_found` with the near match; `details.reason` is `tool_not_found`, and `details.session` the session.
    pub fn get(&self, session: Option<&str>, name: &str) -> Result<HostToolInfo> {
        self.find(name, session, Seen::ALL).map(|tool| tool.info())
    }

    /// What calls of this session see, by name: its own and the global ones; without a session, the global ones.
    pub fn list(&self, session: Option<&str>) -> Vec<HostToolInfo> {
        self.look_after(session);
        let seen: Vec<_> = self.table().seen(session, Seen::ALL).cloned().collect();
        seen.iter().map(|tool| tool.info()).collect()
    }

    /// What this caller could [`execute`](HostTools::execute), by name.
    pub fn seen_by(&self, caller: &HostCaller) -> Vec<HostToolInfo> {
        self.look_after(caller.session_id());
        let seen: Vec<_> = self.table().seen(caller.session_id(), caller.sees()).cloned().collect();
        seen.iter().map(|tool| tool.info()).collect()
    }

    /// Every tool: the global ones, then those of each session.
    pub fn all(&self) -> Vec<HostToolInfo> {
        let all: Vec<_> = self.table().all().cloned().collect();
        all.iter().map(|tool| tool.info()).collect()
    }

    /// Runs one, for whoever is said to call. A worker's caller runs only what is [exposed](HostTool::exposed).
    ///
    /// Dropping the future drops what the tool has begun.
    ///
    /// # Errors
    /// `not_found` as [`HostTools::get`]; `validation` if the arguments do not fit; `deadline` if the caller's passes before; what
    /// the tool returns; `internal` if it panics.
    pub async fn execute(&self, name: &str, arguments: Payload, caller: HostCaller) -> Result<Payload> {
        let tool = self.find(name, caller.session_id(), caller.sees())?;
        let (caller, deadline) = (caller.known_to(&self.0.waiting), caller.deadline_at());
        let answer = caught(&tool.spec.name, async { (tool.run)(arguments, caller).await });
        match deadline {
            None => answer.await,
            Some(at) => {
                let late =
                    |_| Err(Error::new(ErrorKind::Deadline, format!("deadline passed while host tool {name} ran")));
                tokio::time::timeout_at(at.into(), answer).await.unwrap_or_else(late)
            }
        }
    }

    /// As [`HostTools::execute`], for one that answers with a stream. Its items come no later than the caller's deadline if the tool
    /// hands down [`HostCaller::options`].
    ///
    /// # Errors
    /// `not_found` as [`HostTools::get`]; `unavailable`, not to be tried again, if it does not stream; what the tool returns;
    /// `internal` if it panics.
    pub async fn stream(&self, name: &str, arguments: Payload, caller: HostCaller) -> Result<ToolItems> {
        let tool = self.find(name, caller.session_id(), caller.sees())?;
        let Some(begin) = &tool.begin else {
            let message = format!("host tool {name} does not stream: execute it");
            return Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false));
        };
        let caller = caller.known_to(&self.0.waiting);
        caught(&tool.spec.name, async { begin(arguments, caller) }).await
    }

    /// Takes one away, a session's or a global one. Calls of it that run go on.
    ///
    /// # Errors
    /// `not_found` as [`HostTools::get`]; a global tool is not found by the name of a session.
    pub fn unregister(&self, session: Option<&str>, name: &str) -> Result<()> {
        self.look_after(session);
        let removed = self.table_mut().remove(session, name.trim());
        removed.map(drop).ok_or_else(|| {
            let own = self.table().of(session).map(|tool| tool.spec.name.clone()).collect::<Vec<_>>();
            no_such_tool(name, session, &own)
        })
    }

    /// Takes all tools of a session away, and says how many there were. Happens by itself when the session ends.
    pub fn remove_session(&self, session: &str) -> usize {
        let removed = self.table_mut().retain_session(session, |_| false);
        removed.len()
    }

    /// Takes all tools of a worker's life away, and says how many there were. Happens by itself when that life ends.
    pub fn remove_worker(&self, worker: &str, generation: u64) -> usize {
        let removed = self.table_mut().remove_worker(worker, generation);
        removed.len()
    }

    /// What workers see.
    pub(crate) fn specs(&self, session: Option<&str>) -> Vec<ToolSpec> {
        self.look_after(session);
        let exposed = Seen { exposed: true, ..Seen::ALL };
        let seen: Vec<_> = self.table().seen(session, exposed).cloned().collect();
        seen.iter().map(|tool| tool.told()).collect()
    }

    /// Takes these global ones away and puts those in their place, or does nothing.
    pub(crate) fn exchange(&self, out: &[String], into: Vec<HostTool>) -> Result<()> {
        let mut into = into.into_iter().map(HostTool::checked).collect::<Result<Vec<_>>>()?;
        let exchanged = self.table_mut().exchange(out, &mut into);
        exchanged.map(drop)
    }

    pub(crate) fn waiting(&self) -> &Waiting {
        &self.0.waiting
    }

    /// How a session that lives is told from others of its name.
    pub(crate) fn know_sessions(&self, births: impl Fn(&str) -> Option<u64> + Send + Sync + 'static) {
        let _known_already = self.0.births.set(Box::new(births));
    }

    /// To be told of the end of each session.
    pub(crate) fn session_ended(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let inner = Arc::downgrade(&self.0);
        move |session| {
            if let Some(inner) = inner.upgrade() {
                HostTools(inner).forget_dead(session);
            }
        }
    }

    /// Removes what is of a worker's life when it is dropped.
    pub(crate) fn of_life(&self, worker: &WorkerId, generation: u64) -> impl Drop + use<> {
        OfLife { tools: self.clone(), worker: worker.clone(), generation }
    }

    /// Forgets everything: what tools hold may hold this.
    pub(crate) fn clear(&self) {
        let _dropped_last = self.table_mut().clear();
    }

    fn find(&self, name: &str, session: Option<&str>, seen: Seen) -> Result<Arc<HostTool>> {
        self.look_after(session);
        let table = self.table();
        table.find(name.trim(), session, seen).ok_or_else(|| {
            let names: Vec<String> = table.seen(session, seen).map(|tool| tool.spec.name.clone()).collect();
            no_such_tool(name, session, &names)
        })
    }

    fn birth(&self, session: &str) -> Option<u64> {
        self.0.births.get().and_then(|births| births(session))
    }

    /// A session whose time is over is gone at that instant, and this is when it is noticed.
    fn look_after(&self, session: Option<&str>) {
        session.map(|session| self.birth(session));
    }

    /// A session of this name has ended. There may be another of it by now.
    fn forget_dead(&self, session: &str) {
        let living = self.birth(session);
        let _dropped_last = self.table_mut().retain_session(session, |birth| birth.is_none() || birth == living);
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        // Every section leaves the table whole.
        self.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostTools").finish_non_exhaustive()
    }
}

struct OfLife {
    tools: HostTools,
    worker: WorkerId,
    generation: u64,
}

impl Drop for OfLife {
    fn drop(&mut self) {
        self.tools.remove_worker(self.worker.as_str(), self.generation);
    }
}

fn no_such_tool(name: &str, session: Option<&str>, there: &[String]) -> Error {
    let near = near_match(name, there.iter().map(String::as_str));
    let details = json!({ "reason": "tool_not_found", "tool": name, "session": session });
    Error::new(ErrorKind::NotFound, format!("no such host tool: {name}{near}")).with_details(details)
}

/// A panic in a host tool is an answer too: the worker waits for one.
async fn caught<T>(name: &str, answer: impl Future<Output = Result<T>>) -> Result<T> {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        // What the tool shares with the rest of the program is its own to keep whole, as in any thread that panics.
        catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))).unwrap_or_else(|panic| {
            let message = format!("host tool {name} panicked: {}", message_of(&*panic));
            Poll::Ready(Err(Error::new(ErrorKind::Internal, message)))
        })
    })
    .await
}

#[cfg(test)]
mod tests;
