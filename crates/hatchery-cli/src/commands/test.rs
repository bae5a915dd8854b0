use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use hatchery::{Error, ErrorKind};

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::private_pool::AppOptions;

/// The app that is tested if nobody says which.
const DEFAULT_APP: &str = "app.py";

/// Run by the interpreter of the app: pytest where it can be imported, else the standard library's own.
const RUN_TESTS: &str = "\
import importlib.util, runpy, sys
if importlib.util.find_spec('pytest'):
    sys.argv[0] = 'pytest'
    runpy.run_module('pytest', run_name='__main__', alter_sys=True)
else:
    sys.argv[:1] = ['python -m unittest', 'discover']
    runpy.run_module('unittest', run_name='__main__', alter_sys=True)
";

/// Run the app's own tests with `hatchery` importable: pytest if it is there, else unittest
#[derive(clap::Args, Debug)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    app: AppOptions,
    /// Arguments for pytest, or for `unittest discover`
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// Becomes the test runner, in the folder of the app; its exit status is ours.
pub(crate) async fn test(args: TestArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut options = args.app;
    options.app.get_or_insert_with(|| DEFAULT_APP.into());
    let app = options.resolve(&invocation.global)?.app;
    app.check_file()?;
    let python = app.interpreter()?.path().to_path_buf();
    // Found from here, run from there.
    let python = if python.components().count() > 1 { absolute(&python)? } else { python };
    let folder = app.file_folder().unwrap_or(Path::new(""));
    let search_path = search_path(&hatchery::runtime_dir()?, std::env::var_os("PYTHONPATH"));
    let why = become_tests(&python, folder, &search_path, &args.arguments);
    Err(Error::new(ErrorKind::Validation, format!("run tests with {}: {why}", python.display())).into())
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Error> {
    let failed = |why| Error::new(ErrorKind::Validation, format!("find {}: {why}", path.display()));
    std::path::absolute(path).map_err(failed)
}

/// Ours first, then what is there.
fn search_path(runtime: &Path, present: Option<OsString>) -> OsString {
    let mut path = runtime.as_os_str().to_owned();
    if let Some(present) = present.filter(|present| !present.is_empty()) {
        path.push(":");
        path.push(present);
    }
    path
}

/// Returns only if it fails.
#[expect(clippy::disallowed_methods, reason = "exec replaces this process: there is no child to own")]
fn become_tests(python: &Path, folder: &Path, search_path: &OsString, arguments: &[OsString]) -> std::io::Error {
    let mut command = Command::new(python);
    command.arg("-c").arg(RUN_TESTS).args(arguments).env("PYTHONPATH", search_path);
    if folder != Path::new("") {
        command.current_dir(folder);
    }
    command.exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_search_path_is_kept_behind_ours() {
        assert_eq!(search_path(Path::new("/r"), None), "/r");
        assert_eq!(search_path(Path::new("/r"), Some("".into())), "/r");
        assert_eq!(search_path(Path::new("/r"), Some("/a:/b".into())), "/r:/a:/b");
    }
}
