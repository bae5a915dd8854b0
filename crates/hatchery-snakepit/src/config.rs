//! Snakepit's pool configuration, read from Elixir and written as `hatchery.toml`.
//!
//! Nothing of Elixir is run: what is a literal is read, and what is not is said aloud, with its place.
//!
//! ```
//! use hatchery_snakepit::config::convert;
//!
//! let text = "config :snakepit, pools: [%{name: :ml, pool_size: 4, worker_ttl: {1, :hours}}]";
//! let conversion = convert(text, "config.exs").unwrap();
//! assert!(conversion.toml.contains("workers = 4 # config.exs:1: pools[0].pool_size"));
//! assert!(conversion.toml.contains("recycle.ttl = \"1h\""));
//! assert!(convert("config :snakepit, pools: [", "config.exs").is_err());
//! ```

mod adapter;
mod conversion;
mod cursor;
mod environment;
mod expression;
mod left_out;
mod literal;
mod note;
mod page;
mod pool;
mod reads;
mod rules;
mod statement;
mod term;
mod top;
mod written;
#[cfg(test)]
mod tests;

pub use conversion::{Conversion, convert};
pub use cursor::Malformed;
pub use note::Note;
pub use term::Place;
