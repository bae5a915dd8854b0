//! Versions of the peers, asked of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::peer::installed;
use crate::Result;
use crate::child::output;

const PACKAGES: [&str; 8] =
    ["circus", "gunicorn", "honcho", "joblib", "loky", "supervisor", "uvicorn", "uvicorn-worker"];

/// Name to version; what is not installed is not there.
#[derive(Debug)]
pub(super) struct Versions(BTreeMap<String, String>);

impl Versions {
    pub(super) fn ask(python: &Path) -> Result<Versions> {
        let mut versions: BTreeMap<String, String> =
            serde_json::from_str(&output(python, "orphans/versions.py", &PACKAGES)?)?;
        for name in ["node", "rustc", "tini"] {
            let said = installed(python, name).and_then(|program| said(&program));
            versions.extend(said.map(|version| (name.to_owned(), version)));
        }
        versions.insert("hatchery".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Ok(Versions(versions))
    }

    /// Of one package; nothing if it is not installed.
    pub(super) fn of(&self, package: &str) -> &str {
        self.0.get(package).map_or("-", String::as_str)
    }
}

/// What `--version` prints: the word that begins with a digit, or with `v` and a digit.
#[expect(clippy::disallowed_methods, reason = "a program is asked for its version, and waited for")]
fn said(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace().map(|word| word.trim_start_matches('v'));
    words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}
