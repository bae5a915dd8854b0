//! Snakepit's side of hatchery: what Snakepit's users have, taken as it is.

pub mod config;
