//! Whether processes can be owned here: a guardian is started, asked, and ended again.

use super::Check;
use crate::process::{self, Guarantee, Layer, LayerState, StartError};

const NAME: &str = "containment";

pub(super) fn check() -> Check {
    judge(process::try_guardian())
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
        Err(error) => Check::error(
            NAME,
            error.to_string(),
            "allow memfd or an executable folder (XDG_RUNTIME_DIR), or name the guardian program in HATCHERY_GUARDIAN",
        ),
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
}
