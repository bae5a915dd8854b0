//! Supervisors, guardians and workers killed, stopped and confused in every way that we know: nobody is left, and no innocent is hit.
//!
//! Every case has a PID namespace of its own, so that one that fails leaks nothing, and no signal of the harness can leave
//! it. What is alive is what the namespace lists; the library is not asked. This program plays every part: the suite, the first
//! process of a namespace (`inside`), the supervisor that embeds the library (`supervisor`), and what it turns into (`idle`).
//!
//! `cargo xtask chaos [--full] [--plain] [NAME...]`; `cargo xtask test` runs the short form.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

use std::process::ExitCode;

use hatchery::Containment;

mod brake;
mod canary;
mod case;
mod cgroup;
mod namespace;
mod processes;
mod rig;
mod scenarios;
mod shape;
mod subject;
mod suite;
mod supervisor;

/// What went wrong, for people.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["inside", case] => rig::inside(case),
        ["supervisor", shape, workers] => supervisor::run(shape, workers.parse().unwrap(), Containment::Default),
        ["supervisor", shape, workers, "enclosed"] => {
            supervisor::run(shape, workers.parse().unwrap(), Containment::PidNamespace)
        }
        ["idle"] => supervisor::idle(),
        _ => suite::run(&arguments),
    }
}
