//! The files under the rules: what git knows or would add, with their text.

use std::collections::BTreeSet;
use std::path::Path;

use crate::child::{command, output};

/// Folders that hold what is built or fetched; they matter only where git cannot tell.
const NOT_OURS: [&str; 5] = [".git", ".venv", "__pycache__", "node_modules", "target"];

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Whether it is written by a program, or is a fixed record of bytes.
    pub(crate) fn is_recorded(&self) -> bool {
        self.path.split('/').any(|part| part == "golden" || part == "generated")
    }

    /// The lines with their numbers, counted from one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// All files of the repository; those that are not text have a path only.
#[derive(Debug)]
pub(crate) struct Tree {
    files: Vec<File>,
    paths: BTreeSet<String>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let paths = tracked(root).or_else(|_| walk(root))?;
        let paths: Vec<String> = paths.into_iter().filter(|path| root.join(path).is_file()).collect();
        let read =
            |path: &String| Some(File { path: path.clone(), text: std::fs::read_to_string(root.join(path)).ok()? });
        Ok(Tree { files: paths.iter().filter_map(read).collect(), paths: paths.into_iter().collect() })
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let file = |&(path, text): &(&str, &str)| File { path: path.to_owned(), text: text.to_owned() };
        let paths = files.iter().map(|&(path, _)| path.to_owned()).collect();
        Tree { files: files.iter().map(file).collect(), paths }
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(crate) fn with_extension<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a File> {
        self.files().filter(|file| file.has_extension(extensions))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files().find(|file| file.path == path)
    }

    /// Whether there is such a file, or a folder with files.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty() || self.paths.contains(path) || self.paths.iter().any(|known| known.starts_with(&inside))
    }
}

fn tracked(root: &Path) -> Result<Vec<String>, String> {
    let mut git = command("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = output(&mut git)?;
    let paths: BTreeSet<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    Ok(paths.into_iter().map(str::to_owned).collect())
}

/// Every file below the root, for a copy of the sources that is no repository.
fn walk(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("list {}: {error}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_ours = path.file_name().is_some_and(|name| NOT_OURS.iter().all(|other| name != *other));
            if path.is_dir() && !path.is_symlink() && is_ours {
                open.push(path);
            } else if path.is_file() {
                found.extend(path.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned()));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_folders_are_walked() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a.rs", "b/c.md", "target/debug/d.rs"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x\n").unwrap();
        }
        assert_eq!(walk(root.path()).unwrap(), ["a.rs", "b/c.md"]);
    }

    #[test]
    fn folders_are_contained_when_files_are() {
        let tree = Tree::of(&[("docs/design/wire.md", "")]);
        for (path, expected) in [("", true), ("docs", true), ("docs/design/wire.md", true), ("docs/des", false)] {
            assert_eq!(tree.contains(path), expected, "{path}");
        }
    }
}
