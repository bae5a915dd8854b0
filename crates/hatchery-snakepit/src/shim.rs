//! What is mended in a worker as it starts: a folder in front of its `PYTHONPATH`, and the words that tell it what to do.

use std::ffi::OsString;
use std::path::PathBuf;

use hatchery::{Embedded, Error, ErrorKind, Launch, Result, ShimMode};

// DIGEST, FILES: made by build.rs.
include!(concat!(env!("OUT_DIR"), "/shim_files.rs"));

const SHIM: Embedded = Embedded::new("shim", DIGEST, FILES);

/// The modes, in words. A launch that has it is one with the shim.
pub(crate) const MODES: &str = "HATCHERY_SHIM";

/// The launch, with the shim in front of whatever it imports from. Without a mode there is none.
pub(crate) fn injected(launch: Launch, modes: &[ShimMode]) -> Result<Launch> {
    if modes.is_empty() {
        return Ok(launch);
    }
    let path = in_front(SHIM.folder()?, value(&launch, "PYTHONPATH"))?;
    let words: Vec<&str> = modes.iter().map(|mode| mode.as_str()).collect();
    Ok(launch.env("PYTHONPATH", path).env(MODES, words.join(",")))
}

/// Whether the launch has the shim.
pub(crate) fn is_in(launch: &Launch) -> bool {
    value(launch, MODES).is_some_and(|modes| !modes.is_empty())
}

/// Of two entries for a name, the later one holds.
fn value(launch: &Launch, name: &str) -> Option<OsString> {
    launch.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn in_front(shim: PathBuf, path: Option<OsString>) -> Result<OsString> {
    // An empty one would be the current folder.
    let others = path.iter().filter(|path| !path.is_empty()).flat_map(std::env::split_paths);
    let wrong = |error| {
        let message = format!("put the shim into PYTHONPATH: {}: {error}; set XDG_CACHE_HOME", shim.display());
        Error::new(ErrorKind::Validation, message)
    };
    std::env::join_paths(std::iter::once(shim.clone()).chain(others)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_it_is_embedded() {
        let names: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        for expected in ["sitecustomize.py", "hatchery_shim/__init__.py", "hatchery_shim/loopback.py"] {
            assert!(names.contains(&expected), "{names:?}");
        }
    }

    #[test]
    fn it_comes_first_and_hides_nothing() {
        let launch = Launch::new("/usr/bin/python3").env("PYTHONPATH", "/old").env("PYTHONPATH", "/a:/b");
        let launch = injected(launch, &[ShimMode::Loopback, ShimMode::Lossless]).unwrap();
        let folder = SHIM.folder().unwrap();
        let expected = format!("{}:/a:/b", folder.display());
        assert_eq!(value(&launch, "PYTHONPATH"), Some(expected.into()));
        assert_eq!(value(&launch, MODES), Some("loopback,lossless".into()));
        assert!(folder.join("sitecustomize.py").is_file() && is_in(&launch));
    }

    #[test]
    fn without_a_mode_there_is_none() {
        let launch = Launch::new("/usr/bin/python3").env("A", "b");
        assert_eq!(injected(launch.clone(), &[]).unwrap(), launch);
        assert!(!is_in(&launch) && !is_in(&launch.env(MODES, "")));
    }

    #[test]
    fn an_empty_path_stays_one() {
        assert_eq!(in_front("/s".into(), Some(OsString::new())).unwrap(), "/s");
        assert_eq!(in_front("/s".into(), None).unwrap(), "/s");
        assert!(in_front("/a:b".into(), None).is_err());
    }
}
