//! Agent runs, with an agent that does what it is told (`tests/fixtures/agents/fake_agent.py`). `A1` and so on are the scenarios of the
//! design page.

mod conversation;
mod ends;
mod leftovers;
mod limits;
mod lives;
mod output;
mod rig;
mod sessions;
mod starts;
mod supervisors;
