use hatchery::compat::{self, Fitness, Library, ThreadSafety};
use hatchery::{Concurrency, PythonApp};
use serde_json::json;

use crate::colour::Paint;
use crate::columns::{Column, Holds, table};
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// Say which Python libraries several threads may use at once, as `profile = "thread"` does. The exit status is 6 if one that was
/// asked for may not be used so
#[derive(clap::Args, Debug)]
pub(crate) struct CompatArgs {
    /// The libraries, by the name of their package or module [default: all that are known]
    #[arg(value_name = "LIB")]
    libraries: Vec<String>,
    /// The profile of the pool that would use them
    #[arg(long, value_enum, default_value_t = Profile::Thread)]
    profile: Profile,
    /// Only those of one kind
    #[arg(long, value_enum, value_name = "KIND")]
    list: Option<Kind>,
    /// The libraries that this app imports: a Python file or a module
    #[arg(long, value_name = "APP")]
    report: Vec<String>,
    /// The interpreter that knows the app's grammar
    #[arg(long, value_name = "PATH", requires = "report")]
    python: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Profile {
    /// One call at a time in a process
    Process,
    /// Several calls in threads of one process
    Thread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Threads may use it
    Safe,
    /// Threads may not
    Unsafe,
    /// Threads may, under a condition
    Conditional,
    /// Nothing is known of it
    Unknown,
}

/// One library, and what is to be said of it.
struct Finding {
    name: String,
    known: Option<&'static Library>,
    fitness: Fitness,
}

/// Looks things up; starts nothing but the interpreter that reads an app.
pub(crate) async fn compat(args: CompatArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let asked = asked(&args)?;
    let all =
        || [ThreadSafety::Safe, ThreadSafety::Conditional, ThreadSafety::Unsafe].into_iter().flat_map(compat::list);
    let names = asked.clone().unwrap_or_else(|| all().map(|library| library.name.clone()).collect());
    let findings: Vec<Finding> = names.into_iter().map(|name| finding(name, args.profile)).collect();
    let misfits = findings.iter().any(|finding| matches!(finding.fitness, Fitness::Unsafe(_)));
    let wanted: Vec<Finding> =
        findings.into_iter().filter(|finding| args.list.is_none_or(|kind| kind == finding.kind())).collect();
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&wanted.iter().map(Finding::json).collect::<Vec<_>>()).await?;
    } else if !wanted.is_empty() {
        printer.text(&sheet(&wanted, printer.result_paint())).await?;
    } else if !invocation.global.quiet {
        printer.message("no such library").await;
    }
    // A list is no verdict.
    Ok(if misfits && asked.is_some() { Exit::Unhealthy } else { Exit::Success })
}

/// What the words and the apps name, each once; nothing if there are neither. What comes with the interpreter is told only if
/// there is something to tell.
fn asked(args: &CompatArgs) -> Result<Option<Vec<String>>, Failure> {
    let mut names = args.libraries.clone();
    for app in &args.report {
        let app = PythonApp::parse(app)?;
        let app = args.python.iter().fold(app, |app, python| app.python(python));
        let imports = app.imports()?.into_iter();
        names.extend(
            imports.filter(|one| !one.is_standard || compat::info(&one.module).is_some()).map(|one| one.module),
        );
    }
    let is_asked = !args.libraries.is_empty() || !args.report.is_empty();
    Ok(is_asked.then_some(names))
}

fn finding(asked: String, profile: Profile) -> Finding {
    let concurrency = match profile {
        Profile::Process => Concurrency::Process,
        Profile::Thread => Concurrency::Thread { threads_per_worker: 2 },
    };
    let known = compat::info(&asked);
    let name = known.map_or_else(|| asked.trim().to_lowercase().replace('_', "-"), |library| library.name.clone());
    Finding { fitness: compat::check(&asked, concurrency), known, name }
}

impl Finding {
    fn kind(&self) -> Kind {
        match self.known.map(|library| library.safety) {
            Some(ThreadSafety::Safe) => Kind::Safe,
            Some(ThreadSafety::Conditional) => Kind::Conditional,
            Some(ThreadSafety::Unsafe) => Kind::Unsafe,
            None => Kind::Unknown,
        }
    }

    fn kind_word(&self) -> &'static str {
        match self.kind() {
            Kind::Safe => "safe",
            Kind::Unsafe => "unsafe",
            Kind::Conditional => "conditional",
            Kind::Unknown => "unknown",
        }
    }

    fn status(&self) -> &'static str {
        match self.fitness {
            Fitness::Ok => "ok",
            Fitness::Conditional(_) | Fitness::Unknown => "warning",
            Fitness::Unsafe(_) => "error",
        }
    }

    fn note(&self) -> String {
        match self.known {
            None => "Nothing is known of it; try it with thread_safety_checks = true.".to_owned(),
            Some(library) => [&library.note, &library.advice].map(|text| text.trim()).join(" ").trim().to_owned(),
        }
    }

    fn json(&self) -> serde_json::Value {
        let (note, advice) = self.known.map_or(("", ""), |library| (library.note.as_str(), library.advice.as_str()));
        json!({
            "name": self.name, "safety": self.kind_word(), "status": self.status(), "note": note, "advice": advice,
        })
    }
}

fn sheet(findings: &[Finding], paint: Paint) -> String {
    let columns = ["status", "library", "threads", "note"].map(|heading| Column(heading, Holds::Text));
    let row = |finding: &Finding| {
        [finding.status().to_owned(), finding.name.clone(), finding.kind_word().to_owned(), finding.note()]
    };
    table(columns, &findings.iter().map(row).collect::<Vec<_>>(), paint)
}
