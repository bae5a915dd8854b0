//! The keys of a pool whose workers are not spoken to by the native wire.

use super::{Fallback, Key, Kind, Value, key, of_word};
use crate::config::bridge::ShimMode;
use crate::config::words::{Spoken, Word, words};

pub(super) const TRANSPORT: Key = key(
    "transport",
    Kind::Words(words::<Spoken>),
    Fallback::Is(of_word::<Spoken>),
    "How its workers are spoken to: by the native wire, or (grpc) as workers that were written for Snakepit.",
);

pub(super) const SCRIPT: Key = key(
    "script",
    Kind::Path,
    Fallback::Nothing("or `app`, or `command`"),
    "With `transport = \"grpc\"` what it runs: Snakepit's worker script `grpc_server.py`. Where a worker has several calls at once (`profile = \"thread\"`) it is `grpc_server_threaded.py` beside it, with `--max-workers`.",
);

pub(super) const ADAPTER: Key = key(
    "adapter",
    Kind::Class,
    Fallback::Nothing("none; beside `script` it must be said"),
    "The adapter that the script serves: a class, by its module.",
);

pub(super) const ADAPTER_ARGS: Key =
    key("adapter_args", Kind::List(&Kind::Text), Fallback::Nothing("none"), "Further arguments of the script.");

pub(super) const SHIM: Key = key(
    "shim",
    Kind::ListOrNot(&Kind::Words(words::<ShimMode>)),
    Fallback::Bridged(usual_shim),
    "What is mended in the script's process as it starts, without a change to its files: it listens to this machine only (loopback), synchronous tools run beside each other in threads (parallel), results keep their types (lossless).",
);

pub(super) const UNSAFE_BIND: Key = key(
    "unsafe_bind",
    Kind::Flag,
    Fallback::Bridged(|| Value::Flag(false)),
    "Whether the script may listen on all addresses, where anybody who reaches the machine can run its tools. Must be true where `shim` has no loopback.",
);

fn usual_shim() -> Value {
    Value::List(ShimMode::USUAL.iter().map(|mode| Value::Text(mode.written().to_owned())).collect())
}
