use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use hatchery::{Error, ErrorKind};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// The files of a new app. `{{name}}` in them stands for its name.
const FILES: [(&str, &str); 3] = [
    ("app.py", include_str!("../../templates/app.py")),
    ("hatchery.toml", include_str!("../../templates/hatchery.toml")),
    ("test_app.py", include_str!("../../templates/test_app.py")),
];

/// Write a new app that runs at once: app.py, hatchery.toml, and a test
#[derive(clap::Args, Debug)]
pub(crate) struct NewArgs {
    /// The name of the app, and of its folder
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
}

/// Writes the files, none of which may exist.
pub(crate) async fn new(args: NewArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let folder = Path::new(&args.name);
    refuse_to_overwrite(folder)?;
    std::fs::create_dir_all(folder).map_err(|why| failed(folder, &why))?;
    for (file, template) in FILES {
        let path = folder.join(file);
        write_new(&path, &template.replace("{{name}}", &args.name)).map_err(|why| failed(&path, &why))?;
    }
    let printer = &invocation.printer;
    if printer.json() {
        let files: Vec<&str> = FILES.iter().map(|(file, _)| *file).collect();
        printer.document(&json!({ "folder": args.name, "files": files })).await?;
    } else {
        printer.text(&next_steps(&args.name)).await?;
    }
    Ok(Exit::Success)
}

/// What is a folder's name everywhere, and fits into a configuration without quotes.
fn name(text: &str) -> Result<String, String> {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on_well = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if begins_well && goes_on_well && text.len() <= 64 {
        Ok(text.to_owned())
    } else {
        Err("a name begins with a letter and consists of at most 64 letters, digits, `-` and `_`".into())
    }
}

/// All are looked at before the first is written, so that a refusal leaves nothing behind.
fn refuse_to_overwrite(folder: &Path) -> Result<(), Error> {
    let paths = FILES.iter().map(|(file, _)| folder.join(file));
    match paths.filter(|path| path.symlink_metadata().is_ok()).collect::<Vec<_>>().first() {
        Some(path) => Err(failed(path, &"it exists already, and nothing is overwritten; choose another name")),
        None => Ok(()),
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Validation, format!("write {}: {why}", path.display()))
}

fn next_steps(name: &str) -> String {
    format!(
        "{name} is ready. Next:\n\n  \
         cd {name}\n  \
         hatchery tools --app app.py\n  \
         hatchery call --app app.py word_count text=\"a b a\"\n  \
         hatchery stream --app app.py countdown n=3\n  \
         hatchery test"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for good in ["app", "my-app_2", "A"] {
            assert_eq!(name(good).unwrap(), good);
        }
        for bad in ["", "2app", "../app", "a b", "-x", "a/b", ".", "é", "a\"b", &"a".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_existing_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refuse_to_overwrite(folder.path()).is_ok());
        std::fs::write(folder.path().join("hatchery.toml"), "mine").unwrap();
        let error = refuse_to_overwrite(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().contains("hatchery.toml"), "{error}");
    }
}
