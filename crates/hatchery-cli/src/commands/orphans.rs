use hatchery::{Error, ErrorKind, ProcessClass, SweepDetail, SweepOptions, SweepReport};

use crate::colour::Paint;
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// List live processes that dead runs have left, with the evidence, and end them if asked to. Works with or without a daemon
#[derive(clap::Args, Debug)]
pub(crate) struct OrphansArgs {
    /// End exactly those that are listed as orphans
    #[arg(long)]
    kill: bool,
    /// Only list, even with --kill
    #[arg(long)]
    dry_run: bool,
    /// Only runs whose id begins so
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// An orphan that is left is the exit status, and so is what could not be looked at.
pub(crate) async fn orphans(args: OrphansArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, instance) = configuration::records(&invocation.global)?;
    let kill = args.kill && !args.dry_run;
    let options = SweepOptions { instance, kill, run: args.run, ..SweepOptions::new(data_dir) };
    let report = invocation.unless_interrupted(swept(options)).await?;
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&report).await?;
    } else {
        if !invocation.global.quiet {
            for note in &report.notes {
                printer.message(&format!("{} {note}", printer.message_paint().yellow("note:"))).await;
            }
        }
        printer.text(&text(&report, printer.result_paint())).await?;
    }
    Ok(if report.left() + report.errors > 0 { Exit::Unhealthy } else { Exit::Success })
}

/// A process that does not die, or another sweep that does not end, is waited for in a thread of its own. An interrupted command
/// leaves it where it is: every step of a sweep can be the last one.
async fn swept(options: SweepOptions) -> Result<SweepReport, Error> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let failed = |why: String| Error::new(ErrorKind::Internal, format!("look for orphans: {why}"));
    let sweep = move || drop(tell.send(hatchery::orphans(&options)));
    std::thread::Builder::new().name("sweep".to_owned()).spawn(sweep).map_err(|why| failed(why.to_string()))?;
    told.await.map_err(|_| failed("it panicked".to_owned()))?
}

/// What needs an eye, each with its evidence; the rest is counted.
fn text(report: &SweepReport, paint: Paint) -> String {
    let is_told = |detail: &&SweepDetail| matches!(detail.class, ProcessClass::Orphan | ProcessClass::Unknown);
    let rows = report.details.iter().filter(is_told).map(|detail| row(detail, paint));
    rows.chain([summary(report)]).collect::<Vec<_>>().join("\n")
}

fn row(detail: &SweepDetail, paint: Paint) -> String {
    let run = detail.run.map_or_else(|| "-".to_owned(), |run| run.short());
    let class = match detail.class {
        ProcessClass::Orphan if detail.ended => paint.green("ended  "),
        ProcessClass::Orphan => paint.red("orphan "),
        _ => paint.yellow("unknown"),
    };
    let (pid, worker) = (detail.pid, detail.worker.as_deref().unwrap_or("-"));
    let evidence = paint.dim(&detail.evidence);
    format!("{class}  {pid:>7}  {run:7}  {worker:12}  {}\n         {evidence}", detail.command)
}

fn summary(report: &SweepReport) -> String {
    let orphans = match (report.found, report.terminated) {
        (0, _) => "no orphans".to_owned(),
        (1, 0) => "1 orphan; end it with --kill".to_owned(),
        (1, ended) => format!("1 orphan, {ended} ended"),
        (found, 0) => format!("{found} orphans; end them with --kill"),
        (found, ended) => format!("{found} orphans, {ended} ended"),
    };
    let errors = (report.errors > 0).then(|| "but not everything could be looked at or ended".to_owned());
    std::iter::once(orphans).chain(errors).chain(left_alone(report)).collect::<Vec<_>>().join("; ")
}

/// Whose the others are: a name or a token that is wrong makes everything foreign.
fn left_alone(report: &SweepReport) -> Option<String> {
    let of = |class| report.details.iter().filter(|detail| detail.class == class).count();
    let kinds = [
        (of(ProcessClass::Active), "of runs that live"),
        (of(ProcessClass::Foreign), "of other instances, users or data directories"),
        (of(ProcessClass::Unknown), "of which it cannot be told"),
    ];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, whose)| format!("{count} {whose}"));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    (!kinds.is_empty()).then(|| format!("left alone: {kinds}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As scripts read it; what a library gives is not made by hand.
    fn said(found: usize, ended: usize, errors: usize) -> String {
        let mut report = SweepReport::default();
        (report.found, report.terminated, report.errors) = (found, ended, errors);
        summary(&report)
    }

    #[test]
    fn what_is_left_to_do_is_said() {
        assert_eq!(said(0, 0, 0), "no orphans");
        assert_eq!(said(1, 0, 0), "1 orphan; end it with --kill");
        assert_eq!(said(3, 2, 1), "3 orphans, 2 ended; but not everything could be looked at or ended");
    }
}
