//! One host tool: what it is, and what runs it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{HostCaller, name};
use crate::error::{Error, ErrorKind, Result};
use crate::tool::{Parameter, ToolItems, ToolSpec};
use crate::value::Payload;

type Answer = Pin<Box<dyn Future<Output = Result<Payload>> + Send>>;
type Like = Arc<dyn Fn() -> Option<ToolSpec> + Send + Sync>;
type Run = Arc<dyn Fn(Payload, HostCaller) -> Answer + Send + Sync>;
pub(super) type Begin = Arc<dyn Fn(Payload, HostCaller) -> Result<ToolItems> + Send + Sync>;

/// A tool that is to be registered with [`HostTools`](crate::HostTools).
#[derive(Clone)]
pub struct HostTool {
    pub(super) spec: ToolSpec,
    pub(super) session: Option<Arc<str>>,
    /// When that was made. `None`: it is one that only a worker knows.
    pub(super) birth: Option<u64>,
    pub(super) source: HostToolSource,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) is_exposed: bool,
    /// What it is like, where it says nothing itself.
    like: Option<Like>,
    pub(super) run: Run,
    /// `None`: it does not stream.
    pub(super) begin: Option<Begin>,
}

/// What runs a host tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HostToolSource {
    /// A function of this program.
    Local,
    /// A worker, in one life of it; the tool goes when that does.
    Worker {
        /// Its pool.
        pool: String,
        /// Its id.
        worker: String,
        /// Which life of it.
        generation: u64,
    },
    /// Whichever worker of a pool is free.
    Pool {
        /// Its name.
        pool: String,
        /// The tool, as its app calls it.
        tool: String,
    },
}

/// What there is to know of a host tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HostToolInfo {
    /// What it is called by.
    pub name: String,
    /// The session that it is of; `None` if it is global.
    pub session: Option<String>,
    /// What its author says about it; empty if nothing.
    pub description: String,
    /// What it takes, if its author has said so.
    pub parameters: Vec<Parameter>,
    /// Whether it can also answer with a stream.
    pub supports_streaming: bool,
    /// Whatever else its author says about it.
    pub metadata: BTreeMap<String, String>,
    /// Whether workers see it.
    pub exposed: bool,
    /// What runs it.
    pub source: HostToolSource,
}

impl HostTool {
    /// A function of this program. The arguments object is deserialized into `A`.
    pub fn new<A, R, F, Fut>(spec: impl Into<ToolSpec>, run: F) -> HostTool
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A, HostCaller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let spec = spec.into();
        let tool = spec.name.clone();
        HostTool::of(spec, move |payload: Payload, caller| match payload.decode::<A>() {
            Ok(arguments) => {
                let answer = run(arguments, caller);
                Box::pin(async move { Payload::encode(&answer.await?) })
            }
            Err(error) => Box::pin(std::future::ready(Err(does_not_fit(&tool, &error)))),
        })
    }

    /// One that looks into neither arguments nor result: JSON bytes and attachments pass through.
    pub fn payload<F, Fut>(spec: impl Into<ToolSpec>, run: F) -> HostTool
    where
        F: Fn(Payload, HostCaller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Payload>> + Send + 'static,
    {
        HostTool::of(spec.into(), move |payload, caller| Box::pin(run(payload, caller)))
    }

    fn of(spec: ToolSpec, run: impl Fn(Payload, HostCaller) -> Answer + Send + Sync + 'static) -> HostTool {
        let (session, birth, source, metadata) = (None, None, HostToolSource::Local, BTreeMap::new());
        HostTool {
            spec,
            session,
            birth,
            source,
            metadata,
            is_exposed: true,
            like: None,
            run: Arc::new(run),
            begin: None,
        }
    }

    /// How it answers with a stream, if it is asked for one: see [`HostTools::stream`](crate::HostTools::stream).
    #[must_use]
    pub fn streams(
        mut self,
        begin: impl Fn(Payload, HostCaller) -> Result<ToolItems> + Send + Sync + 'static,
    ) -> HostTool {
        self.begin = Some(Arc::new(begin));
        self
    }

    /// Of this session alone. Default: global.
    #[must_use]
    pub fn session(mut self, id: impl Into<Arc<str>>) -> HostTool {
        self.session = Some(id.into());
        self
    }

    /// What runs it. Default: [`HostToolSource::Local`]. It says so to others only; the function that was given runs it, which for a
    /// worker's tool is a call of that worker ([`CallOptions::worker`](crate::CallOptions::worker)).
    #[must_use]
    pub fn source(mut self, source: HostToolSource) -> HostTool {
        self.source = source;
        self
    }

    /// Something to know about it: 32 entries and 4096 bytes of JSON at most.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> HostTool {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Whether workers see it and may call it. Default: true.
    #[must_use]
    pub fn exposed(mut self, yes: bool) -> HostTool {
        self.is_exposed = yes;
        self
    }

    /// What another tool says of itself is said of this one, where that says nothing.
    pub(crate) fn like(mut self, look: impl Fn() -> Option<ToolSpec> + Send + Sync + 'static) -> HostTool {
        self.like = Some(Arc::new(look));
        self
    }

    /// What is said of it.
    pub(super) fn told(&self) -> ToolSpec {
        let mut spec = self.spec.clone();
        if let Some(like) = self.like.as_ref().and_then(|look| look()) {
            spec.doc = if spec.doc.is_empty() { like.doc } else { spec.doc };
            spec.parameters = if spec.parameters.is_empty() { like.parameters } else { spec.parameters };
        }
        spec
    }

    pub(super) fn checked(mut self) -> Result<HostTool> {
        self.spec.name = name::checked(&self.spec.name)?.to_owned();
        name::check_metadata(&self.spec.name, &self.metadata)?;
        Ok(self)
    }

    /// A worker has sessions of its own, of which nobody else knows.
    pub(super) fn must_have_a_session(&self) -> Result<()> {
        match &self.session {
            Some(session) if self.birth.is_none() && !matches!(self.source, HostToolSource::Worker { .. }) => {
                Err(no_such_session(session, Some(&self.spec.name)))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_of(&self, wanted: &str, life: u64) -> bool {
        matches!(&self.source, HostToolSource::Worker { worker, generation, .. } if worker == wanted && *generation == life)
    }

    pub(super) fn info(&self) -> HostToolInfo {
        let ToolSpec { name, doc: description, streaming: supports_streaming, parameters, .. } = self.told();
        HostToolInfo {
            name,
            session: self.session.as_deref().map(str::to_owned),
            description,
            parameters,
            supports_streaming,
            metadata: self.metadata.clone(),
            exposed: self.is_exposed,
            source: self.source.clone(),
        }
    }
}

impl std::fmt::Debug for HostTool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.info().fmt(f)
    }
}

pub(super) fn no_such_session(session: &str, tool: Option<&str>) -> Error {
    let session = &session[..session.floor_char_boundary(256)];
    let message = format!("register a host tool of session `{session}`: no such session, or its time is over");
    let details = json!({ "reason": "session_not_found", "session": session, "tool": tool });
    Error::new(ErrorKind::NotFound, message).with_details(details)
}

fn does_not_fit(tool: &str, error: &Error) -> Error {
    Error::new(ErrorKind::Validation, format!("host tool {tool}: arguments do not fit: {error}"))
}
