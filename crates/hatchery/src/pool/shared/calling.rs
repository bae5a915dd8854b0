//! One unary call, from its admission to its answer, as often as it is tried.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::Shared;
use crate::call::{CallOptions, passed};
use crate::error::Result;
use crate::pool::account::Account;
use crate::pool::guard::After;
use crate::pool::ticket::Ticket;
use crate::value::Payload;
use crate::worker::{Answer, Sink};

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
