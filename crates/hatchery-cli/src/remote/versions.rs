//! Whether the daemon is of the same version as the command: what is the same in major and minor understands each other.

use std::sync::{Arc, OnceLock};

const OURS: &str = env!("CARGO_PKG_VERSION");

/// What is known of the daemon's version. Clones know the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    other: Arc<OnceLock<String>>,
}

impl Versions {
    /// A daemon is of this version, all of it or only its beginning.
    pub(super) fn of_daemon(&self, version: &str) {
        if family(version) != family(OURS) {
            let _first_one_stays = self.other.set(version.to_owned());
        }
    }

    /// What to say if the two differ. They talk all the same: an answer that is not understood is an error of its own.
    pub(crate) fn warning(&self) -> Option<String> {
        let other = self.other.get()?;
        Some(format!("the daemon is hatchery {other}, and this is {OURS}: what one has the other may not know"))
    }
}

fn family(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_major_or_minor_is_another_version() {
        let told = |version: &str| {
            let versions = Versions::default();
            versions.of_daemon(version);
            versions.warning()
        };
        let ours = family(OURS).join(".");
        assert_eq!((told(OURS), told(&ours), told(&format!("{ours}.999"))), (None, None, None));
        assert!(told("99.0").unwrap().starts_with("the daemon is hatchery 99.0, and this is "));
    }
}
