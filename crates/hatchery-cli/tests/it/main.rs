//! The real binary, real workers, real signals. Each test has a sandbox of its own, which checks at its end that no process
//! is left.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod agents;
mod asking;
mod bench;
mod both_ways;
mod bridged;
mod call;
mod config;
mod doctor;
mod daemon;
mod events;
mod examples;
mod failing_apps;
mod finding;
mod generated;
mod handed_over;
mod import;
mod killed_at_once;
mod logs;
mod life;
mod load;
mod map;
mod new;
mod orders;
mod orphans;
mod python_client;
mod remote;
mod sandbox;
mod serve;
mod signals;
mod stream;
mod terminal;
mod token;
mod tools;
mod workers_that_fail;
