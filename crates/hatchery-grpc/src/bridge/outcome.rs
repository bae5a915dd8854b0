//! What came of a tool that was run for the other side, as it is answered. That it failed stands in the answer.

use std::time::{Duration, Instant};

use hatchery::Result;

use super::errors;
use super::proto::{ExecuteElixirToolResponse, ExecuteToolResponse};
use super::results::Returned;

/// What came of a tool that was run.
#[derive(Debug)]
pub struct Outcome {
    /// What it returned.
    pub result: Result<Returned>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Runs it, and looks at the clock.
    pub async fn of(work: impl Future<Output = Result<Returned>>) -> Outcome {
        let began = Instant::now();
        let result = work.await;
        Outcome { result, took: began.elapsed() }
    }

    fn milliseconds(&self) -> i64 {
        i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX)
    }
}

impl From<Outcome> for ExecuteToolResponse {
    fn from(outcome: Outcome) -> ExecuteToolResponse {
        let execution_time_ms = outcome.milliseconds();
        match outcome.result {
            Ok(Returned { result, binary_result }) => {
                ExecuteToolResponse { success: true, result, binary_result, execution_time_ms, ..Default::default() }
            }
            Err(error) => ExecuteToolResponse {
                error_message: errors::to_message(&error),
                execution_time_ms,
                ..Default::default()
            },
        }
    }
}

impl From<Outcome> for ExecuteElixirToolResponse {
    fn from(outcome: Outcome) -> ExecuteElixirToolResponse {
        let execution_time_ms = outcome.milliseconds();
        match outcome.result {
            Ok(Returned { result, binary_result }) => ExecuteElixirToolResponse {
                success: true,
                result,
                binary_result,
                metadata: [("execution_time".to_owned(), execution_time_ms.to_string())].into(),
                execution_time_ms,
                ..Default::default()
            },
            Err(error) => ExecuteElixirToolResponse {
                error_message: errors::to_text(&error),
                execution_time_ms,
                ..Default::default()
            },
        }
    }
}
