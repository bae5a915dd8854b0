//! One call: a unary one from its admission to its answer, as often as it is tried, and a streaming one until its items come.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use crate::call::{CallOptions, passed};
use crate::error::Result;
use crate::pool::PayloadStream;
use crate::pool::account::{Account, Finished};
use crate::pool::guard::After;
use crate::pool::ticket::Ticket;
use crate::value::Payload;
use crate::worker::{Answer, Journey, Sink};

impl Shared {
    /// A call under these options, which have its correlation id.
    pub(in crate::pool) async fn call(
        self: &Arc<Shared>,
        tool: &str,
        args: Payload,
        options: &CallOptions,
    ) -> Result<Payload> {
        let made = Instant::now();
        let deadline = self.deadline(tool, &args, options, false, made);
        let mut account = Account::open(self, tool, options, made);
        let mut tries = self.tries(tool, options, deadline);
        let result = loop {
            if let Err(refused) = tries.begin() {
                break Err(refused);
            }
            account.begin();
            let (caller, reply) = oneshot::channel();
            let tried = match self.admit(tool, args.clone(), options, deadline, Sink::Unary(caller)) {
                Ok(ticket) => {
                    account.admitted(&ticket);
                    account.answered(answer(ticket, reply).await)
                }
                Err(refused) => Err(refused),
            };
            match tries.end(tried) {
                After::Over(result) => break result,
                After::Again(pause) => tokio::time::sleep(pause).await,
            }
        };
        account.close(&result);
        result.map_err(|error| {
            self.count_error();
            options.mark(error)
        })
    }
}

impl Shared {
    /// A streaming call under these options, which have its correlation id.
    pub(in crate::pool) fn stream(
        self: &Arc<Shared>,
        tool: &str,
        args: Payload,
        options: CallOptions,
    ) -> Result<PayloadStream> {
        let made = Instant::now();
        let (caller, items) = mpsc::unbounded_channel();
        let clock = caller.downgrade();
        let deadline = self.deadline(tool, &args, &options, true, made);
        let begun =
            self.watch(tool).and_then(|watch| match self.admit(tool, args, &options, deadline, Sink::Stream(caller)) {
                Ok(ticket) => Ok((ticket, watch)),
                Err(refused) => {
                    self.watched(watch, &Err(refused.clone()));
                    Err(refused)
                }
            });
        match begun {
            Ok((ticket, watch)) => Ok(PayloadStream::new(ticket, watch, items, clock, options)),
            Err(error) => {
                self.count_error();
                let (error_kind, journey) = (Some(error.kind()), Journey::default());
                let finished = Finished { tool, options: &options, error: error_kind, made, tries: 1, journey };
                self.finished_call(&self.counts.meters.of_whatever(tool), &finished);
                Err(options.mark(error))
            }
        }
    }
}

/// Waits for the answer of an admitted call, no longer than its deadlines allow.
async fn answer(mut ticket: Ticket, mut reply: oneshot::Receiver<Answer>) -> Answer {
    let (deadline, mut queue_deadline) = (ticket.deadline, ticket.queue_deadline);
    loop {
        // One timer, not two: the later one is rarely needed.
        let is_in_queue = queue_deadline.is_some_and(|queue| deadline.is_none_or(|whole| queue.at() < whole.at()));
        let next = if is_in_queue { queue_deadline.take() } else { deadline };
        tokio::select! {
            biased;
            // An answer that is here counts, however late we look.
            reply = &mut reply => return ticket.answered(reply),
            () = passed(next) => match is_in_queue.then(|| ticket.expired_in_queue()) {
                None => return ticket.expired(),
                Some(Some(answer)) => return answer,
                // Passed after the call left the queue, it means nothing.
                Some(None) => {}
            },
        }
    }
}
