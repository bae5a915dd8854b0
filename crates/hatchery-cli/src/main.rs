//! The `hatchery` command. This file is its table of contents; what a command does is in `commands/`.

mod ages;
mod arguments;
mod both;
mod cli;
mod colour;
mod columns;
mod commands;
mod configuration;
mod exit;
mod first_process;
mod input_lines;
mod interrupt;
mod invocation;
mod json_input;
mod json_layout;
mod logs;
#[cfg(test)]
mod migration_guide;
mod printer;
mod private_pool;
mod progress;
mod remote;
mod standard_input;
mod target;
mod worker_order;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => commands::run(cli).into(),
        Err(answer) => cli::answer(&answer).into(),
    }
}
