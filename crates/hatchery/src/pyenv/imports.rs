//! What a Python app imports, without running it.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;

use super::PythonApp;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Confinement, Spec, Status, Stdio};

/// A module that an app imports by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Import {
    /// Its first part: `numpy` of `numpy.linalg`.
    pub module: String,
    /// Whether it comes with the interpreter.
    pub is_standard: bool,
}

/// The interpreter knows its own grammar and its own library; neither the app nor what it imports is run. The first word is the
/// app's file, or its module's name, for which the packages around it are run by Python.
const QUESTION: &str = r#"
import ast, importlib.util, json, os, sys, sysconfig
target = sys.argv[1]
if not os.path.isfile(target):
    spec = importlib.util.find_spec(target)
    if spec is None or not spec.origin or not os.path.isfile(spec.origin):
        sys.exit("no such module, or it has no source: " + target)
    target = spec.origin
with open(target, "rb") as file:
    tree = ast.parse(file.read(), target)
found = set()
for node in ast.walk(tree):
    if isinstance(node, ast.Import):
        found.update(alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        found.add(node.module.split(".")[0])
def is_standard(name):
    if name in sys.builtin_module_names or name in getattr(sys, "stdlib_module_names", ()):
        return True
    try:
        origin = importlib.util.find_spec(name).origin or ""
    except (AttributeError, ImportError, ValueError):
        return False
    return origin.startswith(sysconfig.get_path("stdlib") + os.sep) and "site-packages" not in origin
print("")
print(json.dumps([{"module": name, "is_standard": is_standard(name)} for name in sorted(found - {"hatchery"})]))
"#;

const PATIENCE: Duration = Duration::from_secs(10);

const MAX_OUTPUT: usize = 1 << 20;

impl PythonApp {
    /// The modules that the app's file imports anywhere in it, but `hatchery`; those that they import in turn are not looked at.
    /// Asks the interpreter; blocks for some 50 ms, at most 10 s.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if there is no interpreter, no such app, or if it is not Python.
    pub fn imports(&self) -> Result<Vec<Import>> {
        let (target, interpreter) = (self.target()?, self.interpreter()?);
        let own = self.env.iter().cloned();
        let env: std::collections::BTreeMap<OsString, OsString> = std::env::vars_os().chain(own).collect();
        let question = Spec {
            program: interpreter.path().to_path_buf(),
            args: vec!["-c".into(), QUESTION.into(), target.clone()],
            env: env.into_iter().collect(),
            cwd: None,
            stdio: Stdio::default(),
            fds: Vec::new(),
            confinement: Confinement::default(),
        };
        let wrong = |fact: &str| {
            let message = format!("look for the imports of {}: {fact}", target.to_string_lossy());
            Error::new(ErrorKind::Validation, message)
        };
        let output = process::run_to_end(question, PATIENCE, MAX_OUTPUT).map_err(|error| wrong(&error.to_string()))?;
        let answer = output.stdout.lines().next_back().filter(|_| output.status == Status::Exited(0));
        let told = || output.stderr.trim().lines().next_back().unwrap_or("the interpreter gave no answer").to_owned();
        answer.and_then(|answer| serde_json::from_str(answer).ok()).ok_or_else(|| wrong(&told()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Result<Vec<(String, bool)>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.py");
        std::fs::write(&file, text).unwrap();
        let imports = PythonApp::file(&file).imports()?;
        Ok(imports.into_iter().map(|import| (import.module, import.is_standard)).collect())
    }

    #[test]
    fn imports_are_found_wherever_they_stand_and_nothing_is_run() {
        let text = "import os.path as p, no_such_a\nfrom . import sibling\nfrom hatchery import tool\n\
                    def f():\n    from no_such_b.c import d\nraise SystemExit(3)\n";
        let expected = [("no_such_a", false), ("no_such_b", false), ("os", true)];
        assert_eq!(imports(text).unwrap(), expected.map(|(name, standard)| (name.to_owned(), standard)));
    }

    #[test]
    fn what_is_not_python_is_told() {
        let error = imports("def f(:\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().contains("app.py") && error.message().contains("SyntaxError"), "{error}");
        let error = PythonApp::module("no_such_module_at_all").imports().unwrap_err();
        assert!(error.message().ends_with("no such module, or it has no source: no_such_module_at_all"), "{error}");
    }
}
