//! Runs the cases one after another, and counts.

use std::process::ExitCode;

use crate::case::{Case, Tier};
use crate::{case, cgroup, namespace};

/// What the command line asks for.
struct Options {
    full: bool,
    /// Only without cgroups.
    plain: bool,
    list: bool,
    exact: bool,
    /// Parts of names; none is everything.
    names: Vec<String>,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let options = Options::parse(arguments);
    let cases: Vec<Case> =
        case::all(options.full, &tiers(&options)).into_iter().filter(|case| options.wants(case)).collect();
    if options.list {
        cases.iter().for_each(|case| println!("{}: test", case.name()));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} cases", cases.len());
    if let Err(reason) = namespace::probe() {
        println!("skipped: no PID namespace can be made here, and without one nothing is killed: {reason}");
        return close(0, &[], cases.len());
    }
    let failed: Vec<String> = cases.iter().filter(|case| !report(case)).map(Case::name).collect();
    close(cases.len() - failed.len(), &failed, 0)
}

/// Runs one case and says how it went.
fn report(case: &Case) -> bool {
    print!("test {} ... ", case.name());
    std::io::Write::flush(&mut std::io::stdout()).unwrap();
    match namespace::run(case) {
        Ok(said) => println!("ok{}{said}", if said.is_empty() { "" } else { ": " }),
        Err(reason) => {
            println!("FAILED\n    {}", reason.replace('\n', "\n    "));
            return false;
        }
    }
    true
}

/// The line that every runner of tests ends with.
fn close(passed: usize, failed: &[String], ignored: usize) -> ExitCode {
    for name in failed {
        println!("    {name}");
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {} failed; {ignored} ignored; 0 measured", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// With cgroups, where they can be had; the full form runs everything without them too. What only root can be made to be is
/// besides.
fn tiers(options: &Options) -> Vec<Tier> {
    let mut tiers = match (cgroup::own_folder().is_some() && !options.plain, options.full) {
        (true, true) => vec![Tier::Cgroup, Tier::Plain],
        (true, false) => vec![Tier::Cgroup],
        (false, _) => vec![Tier::Plain],
    };
    if !options.plain {
        tiers.push(Tier::Pidns);
        tiers.extend(namespace::lets_nobody_in().then_some(Tier::Nobody));
    }
    tiers
}

impl Options {
    /// Other options are those of the usual test runner, and mean nothing here.
    fn parse(arguments: &[String]) -> Options {
        let has = |option: &str| arguments.iter().any(|argument| argument == option);
        let names = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
        Options { full: has("--full"), plain: has("--plain"), list: has("--list"), exact: has("--exact"), names }
    }

    fn wants(&self, case: &Case) -> bool {
        let matches = |part: &String| if self.exact { case.name() == *part } else { case.name().contains(part) };
        self.names.is_empty() || self.names.iter().any(matches)
    }
}
