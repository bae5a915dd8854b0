//! Lists the shim for `src/shim.rs`, so that no file can be forgotten, and names it by its content.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use sha2::{Digest, Sha256};

#[expect(clippy::print_stderr, reason = "cargo shows it to whoever builds")]
fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("list the shim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?).join("python/shim");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    println!("cargo::rerun-if-changed=python/shim");
    let mut files = Vec::new();
    sources_below(&root, &mut files)?;
    files.sort();
    fs::write(out.join("shim_files.rs"), table(&root, &files)?)
}

fn sources_below(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources_below(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
    Ok(())
}

/// The table of files and the digest over their names and contents, each preceded by its length.
fn table(root: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut rows = String::new();
    for path in files {
        let name = path.strip_prefix(root).map_err(io::Error::other)?.to_str().ok_or(io::ErrorKind::InvalidData)?;
        let content = fs::read(path)?;
        for part in [name.as_bytes(), &content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let _infallible = writeln!(rows, "    ({name:?}, include_bytes!({path:?})),");
    }
    let hexadecimal = digest.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Ok(format!("const DIGEST: &str = {hexadecimal:?};\n\nconst FILES: &[(&str, &[u8])] = &[\n{rows}];\n"))
}
