//! What workers tell their pool, and what it makes of it.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::Shared;
use crate::call::CallOptions;
use crate::error::{Error, Result};
use crate::id::{CallId, LifeId, WorkerId};
use crate::pool::seat::Order;
use crate::process::Terminator;
use crate::telemetry::{PoolEvent, RecycleReason};
use crate::tool::ToolItems;
use crate::value::Payload;
use crate::worker::{Call, Later, Line, Owner, Pulse};

impl Owner for Shared {
    fn started(&self, life: LifeId, terminator: Terminator) {
        self.lock_terminators().insert(life, terminator);
    }

    fn ready(&self, line: Arc<Line>) {
        let life = line.life;
        let tools = self.tools_of(&line);
        *self.tools.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tools);
        if self.standing.came(self.rules().config.restarts) {
            self.tell(PoolEvent::Available { pool: self.name.to_string() });
        }
        self.restarted(life);
        let takes_ahead = line.takes_ahead();
        let told = self.tell_newcomer(&line);
        self.change(|roster| roster.ready(life, line, takes_ahead, Instant::now()));
        drop(told);
        self.bar_the_tainted();
        self.order(life.seat, Order::Ready(life.generation));
    }

    fn done(&self, life: LifeId, ids: &[CallId]) {
        self.finished(life, ids);
        self.carry_out(None);
    }

    fn returned(&self, life: LifeId, calls: Vec<(CallId, Call)>) {
        if calls.is_empty() {
            return;
        }
        let is_drained = self.roster().give_back(life, calls, Instant::now());
        if is_drained {
            self.order(life.seat, Order::Drained(life.generation));
        }
        self.refuse_the_hopeless();
        self.carry_out(None);
    }

    fn raised(&self, life: LifeId, error: &Error) {
        self.judge(life, error);
    }

    fn beat(&self, pulse: Pulse) {
        self.counts.heartbeats.one_more(pulse);
    }

    fn retired(&self, life: LifeId) {
        let retired = self.roster().retire(life);
        self.left(life, retired.was_ready);
    }

    fn lingers(&self, life: LifeId) {
        self.order(life.seat, Order::Replace(life.generation, RecycleReason::Deaf));
        self.retired(life);
    }

    fn unkillable(&self, life: LifeId) {
        self.change(|roster| roster.hold(life));
    }

    fn ask(
        self: Arc<Self>,
        worker: &WorkerId,
        tool: String,
        arguments: Payload,
        options: CallOptions,
    ) -> Later<'static, Result<Payload>> {
        let options = directed(worker, &options);
        Box::pin(async move { self.call(&tool, arguments, &options).await })
    }

    fn ask_stream(
        self: Arc<Self>,
        worker: &WorkerId,
        tool: &str,
        arguments: Payload,
        options: CallOptions,
    ) -> Result<ToolItems> {
        Ok(Box::pin(self.stream(tool, arguments, directed(worker, &options))?))
    }
}

/// For this worker alone, whatever session it is of.
fn directed(worker: &WorkerId, options: &CallOptions) -> CallOptions {
    let mut directed = options.clone().worker(worker.as_str()).identified();
    directed.is_directed = true;
    directed
}
