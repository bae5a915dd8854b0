//! What only these workers can be told of a call.

use hatchery::CallOptions;
use hatchery_grpc::bridge::ToolCall;

const THREAD_SENSITIVE: &str = "thread_sensitive";

/// In front of the name of an argument.
const FORMAT: &str = "binary_format:";
const PICKLE: &str = "pickle";

/// Options of a call that only workers written for Snakepit know.
///
/// ```
/// use hatchery::CallOptions;
/// use hatchery_snakepit::SnakepitOptions;
///
/// let options = CallOptions::new().thread_sensitive();
/// ```
pub trait SnakepitOptions: Sized {
    /// The tool runs in the worker's main thread, as some libraries want it. The worker answers nothing else meanwhile, no heartbeat
    /// either. A threaded worker has no such choice.
    #[must_use]
    fn thread_sensitive(self) -> Self;

    /// The worker is to unpickle this argument, whose value is the [`Binary`](hatchery::Binary) of a pickle. Else the call is `validation`.
    ///
    /// # Security
    /// To unpickle is to run what the bytes say, with all that the worker may do. Name only what this program has pickled itself, or has got
    /// from where it would take a program from. Nothing here makes or reads a pickle, and no client of the daemon can ask for this.
    #[must_use]
    fn pickled(self, argument: &str) -> Self;
}

impl SnakepitOptions for CallOptions {
    fn thread_sensitive(self) -> CallOptions {
        self.metadata(THREAD_SENSITIVE, "true")
    }

    fn pickled(self, argument: &str) -> CallOptions {
        self.metadata(format!("{FORMAT}{argument}"), PICKLE)
    }
}

/// The call, with what is said of it under this name.
pub(crate) fn told(call: ToolCall, (name, value): (&String, &String)) -> ToolCall {
    match name.strip_prefix(FORMAT) {
        Some(argument) if value == PICKLE => call.pickled(argument),
        _ => call.metadata(name, value),
    }
}
