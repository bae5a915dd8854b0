use std::path::{Path, PathBuf};

use hatchery::{Check, CheckStatus, DoctorOptions};
use serde_json::json;

use crate::colour::Paint;
use crate::configuration;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::private_pool::AppOptions;

/// Look at this machine, and say what is in the way and how to mend it
#[derive(clap::Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    app: AppOptions,
    /// Look at nothing: write the guardian's program to FILE, for HATCHERY_GUARDIAN on a machine that runs only what was installed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app", "python", "require_registry"])]
    write_guardian: Option<PathBuf>,
}

/// A line per check; an error among them is the exit status.
pub(crate) async fn doctor(args: DoctorArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    if let Some(file) = &args.write_guardian {
        return write_guardian(file, invocation).await;
    }
    let app = match args.app.app {
        Some(_) => Some(args.app.resolve(&invocation.global)?.app),
        None => None,
    };
    let config = configuration::load(invocation.global.config.as_deref())?;
    let (data_dir, _) = configuration::data_of(&invocation.global, &config);
    let options = DoctorOptions { python: args.app.python, app, data_dir: Some(data_dir) };
    let mut checks = hatchery::doctor(&options);
    checks.extend(hatchery_snakepit::doctor(&config));
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&checks.iter().map(json_form).collect::<Vec<_>>()).await?;
    } else {
        printer.text(&table(&checks, printer.result_paint())).await?;
    }
    let sick = checks.iter().any(|check| check.status == CheckStatus::Error);
    Ok(if sick { Exit::Unhealthy } else { Exit::Success })
}

/// Prints where it is, as a script would assign it to the variable.
async fn write_guardian(file: &Path, invocation: &Invocation) -> Result<Exit, Failure> {
    hatchery::write_guardian(file)?;
    let place = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (place, printer) = (place.to_string_lossy(), &invocation.printer);
    if printer.json() {
        printer.document(&json!({ "guardian": place })).await?;
    } else {
        printer.text(&place).await?;
        if !invocation.global.quiet {
            printer
                .message("written; set HATCHERY_GUARDIAN to it, and write it anew with each version of hatchery")
                .await;
        }
    }
    Ok(Exit::Success)
}

fn json_form(check: &Check) -> serde_json::Value {
    json!({
        "name": check.name,
        "status": word(check.status),
        "message": check.message,
        "hint": check.hint,
        "critical": check.critical,
    })
}

fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warning => "warning",
        CheckStatus::Error => "error",
    }
}

fn table(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    checks.iter().map(|check| row(check, width, paint)).collect::<Vec<_>>().join("\n")
}

fn row(check: &Check, width: usize, paint: Paint) -> String {
    let status = format!("{:7}", word(check.status));
    let status = match check.status {
        CheckStatus::Ok => paint.green(&status),
        CheckStatus::Warning => paint.yellow(&status),
        CheckStatus::Error => paint.red(&status),
    };
    let hint = check.hint.as_ref().map(|hint| format!("\n{}  {}", " ".repeat(7 + 2 + width), paint.cyan(hint)));
    format!("{status}  {:width$}  {}{}", check.name, check.message, hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_under_its_message() {
        let check = |name: &'static str, status, hint: Option<&str>| Check {
            name,
            status,
            message: "m".into(),
            hint: hint.map(Into::into),
            critical: false,
        };
        let checks = [check("python", CheckStatus::Ok, None), check("data dir", CheckStatus::Error, Some("mend it"))];
        let expected = "ok       python    m\nerror    data dir  m\n                   mend it";
        assert_eq!(table(&checks, Paint::PLAIN), expected);
    }
}
