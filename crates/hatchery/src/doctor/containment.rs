//! Whether processes can be owned here: a guardian is started, asked, and ended again.

use std::path::Path;

use super::Check;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Guarantee, Layer, LayerState, StartError};

const NAME: &str = "containment";

pub(super) fn check() -> Check {
    judge(process::try_guardian())
}

/// Writes the program that owns every process, which this library carries, to a file that everybody may run: for machines on
/// which nothing may be executed that was not installed. The variable `HATCHERY_GUARDIAN` names it to whoever starts a hatchery
/// of this very build; any other build refuses it. A copy that is there already is fine, another file is left as it is.
///
/// ```
/// let folder = std::env::temp_dir().join("no-such-folder");
/// let error = hatchery::write_guardian(&folder.join("guardian")).unwrap_err();
/// assert_eq!(error.kind(), hatchery::ErrorKind::Validation);
/// ```
///
/// # Errors
/// [`ErrorKind::Validation`] if it cannot be written there, or may not be run there.
pub fn write_guardian(path: &Path) -> Result<()> {
    process::write_program(path).map_err(|error| {
        Error::new(ErrorKind::Validation, format!("write the guardian's program to {}: {error}", path.display()))
    })
}

fn judge(tried: Result<Guarantee, StartError>) -> Check {
    match tried {
        Ok(guarantee) if guarantee.lost().next().is_none() => {
            Check::ok(NAME, format!("{}{}", guarantee.promise(), notes(&guarantee)))
        }
        Ok(guarantee) => {
            let lost: Vec<String> = guarantee.lost().map(Layer::to_string).collect();
            let hint = guarantee.lost().find_map(mend).unwrap_or("see ARCHITECTURE.md for what each layer does");
            let message = format!("{}; but {}{}", guarantee.promise(), lost.join("; "), notes(&guarantee));
            Check::warning(NAME, message, hint)
        }
        Err(error) => Check::error(NAME, error.to_string(), mend_start(&error)),
    }
}

fn mend_start(error: &StartError) -> &'static str {
    match error {
        StartError::Program(_) => {
            "allow memfd or an executable folder (XDG_RUNTIME_DIR), or run `hatchery doctor --write-guardian FILE` where \
             programs may be run and set HATCHERY_GUARDIAN=FILE"
        }
        // The kernel's words; some of these errors carry no number.
        error if error.to_string().contains("Too many open files") => super::storage::MORE_FILES,
        _ => {
            "`HATCHERY_GUARDIAN` must be unset or of this version, and the machine must let processes be started (ulimit -u)"
        }
    }
}

fn notes(guarantee: &Guarantee) -> String {
    guarantee.notes().iter().map(|note| format!("; note: {note}")).collect()
}

fn mend(layer: &Layer) -> Option<&'static str> {
    match (layer.name, &layer.state) {
        ("cgroup leaf", LayerState::Lost(_)) => {
            Some("run below a delegated group: `systemd-run --user --scope -p Delegate=yes COMMAND`")
        }
        ("mark", LayerState::Lost(_)) => Some("allow setrlimit(RLIMIT_LOCKS), which the container's profile forbids"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn what_is_lost_is_said_with_a_way_to_mend_it() {
        let mut guarantee = process::try_guardian().unwrap();
        guarantee.set("cgroup leaf", LayerState::Lost("read-only".into()));
        let check = judge(Ok(guarantee));
        assert_eq!(check.status, CheckStatus::Warning);
        assert!(check.message.contains("no cgroup leaf: read-only"), "{check:?}");
        assert!(check.hint.unwrap().contains("Delegate=yes"));
    }

    #[test]
    fn what_is_noted_is_no_warning() {
        let mut guarantee = process::try_guardian().unwrap();
        let status = judge(Ok(guarantee.clone())).status;
        guarantee.note("it may be slow");
        let check = judge(Ok(guarantee));
        assert!(check.message.ends_with("; note: it may be slow"), "{check:?}");
        assert_eq!(check.status, status);
    }

    #[test]
    fn a_machine_on_which_nothing_can_be_owned_is_an_error() {
        let check = judge(Err(StartError::Forked));
        assert_eq!(check.status, CheckStatus::Error);
    }

    #[test]
    fn the_hint_is_about_what_is_missing() {
        let refused =
            |text: &str| StartError::Os { what: "x", source: std::sync::Arc::new(std::io::Error::other(text)) };
        assert!(mend_start(&refused("Too many open files: no more than 64 are allowed")).contains("ulimit -n"));
        assert!(mend_start(&refused("Resource temporarily unavailable")).contains("ulimit -u"));
        let no_program = StartError::Program(std::sync::Arc::new(std::io::Error::other("Permission denied")));
        assert!(mend_start(&no_program).contains("--write-guardian"));
    }
}
