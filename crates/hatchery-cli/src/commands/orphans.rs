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

/// An orphan that is left is the exit status.
pub(crate) async fn orphans(args: OrphansArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let (data_dir, instance) = configuration::data(&invocation.global)?;
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
    Ok(if report.left() > 0 { Exit::Unhealthy } else { Exit::Success })
}

/// A process that does not die is waited for, elsewhere.
async fn swept(options: SweepOptions) -> Result<SweepReport, Error> {
    let sweep = tokio::task::spawn_blocking(move || hatchery::orphans(&options));
    sweep.await.map_err(|why| Error::new(ErrorKind::Internal, format!("look for orphans: {why}")))?
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
        (found, 0) => format!("{found} orphans; end them with --kill"),
        (found, ended) => format!("{found} orphans, {ended} ended"),
    };
    match report.preserved {
        0 => orphans,
        1 => format!("{orphans}; 1 other process left alone"),
        others => format!("{orphans}; {others} other processes left alone"),
    }
}
