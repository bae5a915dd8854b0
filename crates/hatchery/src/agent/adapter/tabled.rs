//! An agent that a table describes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dialogue::Conversation;
use super::table::Table;
use super::{CommandPlan, Dialogue, LineAdapter, Start};
use crate::agent::{AgentSessionId, AgentSpec, StopLadder};
use crate::error::{Error, Result};

/// What a table says, under the name that it was given.
#[derive(Debug)]
pub(super) struct Tabled {
    name: String,
    table: Arc<Table>,
}

impl Tabled {
    /// # Errors
    /// `validation`, with the name of the adapter, the place in its table, and what was expected there.
    pub(super) fn read(name: &str, table: &toml::Table) -> Result<Tabled> {
        let table = Table::read(table).map_err(|error| about(name, error))?;
        Ok(Tabled { name: name.to_owned(), table: Arc::new(table) })
    }
}

/// Puts the adapter in front of what is wrong about it.
pub(super) fn about(name: &str, error: Error) -> Error {
    error.context(format_args!("adapter {name}"))
}

impl LineAdapter for Tabled {
    fn name(&self) -> &str {
        &self.name
    }

    fn command(&self, spec: &AgentSpec) -> Result<CommandPlan> {
        let plan = self.table.command.plan(spec, &self.table.session).map_err(|error| about(&self.name, error))?;
        Ok(if self.table.says_that_it_is_there() { plan } else { CommandPlan { start: Start::Silently, ..plan } })
    }

    fn begin(&self, plan: &CommandPlan) -> Box<dyn Dialogue> {
        Box::new(Conversation::begin(Arc::clone(&self.table), plan))
    }

    fn fresh_session(&self, random: u128) -> Option<AgentSessionId> {
        self.table.session.fresh(random).filter(|_| self.table.command.can_be_named())
    }

    fn transcript(
        &self,
        session: &AgentSessionId,
        cwd: &Path,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<PathBuf> {
        self.table.session.transcript(session, cwd, variable)
    }

    fn ladder(&self) -> StopLadder {
        self.table.ladder.clone()
    }

    fn has_terminal_message(&self) -> bool {
        self.table.has_terminal_message()
    }
}
