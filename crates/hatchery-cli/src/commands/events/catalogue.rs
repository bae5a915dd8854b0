//! The events that there are. The command knows those of its own version; no daemon is asked.

use hatchery::{EventKind, Standing};

use crate::colour::Paint;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;

/// All of them, or those of these names.
pub(super) async fn catalogue(names: &[String], markdown: bool, invocation: &Invocation) -> Result<Exit, Failure> {
    let printer = &invocation.printer;
    if markdown {
        printer.bytes(hatchery::event_reference().into_bytes()).await?;
        return Ok(Exit::Success);
    }
    // The filter knows which names there are not, and what was meant.
    names.iter().try_fold(hatchery::EventFilter::new(), |filter, name| filter.name(name))?;
    let kinds: Vec<&EventKind> = hatchery::catalogue().iter().filter(|kind| is_wanted(kind.name, names)).collect();
    if printer.json() {
        printer.document(&kinds).await?;
    } else {
        printer.text(&sheet(&kinds, printer.result_paint())).await?;
    }
    Ok(Exit::Success)
}

/// As filters read names: what is said later counts.
fn is_wanted(name: &str, patterns: &[String]) -> bool {
    let begins_with_all = patterns.first().is_none_or(|first| first.starts_with('!'));
    patterns.iter().fold(begins_with_all, |wanted, pattern| match pattern.strip_prefix('!') {
        Some(pattern) => wanted && !fits(name, pattern),
        None => wanted || fits(name, pattern),
    })
}

fn fits(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |beginning| name.starts_with(beginning))
}

fn sheet(kinds: &[&EventKind], paint: Paint) -> String {
    kinds.iter().map(|kind| entry(kind, paint)).collect::<Vec<_>>().join("\n")
}

fn entry(kind: &EventKind, paint: Paint) -> String {
    let standing = match kind.standing {
        Standing::Reserved => paint.dim(" (to come)"),
        Standing::Explained => paint.dim(" (not here)"),
        _ => String::new(),
    };
    let fields: Vec<String> = kind.fields.iter().map(|field| format!("{}: {}", field.name, field.is)).collect();
    let fields = (!fields.is_empty()).then(|| format!("\n    {}", paint.dim(&fields.join(", "))));
    format!("{}{standing}\n    {}{}", paint.bold(kind.name), kind.doc.trim(), fields.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_filters_read_them() {
        let wanted = |name: &str, patterns: &[&str]| {
            is_wanted(name, &patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
        };
        assert!(wanted("pool.scaled", &[]));
        assert!(wanted("worker.ready", &["worker.*"]) && !wanted("pool.scaled", &["worker.*"]));
        assert!(wanted("pool.scaled", &["!worker.*"]) && !wanted("worker.ready", &["!worker.*"]));
        assert!(!wanted("worker.log", &["worker.*", "!worker.log"]));
    }
}
