use std::path::{Path, PathBuf};

use hatchery::{Error, ErrorKind};

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// Print the manual page, or write one per command into a folder
#[derive(clap::Args, Debug)]
pub(crate) struct ManArgs {
    /// Write hatchery.1, hatchery-call.1 and so on into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// From the definitions that the parser uses.
pub(crate) async fn man(args: ManArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    match &args.dir {
        Some(folder) => write_pages(folder).map_err(|why| failed(folder, &why))?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(cli::definition()).render(&mut page).map_err(|why| failed(Path::new("-"), &why))?;
            invocation.printer.bytes(page).await?;
        }
    }
    Ok(Exit::Success)
}

fn write_pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(cli::definition(), folder)
}

fn failed(place: &Path, why: &std::io::Error) -> Error {
    Error::new(ErrorKind::Validation, format!("write manual pages to {}: {why}", place.display()))
}
