//! Which host tools there are. Plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{HostTool, HostToolLimits, HostToolSource, name};
use crate::error::{Error, ErrorKind, Result};

#[derive(Default)]
pub(super) struct Table {
    limits: HostToolLimits,
    global: Shelf,
    sessions: HashMap<Arc<str>, Shelf>,
    count: usize,
}

/// By name.
type Shelf = BTreeMap<Arc<str>, Arc<HostTool>>;

/// What was taken away, to be dropped where nobody is held up: what a tool holds may hold the table.
pub(super) type Removed = Vec<Arc<HostTool>>;

/// Which of them somebody sees.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Only those that workers see. What they do not see hides others from them all the same.
    pub(super) exposed: bool,
    /// Only the host's own. What workers have registered hides none of them.
    pub(super) hosts: bool,
}

impl Seen {
    pub(super) const ALL: Seen = Seen { exposed: false, hosts: false };

    fn knows(self, tool: &HostTool) -> bool {
        !(self.hosts && matches!(tool.source, HostToolSource::Worker { .. }))
    }

    fn shows(self, tool: &HostTool) -> bool {
        !self.exposed || tool.is_exposed
    }
}

impl Table {
    pub(super) fn new(limits: HostToolLimits) -> Table {
        Table { limits, ..Table::default() }
    }

    /// All of them, or none, which are left where they are.
    pub(super) fn insert_all(&mut self, tools: &mut Vec<HostTool>) -> Result<()> {
        self.check_all(tools)?;
        self.count += tools.len();
        for tool in tools.drain(..) {
            let shelf = match &tool.session {
                None => &mut self.global,
                Some(session) => self.sessions.entry(Arc::clone(session)).or_default(),
            };
            shelf.insert(tool.spec.name.as_str().into(), Arc::new(tool));
        }
        Ok(())
    }

    fn check_all(&self, tools: &[HostTool]) -> Result<()> {
        let mut added: HashMap<Option<Arc<str>>, BTreeSet<Arc<str>>> = HashMap::new();
        for tool in tools {
            let names = added.entry(tool.session.clone()).or_default();
            let is_new = !self.has(tool) && names.insert(tool.spec.name.as_str().into());
            let there = self.sessions.get(tool.session.as_deref().unwrap_or_default()).map_or(0, Shelf::len);
            match is_new {
                false => return Err(duplicate(tool)),
                true if tool.session.is_some() && there + names.len() > self.limits.per_session => {
                    return Err(too_many(tool, "its session may have", self.limits.per_session));
                }
                true => {}
            }
        }
        if let Some(last) = tools.last().filter(|_| self.count + tools.len() > self.limits.total) {
            return Err(too_many(last, "there may be", self.limits.total));
        }
        Ok(())
    }

    /// Takes these global ones away and puts those in their place, or does nothing.
    pub(super) fn exchange(&mut self, out: &[String], into: &mut Vec<HostTool>) -> Result<Removed> {
        let before = (self.global.clone(), self.count);
        let removed = out.iter().filter_map(|name| self.remove(None, name)).collect();
        match self.insert_all(into) {
            Ok(()) => Ok(removed),
            Err(refused) => {
                (self.global, self.count) = before;
                Err(refused)
            }
        }
    }

    /// The sessions of these that others know, and when each was made.
    pub(super) fn sessions_in(tools: &[HostTool]) -> BTreeSet<(Arc<str>, u64)> {
        tools.iter().filter_map(|tool| tool.session.clone().zip(tool.birth)).collect()
    }

    /// A session's own comes first.
    pub(super) fn find(&self, name: &str, session: Option<&str>, seen: Seen) -> Option<Arc<HostTool>> {
        let own = session.and_then(|session| self.sessions.get(session));
        let mut shelves = own.into_iter().chain([&self.global]);
        let found = shelves.find_map(|shelf| shelf.get(name).filter(|tool| seen.knows(tool)));
        found.filter(|tool| seen.shows(tool)).cloned()
    }

    /// What somebody of this session sees, by name.
    pub(super) fn seen(&self, session: Option<&str>, seen: Seen) -> impl Iterator<Item = &Arc<HostTool>> {
        let own = session.and_then(|session| self.sessions.get(session));
        let mut shelf: BTreeMap<&str, &Arc<HostTool>> = BTreeMap::new();
        for (name, tool) in self.global.iter().chain(own.into_iter().flatten()).filter(|(_, tool)| seen.knows(tool)) {
            shelf.insert(name, tool);
        }
        shelf.into_values().filter(move |tool| seen.shows(tool))
    }

    /// A session's own; without a session, the global ones.
    pub(super) fn of(&self, session: Option<&str>) -> impl Iterator<Item = &Arc<HostTool>> {
        let shelf = session.map_or(Some(&self.global), |session| self.sessions.get(session));
        shelf.into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<HostTool>> {
        let sessions: BTreeMap<_, _> = self.sessions.iter().collect();
        self.global.values().chain(sessions.into_values().flat_map(BTreeMap::values))
    }

    pub(super) fn remove(&mut self, session: Option<&str>, name: &str) -> Option<Arc<HostTool>> {
        let removed = match session {
            None => self.global.remove(name),
            Some(session) => self.sessions.get_mut(session)?.remove(name),
        }?;
        self.tidy(vec![removed]).pop()
    }

    /// Keeps those of a session that was made at such a time, and gives the others.
    pub(super) fn retain_session(&mut self, session: &str, keep: impl Fn(Option<u64>) -> bool) -> Removed {
        let gone = self.sessions.get_mut(session).map(|shelf| without(shelf, |tool| keep(tool.birth)));
        self.tidy(gone.unwrap_or_default())
    }

    pub(super) fn remove_worker(&mut self, worker: &str, generation: u64) -> Removed {
        let shelves = self.sessions.values_mut().chain([&mut self.global]);
        let gone = shelves.flat_map(|shelf| without(shelf, |tool| !tool.is_of(worker, generation))).collect();
        self.tidy(gone)
    }

    /// What was in it, for others to drop.
    pub(super) fn clear(&mut self) -> Table {
        std::mem::replace(self, Table::new(self.limits))
    }

    fn has(&self, tool: &HostTool) -> bool {
        let name = tool.spec.name.as_str();
        match &tool.session {
            None => self.global.contains_key(name),
            Some(session) => self.sessions.get(session).is_some_and(|shelf| shelf.contains_key(name)),
        }
    }

    fn tidy(&mut self, gone: Removed) -> Removed {
        if !gone.is_empty() {
            self.count -= gone.len();
            self.sessions.retain(|_, shelf| !shelf.is_empty());
        }
        gone
    }
}

fn without(shelf: &mut Shelf, keep: impl Fn(&HostTool) -> bool) -> Removed {
    let gone: Vec<Arc<str>> = shelf.iter().filter(|(_, tool)| !keep(tool)).map(|(name, _)| Arc::clone(name)).collect();
    gone.iter().filter_map(|name| shelf.remove(name)).collect()
}

fn duplicate(tool: &HostTool) -> Error {
    let of = tool.session.as_deref().map(|session| format!(" of session `{session}`")).unwrap_or_default();
    let message = format!("there are two host tools `{}`{of}", tool.spec.name);
    name::refused(&tool.spec.name, ErrorKind::Conflict, "duplicate_tool", message)
}

fn too_many(tool: &HostTool, whose: &str, most: usize) -> Error {
    let name = &tool.spec.name;
    let message = format!("register host tool {name}: {whose} {most} at most; unregister some, or raise the limit");
    name::refused(name, ErrorKind::Limit, "too_many_tools", message)
}
