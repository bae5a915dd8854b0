//! Which Python libraries may be used by several threads at once: what a pool with `profile = "thread"` does.
//!
//! The matrix is data that the Python runtime reads too, for its check at run time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::pool::Concurrency;

/// What is known of a library.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Library {
    /// As the package index has it, in lower case.
    pub name: String,
    /// Whether threads may use it.
    pub safety: ThreadSafety,
    /// Why.
    pub note: String,
    /// What to do, or nothing.
    #[serde(default)]
    pub advice: String,
    /// What is imported of it.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Other names that it goes by.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// Whether several threads may use a library at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadSafety {
    /// They may.
    #[serde(rename(deserialize = "true"))]
    Safe,
    /// They may, if they keep to what the note says.
    Conditional,
    /// They may not.
    #[serde(rename(deserialize = "false"))]
    Unsafe,
}

/// Whether a library fits a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It does.
    Ok,
    /// It does under a condition.
    Conditional(&'static Library),
    /// Nothing is known of it.
    Unknown,
    /// It does not.
    Unsafe(&'static Library),
}

/// Libraries by what is known of them, by the names that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Threads may use them.
    pub safe: Vec<String>,
    /// Threads may not.
    #[serde(rename = "unsafe")]
    pub unsafe_: Vec<String>,
    /// Threads may under a condition.
    pub conditional: Vec<String>,
    /// Nothing is known of them.
    pub unknown: Vec<String>,
}

static MATRIX: LazyLock<Vec<Library>> = LazyLock::new(|| read(include_str!("../python/hatchery/compat.json")));

/// By name, by alias and by module.
static INDEX: LazyLock<BTreeMap<&'static str, &'static Library>> = LazyLock::new(|| {
    let names = |library: &'static Library| {
        let others = library.modules.iter().chain(&library.aliases);
        std::iter::once(&library.name).chain(others).map(move |name| (name.as_str(), library))
    };
    // The name of one goes before the alias of another.
    MATRIX.iter().rev().flat_map(names).chain(MATRIX.iter().map(|library| (library.name.as_str(), library))).collect()
});

/// A matrix that cannot be read is found by the tests, and empty here.
fn read(text: &str) -> Vec<Library> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Whether a library fits a pool of this concurrency. With one call at a time, everything does.
///
/// ```
/// use hatchery::{Concurrency, compat};
///
/// let threads = Concurrency::Thread { threads_per_worker: 10 };
/// assert_eq!(compat::check("numpy", threads), compat::Fitness::Ok);
/// assert!(matches!(compat::check(" Scikit_Learn ", threads), compat::Fitness::Conditional(_)));
/// assert!(matches!(compat::check("pandas", threads), compat::Fitness::Unsafe(_)));
/// assert_eq!(compat::check("pandas", Concurrency::Process), compat::Fitness::Ok);
/// assert_eq!(compat::check("frobnicate", threads), compat::Fitness::Unknown);
/// ```
pub fn check(library: &str, concurrency: Concurrency) -> Fitness {
    match (concurrency, info(library)) {
        (Concurrency::Process, _) => Fitness::Ok,
        (Concurrency::Thread { .. }, None) => Fitness::Unknown,
        (Concurrency::Thread { .. }, Some(known)) => match known.safety {
            ThreadSafety::Safe => Fitness::Ok,
            ThreadSafety::Conditional => Fitness::Conditional(known),
            ThreadSafety::Unsafe => Fitness::Unsafe(known),
        },
    }
}

/// What is known of a library, if something is. Blanks around the name and capitals do not count, and `_` is `-`.
pub fn info(library: &str) -> Option<&'static Library> {
    let name = normalized(library);
    // Modules have underscores of their own.
    INDEX.get(name.as_str()).or_else(|| INDEX.get(name.replace('-', "_").as_str())).copied()
}

/// Every library of one kind, by name.
pub fn list(safety: ThreadSafety) -> Vec<&'static Library> {
    let mut libraries: Vec<_> = MATRIX.iter().filter(|library| library.safety == safety).collect();
    libraries.sort_by_key(|library| &library.name);
    libraries
}

/// Sorts libraries by what is known of them, each once and in the order given.
pub fn report<'a>(libraries: impl IntoIterator<Item = &'a str>) -> Report {
    let mut report = Report::default();
    for library in libraries {
        let found = info(library);
        let name = found.map_or_else(|| Cow::Owned(normalized(library)), |known| Cow::Borrowed(known.name.as_str()));
        let names = match found.map(|known| known.safety) {
            Some(ThreadSafety::Safe) => &mut report.safe,
            Some(ThreadSafety::Conditional) => &mut report.conditional,
            Some(ThreadSafety::Unsafe) => &mut report.unsafe_,
            None => &mut report.unknown,
        };
        if !names.iter().any(|known| *known == name) {
            names.push(name.into_owned());
        }
    }
    report
}

fn normalized(library: &str) -> String {
    library.trim().to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: Concurrency = Concurrency::Thread { threads_per_worker: 4 };

    #[test]
    fn the_matrix_is_whole() {
        let text = include_str!("../python/hatchery/compat.json");
        let libraries: Vec<Library> = serde_json::from_str(text).unwrap();
        assert_eq!(libraries, *MATRIX);
        let mut names: Vec<_> = libraries.iter().map(|library| &library.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), libraries.len());
        for library in &libraries {
            assert_eq!(library.name, normalized(&library.name));
            assert!(!library.note.is_empty(), "{library:?}");
            assert_eq!(info(&library.name), Some(library));
            let told_apart = library.safety == ThreadSafety::Safe || !library.advice.is_empty();
            assert!(told_apart, "{library:?} says no what to do");
        }
    }

    #[test]
    fn the_ancestor_s_verdicts_stand() {
        let names = |safety| list(safety).into_iter().map(|library| library.name.as_str()).collect::<Vec<_>>();
        for (safety, expected) in [
            (ThreadSafety::Safe, "grpcio httpx numexpr numpy onnxruntime polars requests scipy tensorflow torch"),
            (
                ThreadSafety::Conditional,
                "aiohttp cupy faiss jax lightgbm opencv pillow scikit-learn sqlalchemy xgboost",
            ),
            (ThreadSafety::Unsafe, "celery fasttext matplotlib pandas ray spacy sqlite3"),
        ] {
            let found = names(safety);
            let missing: Vec<_> = expected.split(' ').filter(|name| !found.contains(name)).collect();
            assert!(missing.is_empty(), "{safety:?}: {missing:?}");
        }
    }

    #[test]
    fn a_name_is_met_however_it_is_written() {
        for (written, name) in
            [(" NumPy\t", "numpy"), ("scikit_learn", "scikit-learn"), ("sklearn", "scikit-learn"), ("cv2", "opencv")]
        {
            assert_eq!(info(written).map(|library| library.name.as_str()), Some(name), "{written}");
        }
        assert_eq!(info(""), None);
    }

    #[test]
    fn one_call_at_a_time_fits_everything() {
        for library in MATRIX.iter() {
            assert_eq!(check(&library.name, Concurrency::Process), Fitness::Ok);
        }
        assert!(matches!(check("Celery", THREADS), Fitness::Unsafe(library) if library.name == "celery"));
        assert!(matches!(check("pillow", THREADS), Fitness::Conditional(_)));
        assert_eq!(check("no-such-library", THREADS), Fitness::Unknown);
    }

    #[test]
    fn a_report_sorts_what_it_is_asked() {
        let report = report(["pandas", "numpy", "My_Own", "Pandas", "jax"]);
        assert_eq!(report.unsafe_, ["pandas"]);
        assert_eq!(report.safe, ["numpy"]);
        assert_eq!(report.conditional, ["jax"]);
        assert_eq!(report.unknown, ["my-own"]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["unsafe"], serde_json::json!(["pandas"]));
    }
}
