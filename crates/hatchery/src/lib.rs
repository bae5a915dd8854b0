//! Run functions that live in other processes, through pools of supervised workers.
#![warn(missing_docs)]

// A module uses only modules listed below it; `cargo xtask tidy` checks that.
mod doctor;
mod config;
mod pyenv;
mod app;
mod telemetry;
mod error;
mod id;

pub use app::{App, CommandApp, Launch, LaunchContext};
pub use config::{
    AppConfig, Config, InstanceConfig, PoolConfig, PoolTimeouts, data_dir, format_duration, format_size,
    parse_duration, parse_size,
};
pub use doctor::{Check, CheckStatus, DoctorOptions, critical_checks, doctor};
pub use error::{Error, ErrorKind, Result};
pub use id::{RunId, WorkerId};
pub use pyenv::{FoundBy, Interpreter, Probe, PythonApp, PythonVersion, runtime_dir};
