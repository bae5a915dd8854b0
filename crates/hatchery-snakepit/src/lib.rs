//! Python workers that were written for Snakepit, in hatchery's pools. `docs/design/snakepit.md` says how.
