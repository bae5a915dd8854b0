use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hatchery::{Error, ErrorKind};
use hatchery_snakepit::config::{Conversion, Note, convert};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::standard_input;

/// Stands for stdin.
const STDIN: &str = "-";

/// Far more than any configuration, and little enough to be read at once.
const LIMIT: u64 = 4 << 20;

/// Turn configurations of others into hatchery.toml
#[derive(clap::Args, Debug)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Read the pools of Snakepit from Elixir's config.exs, or from a map or keyword list by itself, and write them as TOML. What could
    /// not be converted is said on stderr and in comments
    SnakepitConfig(SnakepitConfigArgs),
}

#[derive(clap::Args, Debug)]
struct SnakepitConfigArgs {
    /// What is read; `-` is stdin
    #[arg(value_name = "FILE", default_value = STDIN)]
    file: PathBuf,
    /// Where it is written [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite that file if there is one
    #[arg(long, requires = "output")]
    force: bool,
}

/// Starts nothing, and runs nothing of what it reads.
pub(crate) async fn import(args: ImportArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let ImportCommand::SnakepitConfig(args) = args.command;
    let name = if is_stdin(&args.file) { "stdin".to_owned() } else { args.file.display().to_string() };
    let text = text_of(&args.file, &name).await?;
    let conversion = convert(&text, &name).map_err(|malformed| {
        let at = malformed.at();
        refused(format!("read {name}:{}:{}: {}", at.line, at.column, malformed.message()))
    })?;
    if let Some(path) = &args.output {
        write(path, &conversion.toml, args.force)?;
    }
    tell(&conversion, &name, &args, invocation).await?;
    Ok(Exit::Success)
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new(STDIN)
}

async fn text_of(file: &Path, name: &str) -> Result<String, Error> {
    let bytes = if is_stdin(file) { standard_input::read_to_end().await? } else { bytes_of(file, name)? };
    String::from_utf8(bytes).map_err(|why| {
        let line = why.as_bytes()[..why.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        refused(format!("read {name}:{line}: not UTF-8"))
    })
}

fn bytes_of(file: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
    read.map_err(|why| refused(format!("read {name}: {why}")))?;
    if bytes.len() as u64 > LIMIT {
        return Err(refused(format!("read {name}: more than {LIMIT} bytes")));
    }
    Ok(bytes)
}

/// Nothing that is there is overwritten without the word for it.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Error> {
    let failed = |why: &std::io::Error| {
        let advice = if why.kind() == IoErrorKind::AlreadyExists {
            "; overwrite it with --force, or choose another name"
        } else {
            ""
        };
        refused(format!("write {}: {why}{advice}", path.display()))
    };
    let written = if force {
        std::fs::write(path, text)
    } else {
        File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()))
    };
    written.map_err(|why| failed(&why))
}

/// The configuration on stdout, unless it is in a file, and the notes beside it.
async fn tell(
    conversion: &Conversion,
    name: &str,
    args: &SnakepitConfigArgs,
    invocation: &Invocation,
) -> Result<(), Failure> {
    let printer = &invocation.printer;
    if printer.json() {
        let notes: Vec<_> = conversion.notes.iter().map(of_note).collect();
        let (pools, file) = (conversion.pools, args.output.as_ref().map(|path| path.display().to_string()));
        printer.document(&json!({ "pools": pools, "file": file, "notes": notes, "toml": conversion.toml })).await?;
        return Ok(());
    }
    if args.output.is_none() {
        printer.bytes(conversion.toml.clone().into_bytes()).await?;
    }
    if !invocation.global.quiet {
        for note in &conversion.notes {
            printer.message(&format!("{name}:{}:{}: {note}", note.at.line, note.at.column)).await;
        }
    }
    Ok(())
}

fn of_note(note: &Note) -> serde_json::Value {
    json!({ "key": note.key, "line": note.at.line, "column": note.at.column, "why": note.why, "instead": note.instead })
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}
