use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// The folder that holds the importable package, unpacked if it was not yet.
pub(crate) async fn python_path(invocation: &Invocation) -> Result<Exit, Failure> {
    let folder = hatchery::runtime_dir()?;
    if invocation.printer.json() {
        invocation.printer.document(&folder).await?;
    } else {
        invocation.printer.text(&folder.display().to_string()).await?;
    }
    Ok(Exit::Success)
}
