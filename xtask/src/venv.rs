//! The virtual environment of the tests: made once, used until its requirements or its interpreter change.

use std::fs;
use std::path::{Path, PathBuf};

use crate::child::{command, output, succeed};

/// What tests and benchmarks want installed, relative to the root; a file that is not there asks for nothing.
const REQUIREMENTS: [&str; 2] = ["examples/digits/requirements.txt", "xtask/requirements.txt"];

/// What the environment holds, written when it is complete.
const STAMP: &str = "complete.txt";

/// The environment's folder, made if it is not there yet or no longer what is asked for.
pub(crate) fn ensure(root: &Path) -> Result<PathBuf, String> {
    let home = crate::target(root).join("venv");
    let wanted = wanted(root)?;
    if is_current(&home, &wanted) {
        return Ok(home);
    }
    println!("making the Python environment {}", home.display());
    make(&home)?;
    install(root, &home)?;
    fs::write(home.join(STAMP), wanted).map_err(|error| format!("write {}: {error}", home.join(STAMP).display()))?;
    Ok(home)
}

/// The environment's interpreter.
pub(crate) fn python(home: &Path) -> PathBuf {
    home.join("bin/python")
}

fn is_current(home: &Path, wanted: &str) -> bool {
    python(home).exists() && fs::read_to_string(home.join(STAMP)).is_ok_and(|found| found == wanted)
}

/// The interpreter and the requirements, as text: an environment that was made for the same text is the same.
fn wanted(root: &Path) -> Result<String, String> {
    let interpreter = output(command("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]))
        .map_err(|reason| format!("{reason}; install Python 3.9 or newer"))?;
    let requirements = present(root).into_iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>();
    let requirements = requirements.map_err(|error| format!("read the Python requirements: {error}"))?;
    Ok(format!("{interpreter}{}", requirements.concat()))
}

fn present(root: &Path) -> Vec<PathBuf> {
    REQUIREMENTS.iter().map(|file| root.join(file)).filter(|file| file.exists()).collect()
}

fn make(home: &Path) -> Result<(), String> {
    if home.exists() {
        fs::remove_dir_all(home).map_err(|error| format!("remove {}: {error}", home.display()))?;
    }
    succeed(command("python3").args(["-m", "venv"]).arg(home)).map_err(|reason| {
        format!("{reason}; install the venv module of python3 (on Debian and Ubuntu the package python3-venv)")
    })
}

fn install(root: &Path, home: &Path) -> Result<(), String> {
    let mut pip = command(python(home));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--prefer-binary"]);
    for file in present(root) {
        pip.arg("-r").arg(file);
    }
    succeed(&mut pip).map_err(|reason| {
        format!(
            "{reason}; the tests need the packages of {} once: make a package index reachable (PIP_INDEX_URL)",
            REQUIREMENTS.join(" and ")
        )
    })
}
