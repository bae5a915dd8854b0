//! What `hatchery.toml` says about an app that is given with `--app`.

use std::path::{Path, PathBuf};

use hatchery::{Config, PoolConfig, Result};

/// Where the configuration is looked for without `--config`.
const DEFAULT: &str = "hatchery.toml";

/// The configuration that `--config` names, or the one in the current folder, or none.
pub(crate) fn load(named: Option<&Path>) -> Result<Option<Config>> {
    match named {
        Some(path) => Config::load(path).map(Some),
        None if Path::new(DEFAULT).exists() => Config::load(Path::new(DEFAULT)).map(Some),
        None => Ok(None),
    }
}

/// The pool that runs this app, if one does.
pub(crate) fn pool_of<'a>(config: &'a Config, named: Option<&Path>, app: &str) -> Option<&'a PoolConfig> {
    let folder = named.and_then(Path::parent).unwrap_or(Path::new(""));
    config.pools.iter().find(|pool| is_same_file(&folder.join(file_of(&pool.app)), file_of(app)))
}

/// The file of `PATH[:ATTR]`.
pub(crate) fn file_of(app: &str) -> &Path {
    match app.rsplit_once(':') {
        Some((path, _)) if !path.is_empty() => Path::new(path),
        _ => Path::new(app),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| -> Option<PathBuf> { path.canonicalize().ok() };
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_is_no_part_of_the_file() {
        assert_eq!(file_of("a/app.py:Embedder"), Path::new("a/app.py"));
        assert_eq!(file_of("app.py"), Path::new("app.py"));
        assert_eq!(file_of("package.module"), Path::new("package.module"));
    }

    #[test]
    fn two_names_of_one_file_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.py");
        std::fs::write(&file, "").unwrap();
        assert!(is_same_file(&file, &folder.path().join(".").join("app.py")));
        assert!(!is_same_file(&file, &folder.path().join("other.py")));
    }
}
