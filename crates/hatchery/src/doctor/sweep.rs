//! Whether orphans of dead runs can be found here, and ended.

use super::Check;
use crate::process::{Obstacle, obstacles};

pub(super) fn orphan_sweep() -> Check {
    orphan_sweep_of(&obstacles())
}

/// What blocks is worse than what only weakens.
fn orphan_sweep_of(obstacles: &[Obstacle]) -> Check {
    const NAME: &str = "orphan sweep";
    match obstacles.iter().find(|obstacle| obstacle.is_blocking).or(obstacles.first()) {
        None => Check::ok(NAME, "processes of dead runs can be found and ended"),
        Some(Obstacle { what, hint, is_blocking: true }) => {
            Check::warning(NAME, format!("{what}: they are reported only, at best"), *hint)
        }
        Some(Obstacle { what, hint, is_blocking: false }) => Check::warning(NAME, *what, *hint),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus;
    use super::*;

    #[test]
    fn the_worst_is_told() {
        assert_eq!(orphan_sweep_of(&[]).status, CheckStatus::Ok);
        let weak = Obstacle { what: "weak", hint: "mend", is_blocking: false };
        let blocking = Obstacle { what: "blocked", hint: "mend it", is_blocking: true };
        assert_eq!(orphan_sweep_of(std::slice::from_ref(&weak)).message, "weak");
        let check = orphan_sweep_of(&[weak, blocking]);
        assert_eq!(check.message, "blocked: they are reported only, at best");
        assert_eq!((check.status, check.hint.as_deref()), (CheckStatus::Warning, Some("mend it")));
    }
}
