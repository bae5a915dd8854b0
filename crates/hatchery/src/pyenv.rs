//! Python apps: which interpreter runs them ([`Interpreter`]), and the runtime that ships inside this library and is
//! unpacked on first use ([`runtime_dir`]).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::app::program::{Environment, Host};
use crate::app::{App, Launch, LaunchContext};
use crate::error::{Error, ErrorKind, Result};

mod embedded;
mod imports;
mod interpreter;
mod probe;
mod runtime;
mod threads;

pub use embedded::Embedded;
pub use imports::Import;
pub use interpreter::{FoundBy, Interpreter};
pub use probe::{Probe, PythonVersion};
pub use runtime::runtime_dir;

/// What to do about an interpreter that is missing or will not do.
pub(crate) const ADVICE: &str =
    "install Python 3.9 or newer, or name one with --python, `python` in hatchery.toml or HATCHERY_PYTHON";

/// A Python file or importable module with tools in it.
///
/// The interpreter is chosen at every start, the first of: [`PythonApp::python`], the variable `HATCHERY_PYTHON`, a
/// `.venv` beside the app or one folder above it, `VIRTUAL_ENV`, `python3` and `python` along `PATH`.
///
/// ```
/// use hatchery::{App, PythonApp};
///
/// let app = PythonApp::file("models/embed.py").attr("Embedder").python("python3.12").env("OMP_NUM_THREADS", "1");
/// assert_eq!(app.describe(), "models/embed.py:Embedder");
/// assert_eq!(PythonApp::parse("models.embed:Embedder")?.describe(), "models.embed:Embedder");
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonApp {
    source: Source,
    attr: Option<String>,
    python: Option<OsString>,
    env: Vec<(OsString, OsString)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Module(String),
}

impl PythonApp {
    /// The tools of a Python file. A relative path is taken from the host's folder, at every start.
    pub fn file(path: impl Into<PathBuf>) -> PythonApp {
        PythonApp::new(Source::File(path.into()))
    }

    /// The tools of a module, like `package.module`, that the interpreter can import from the host's folder or from its packages.
    pub fn module(name: impl Into<String>) -> PythonApp {
        PythonApp::new(Source::Module(name.into()))
    }

    fn new(source: Source) -> PythonApp {
        PythonApp { source, attr: None, python: None, env: Vec::new() }
    }

    /// Reads `PATH[:ATTR]` or `MODULE[:ATTR]`, as the command line and `hatchery.toml` write it. It is a path if it
    /// ends in `.py`, has a slash, or is the name of a file that exists.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if it is neither.
    pub fn parse(text: &str) -> Result<PythonApp> {
        PythonApp::parse_in(Path::new(""), text)
    }

    /// [`PythonApp::parse`] with relative paths taken from `folder`.
    pub(crate) fn parse_in(folder: &Path, text: &str) -> Result<PythonApp> {
        if folder.join(text).is_file() {
            return Ok(PythonApp::file(folder.join(text)));
        }
        let (name, attr) = match text.rsplit_once(':') {
            Some((name, attr)) => (name, Some(attr)),
            None => (text, None),
        };
        let source = source_of(folder, name).filter(|_| attr.is_none_or(is_dotted_name));
        let Some(source) = source else {
            let message = format!("app {text:?}: expected PATH[:ATTR] or MODULE[:ATTR], like app.py or package.module");
            return Err(Error::new(ErrorKind::Validation, message));
        };
        Ok(PythonApp { attr: attr.map(str::to_owned), ..PythonApp::new(source) })
    }

    /// Serves only this function, class or object of the file or module. Default: all of its tools.
    #[must_use]
    pub fn attr(mut self, name: impl Into<String>) -> PythonApp {
        self.attr = Some(name.into());
        self
    }

    /// Uses this interpreter: a name to look for along `PATH`, or a path. If it is not there, starts fail; nothing else
    /// is tried.
    #[must_use]
    pub fn python(mut self, interpreter: impl Into<OsString>) -> PythonApp {
        self.python = Some(interpreter.into());
        self
    }

    /// Sets a variable for the workers, on top of the host's environment. Without a word here or there, those that limit the
    /// threads of numeric libraries (`OMP_NUM_THREADS` and its like) are as many as the worker runs calls at once: 1 in
    /// the process profile.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> PythonApp {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Takes over the interpreter, if none was set here, and the variables that were not set here.
    #[must_use]
    pub fn or(mut self, other: &PythonApp) -> PythonApp {
        self.python = self.python.or_else(|| other.python.clone());
        self.env = other.env.iter().cloned().chain(self.env).collect();
        self
    }

    /// The keys of a configuration in which the other one differs.
    pub(crate) fn changes(&self, other: &PythonApp) -> Vec<&'static str> {
        let is_same = [
            ("app", (&self.source, &self.attr) == (&other.source, &other.attr)),
            ("python", self.python == other.python),
            ("env", self.env == other.env),
        ];
        is_same.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
    }

    /// Whether both name the same file, or the same module; the attribute does not matter.
    pub fn is_same_source(&self, other: &PythonApp) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        match (&self.source, &other.source) {
            (Source::File(one), Source::File(two)) => one == two || real(one).is_some_and(|one| real(two) == Some(one)),
            (one, two) => one == two,
        }
    }

    /// The folder of the file; `None` for a module.
    pub fn file_folder(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => path.parent(),
            Source::Module(_) => None,
        }
    }

    /// Looks whether the app's file is there. A module is looked for by the worker.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] with the path and the folder it was looked for in.
    pub fn check_file(&self) -> Result<()> {
        self.target().map(drop)
    }

    /// Which interpreter a worker started now would get.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`] if there is none, or if one was named that cannot be started.
    pub fn interpreter(&self) -> Result<Interpreter> {
        self.interpreter_in(&Host)
    }

    fn interpreter_in(&self, environment: &impl Environment) -> Result<Interpreter> {
        let folder = self.folder(environment);
        interpreter::find(self.python.as_deref(), &folder, environment)
    }

    /// The folder beside which a `.venv` would be the app's.
    fn folder(&self, environment: &impl Environment) -> PathBuf {
        let here = environment.folder();
        match &self.source {
            Source::File(path) => here.join(path).parent().map(Path::to_path_buf).unwrap_or(here),
            Source::Module(_) => here,
        }
    }

    fn order(&self, interpreter: &Path, runtime: &Path, target: OsString) -> Launch {
        let attr = self.attr.iter().flat_map(|attr| [OsString::from("--attr"), attr.into()]);
        Launch::new(interpreter).arg(runtime.join("boot.py")).arg(target).args(attr)
    }

    /// Asks the interpreter what it is, with the variables that a worker would have.
    pub(crate) fn probe(&self, interpreter: &Interpreter) -> Result<Probe> {
        interpreter.probe_with(&self.env)
    }

    /// What the boot script is told to load.
    pub(crate) fn target(&self) -> Result<OsString> {
        let path = match &self.source {
            Source::Module(name) => return Ok(name.into()),
            Source::File(path) => path,
        };
        let here = Host.folder();
        let absolute = here.join(path);
        if absolute.is_file() {
            return Ok(absolute.into_os_string());
        }
        let fact = if absolute.exists() { "not a file" } else { "no such file" };
        let place = if path.is_absolute() { String::new() } else { format!(" (in {})", here.display()) };
        Err(Error::new(ErrorKind::Validation, format!("{fact}: {}{place}", path.display())))
    }
}

impl App for PythonApp {
    fn launch(&self, worker: &LaunchContext<'_>) -> Result<Launch> {
        let target = self.target()?;
        let interpreter = self.interpreter()?;
        let launch = self.order(interpreter.path(), &runtime_dir()?, target);
        let env = threads::under(&self.env, worker.thread_limits, worker.threads, |name| Host.variable(name).is_some());
        Ok(Launch { env, is_forkable: true, ..launch })
    }

    fn describe(&self) -> String {
        let name = match &self.source {
            Source::File(path) => path.to_string_lossy(),
            Source::Module(name) => name.into(),
        };
        match &self.attr {
            Some(attr) => format!("{name}:{attr}"),
            None => name.into_owned(),
        }
    }

    /// The interpreter is looked into only now: asking every one for its version would cost 20 ms a start.
    fn has_timeouts(&self) -> bool {
        false
    }

    fn explain_failed_start(&self, launch: &Launch) -> Option<Error> {
        let interpreter = self.interpreter().ok().filter(|found| found.path() == launch.program)?;
        match interpreter.probe_with(&launch.env) {
            Ok(probe) => probe.version.refusal(&interpreter),
            Err(error) => Some(error),
        }
    }
}

fn source_of(folder: &Path, name: &str) -> Option<Source> {
    let path = folder.join(name);
    if !name.is_empty() && (name.ends_with(".py") || name.contains('/') || path.is_file()) {
        return Some(Source::File(path));
    }
    is_dotted_name(name).then(|| Source::Module(name.to_owned()))
}

/// Python names joined by dots. Python's rule for letters is a little wider than this; the interpreter has the last word.
fn is_dotted_name(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RunId, WorkerId};

    fn launch(app: &PythonApp) -> Result<Launch> {
        let worker = WorkerId::new("default", 1);
        app.launch(&LaunchContext::new(&worker, RunId::random(), "default"))
    }

    #[test]
    fn text_becomes_a_path_a_module_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plain", "with:colon"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let base = folder.path().display().to_string();
        for (text, expected) in [
            ("app.py", "BASE/app.py"),
            ("app.py:Embedder", "BASE/app.py:Embedder"),
            ("./app", "BASE/./app"),
            ("/x/app:f", "/x/app:f"),
            ("plain", "BASE/plain"),
            ("plain:f", "BASE/plain:f"),
            ("with:colon", "BASE/with:colon"),
            ("package.module", "package.module"),
            ("package.module:Outer.Inner", "package.module:Outer.Inner"),
            ("größe", "größe"),
        ] {
            let app = PythonApp::parse_in(folder.path(), text).unwrap();
            assert_eq!(app.describe(), expected.replace("BASE", &base), "{text}");
        }
        for text in ["", ":", ":f", "two words", "package..module", "app.py:", "app.py:1x", "1module", "a-b"] {
            let error = PythonApp::parse_in(folder.path(), text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(error.message().starts_with(&format!("app {text:?}: expected PATH[:ATTR]")), "{error}");
        }
    }

    #[test]
    fn a_missing_app_is_refused_with_the_folder_it_was_looked_for_in() {
        let error = launch(&PythonApp::file("no-such-app.py")).unwrap_err();
        let here = std::env::current_dir().unwrap();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(error.message(), format!("no such file: no-such-app.py (in {})", here.display()));
        let error = launch(&PythonApp::file("src")).unwrap_err();
        assert!(error.message().starts_with("not a file: src (in /"), "{error}");
        let error = launch(&PythonApp::file("/no/app.py")).unwrap_err();
        assert_eq!(error.message(), "no such file: /no/app.py");
    }

    #[test]
    fn a_launch_is_the_interpreter_the_boot_script_and_the_app() {
        let app = PythonApp::file("Cargo.toml").attr("Embedder");
        let target = app.target().unwrap();
        assert_eq!(target, std::env::current_dir().unwrap().join("Cargo.toml"));
        let launch = app.order(Path::new("/bin/python3"), Path::new("/runtime"), target.clone());
        let expected = Launch::new("/bin/python3").arg("/runtime/boot.py").arg(target).args(["--attr", "Embedder"]);
        assert_eq!(launch, expected);
    }

    #[test]
    fn a_worker_of_several_calls_gets_as_many_library_threads_and_keeps_what_was_said() {
        let app = PythonApp::file("Cargo.toml").python(fixture("too_old")).env("OMP_NUM_THREADS", "7");
        let worker = WorkerId::new("default", 1);
        let context = LaunchContext { threads: 4, ..LaunchContext::new(&worker, RunId::random(), "default") };
        let env = app.launch(&context).unwrap().env;
        let values = |name: &str| env.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(values("OMP_NUM_THREADS"), ["7"]);
        if std::env::var_os("NUMBA_NUM_THREADS").is_none() {
            assert_eq!(values("NUMBA_NUM_THREADS"), ["4"]);
        }
    }

    /// An interpreter of the fixtures. They are files of the repository because a script that a test has just written
    /// cannot be started while another thread's child still holds it open.
    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pythons").join(name)
    }

    #[test]
    fn an_old_python_explains_a_failed_start() {
        let old = fixture("too_old");
        let error = PythonApp::module("m").python(&old).explain_failed_start(&Launch::new(&old)).unwrap();
        assert_eq!(error.kind(), ErrorKind::Validation);
        let fact = "(from the `python` setting) is Python 3.7.9, hatchery needs 3.9 or newer";
        assert!(error.message().starts_with(&format!("{} {fact}", old.display())), "{error}");
    }

    #[test]
    fn a_good_python_has_nothing_to_explain() {
        let app = PythonApp::module("m");
        let launch = Launch::new(app.interpreter().unwrap().path());
        assert!(app.explain_failed_start(&launch).is_none());
    }

    #[test]
    fn a_python_that_cannot_run_explains_a_failed_start() {
        let broken = fixture("cannot_start");
        let error = PythonApp::module("m").python(&broken).explain_failed_start(&Launch::new(&broken)).unwrap();
        assert!(error.message().contains("libpython3.12.so.1.0: cannot open"), "{error}");
    }
}
