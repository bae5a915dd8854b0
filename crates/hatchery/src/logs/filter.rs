//! Which lines are shown.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};

use super::scope;
use crate::error::{Error, ErrorKind, Result, near_match};

/// Which lines are shown, by what they are about.
///
/// As text: `LEVEL[,CATEGORY=LEVEL]`, with the levels `none` (or `off`), `error`, `warning`, `info`, `debug` and `trace`, and the
/// [`LogFilter::CATEGORIES`]. `worker` is all about workers, `output` the lines that they write; `hatchery` is everything else than
/// those lines. What is said of less goes before what is said of more. Default: `error`.
///
/// ```
/// use hatchery::logs::LogFilter;
///
/// let filter: LogFilter = "warning,pool=debug,output=none".parse()?;
/// assert!(filter.shows("pool", tracing::Level::DEBUG) && !filter.shows("worker", tracing::Level::INFO));
/// # Ok::<(), hatchery::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFilter {
    levels: [LevelFilter; LogFilter::CATEGORIES.len()],
}

/// What workers write; a part of `worker`.
const OUTPUT: &str = "output";

const WORKER: &str = "worker";

/// All but what workers write.
const HATCHERY: &str = "hatchery";

const LEVELS: [(&str, LevelFilter); 8] = [
    ("none", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warning", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
    // As good as those above.
    ("off", LevelFilter::OFF),
    ("warn", LevelFilter::WARN),
];

impl LogFilter {
    /// What lines are about. The target of a line is `hatchery::CATEGORY`; of `output` it is `hatchery::worker::output`.
    pub const CATEGORIES: [&str; 12] = [
        "pool", "worker", "output", "call", "session", "registry", "guardian", "fault", "service", "agent", "daemon",
        "audit",
    ];

    /// Nothing.
    pub const NONE: LogFilter = LogFilter { levels: [LevelFilter::OFF; LogFilter::CATEGORIES.len()] };

    /// Everything, from this level on.
    pub const fn from_level(least: Level) -> LogFilter {
        LogFilter { levels: [LevelFilter::from_level(least); LogFilter::CATEGORIES.len()] }
    }

    /// What the text says, and this where it says nothing.
    ///
    /// # Errors
    /// `validation` for a level or a category that does not exist, naming those that do.
    pub fn with(mut self, text: &str) -> Result<LogFilter> {
        let mut words = Vec::new();
        for part in text.split(',').map(str::trim) {
            words.push(match part.split_once('=') {
                None => (None, level(part)?),
                Some((category, part)) => (Some(known(category)?), level(part)?),
            });
        }
        // Those that say something of less come later, and go before.
        words.sort_by_key(|(category, _)| match *category {
            None => 0,
            Some(HATCHERY) => 1,
            Some(WORKER) => 2,
            Some(_) => 3,
        });
        for (covered, level) in words {
            for (category, own) in LogFilter::CATEGORIES.into_iter().zip(&mut self.levels) {
                if covered.is_none_or(|covered| covers(covered, category)) {
                    *own = level;
                }
            }
        }
        Ok(self)
    }

    /// Whether a line of this category and level is shown. There are no other categories than [`LogFilter::CATEGORIES`].
    pub fn shows(&self, category: &str, level: Level) -> bool {
        let own = LogFilter::CATEGORIES.iter().position(|known| *known == category);
        own.is_some_and(|own| level <= self.levels[own])
    }
}

impl Default for LogFilter {
    fn default() -> LogFilter {
        LogFilter::from_level(Level::ERROR)
    }
}

impl FromStr for LogFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<LogFilter> {
        LogFilter::default().with(text)
    }
}

/// The category of a target; `None`: it is not ours.
pub(super) fn category(target: &str) -> Option<&str> {
    let below = target.strip_prefix("hatchery::")?;
    Some(below.rsplit_once("::").map_or(below, |(_, last)| last))
}

fn covers(covered: &str, category: &str) -> bool {
    match covered {
        HATCHERY => category != OUTPUT,
        WORKER => category == WORKER || category == OUTPUT,
        covered => covered == category,
    }
}

fn known(category: &str) -> Result<&'static str> {
    let all = LogFilter::CATEGORIES.into_iter().chain([HATCHERY]);
    all.clone().find(|known| *known == category).ok_or_else(|| {
        let near = near_match(category, all.clone());
        let all = all.clone().collect::<Vec<_>>().join(", ");
        Error::new(ErrorKind::Validation, format!("no log category `{category}`{near}: there are {all}"))
    })
}

fn level(name: &str) -> Result<LevelFilter> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level).ok_or_else(|| {
        let all = "none, error, warning, info, debug and trace";
        Error::new(ErrorKind::Validation, format!("no log level `{name}`: there are {all}"))
    })
}

/// What other libraries say passes none of these. As a layer of its own it is the filter of the whole program: what it does not let
/// pass, nobody is asked about.
impl<S: Subscriber> Layer<S> for LogFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.lets_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.loudest())
    }
}

/// As the filter of one layer among others.
impl<S: Subscriber> Filter<S> for LogFilter {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        self.lets_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.loudest())
    }
}

impl LogFilter {
    fn lets_pass(&self, metadata: &Metadata<'_>) -> bool {
        // What holds in the scope that this thread is in, else this.
        scope::current().unwrap_or(*self).shows_what(metadata)
    }

    /// Of a place in the program, whichever thread comes there: a scope may want more than this or less.
    fn interest(&self, metadata: &Metadata<'_>) -> Interest {
        let may_pass = self.or(scope::ever_wanted()).shows_what(metadata);
        if may_pass { Interest::sometimes() } else { Interest::never() }
    }

    fn loudest(&self) -> LevelFilter {
        self.or(scope::ever_wanted()).levels.into_iter().max().unwrap_or(LevelFilter::OFF)
    }

    fn shows_what(&self, metadata: &Metadata<'_>) -> bool {
        let category = category(metadata.target()).filter(|_| metadata.is_event());
        category.is_some_and(|category| self.shows(category, *metadata.level()))
    }

    /// Whatever one of them shows.
    pub(super) fn or(mut self, other: LogFilter) -> LogFilter {
        self.levels.iter_mut().zip(other.levels).for_each(|(own, other)| *own = (*own).max(other));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filter: &str, category: &str) -> LevelFilter {
        let filter: LogFilter = filter.parse().unwrap();
        filter.levels[LogFilter::CATEGORIES.iter().position(|known| *known == category).unwrap()]
    }

    #[test]
    fn a_level_holds_for_all_and_a_category_for_itself() {
        assert_eq!(shown("warning,pool=debug", "pool"), LevelFilter::DEBUG);
        assert_eq!(shown("warning,pool=debug", "call"), LevelFilter::WARN);
        assert_eq!(shown("pool=debug", "call"), LevelFilter::ERROR, "the default");
        assert_eq!(shown("pool=debug,warning", "pool"), LevelFilter::DEBUG, "wherever the level stands");
        assert_eq!("none".parse::<LogFilter>().ok(), Some(LogFilter::NONE));
        assert_eq!("off".parse::<LogFilter>().ok(), Some(LogFilter::NONE));
        let over = LogFilter::from_level(Level::INFO).with("session=warn").unwrap();
        assert!(over.shows("pool", Level::INFO) && !over.shows("session", Level::INFO));
    }

    #[test]
    fn what_is_said_of_less_goes_before() {
        for text in ["worker=none,output=info", "output=info,worker=none"] {
            assert_eq!((shown(text, "worker"), shown(text, "output")), (LevelFilter::OFF, LevelFilter::INFO), "{text}");
        }
        assert_eq!(shown("info,worker=none", "output"), LevelFilter::OFF);
        assert_eq!(shown("info,hatchery=none", "output"), LevelFilter::INFO);
        assert_eq!(shown("info,hatchery=none", "worker"), LevelFilter::OFF);
        assert_eq!(shown("call=debug,hatchery=none", "call"), LevelFilter::DEBUG);
    }

    #[test]
    fn what_does_not_exist_is_named_beside_what_does() {
        let told = |text: &str| text.parse::<LogFilter>().unwrap_err().message().to_owned();
        assert_eq!(told("loud"), "no log level `loud`: there are none, error, warning, info, debug and trace");
        assert_eq!(told("INFO"), "no log level `INFO`: there are none, error, warning, info, debug and trace");
        let expected = "no log category `pols` (did you mean `pool`?): there are pool, worker, output, call, session, registry, \
             guardian, fault, service, agent, daemon, audit, hatchery";
        assert_eq!(told("info,pols=debug"), expected);
    }

    #[test]
    fn two_show_together_what_one_of_them_shows() {
        let of = |text: &str| text.parse::<LogFilter>().unwrap();
        assert_eq!(of("error,call=debug").or(of("warning,pool=none")), of("warning,pool=error,call=debug"));
    }

    #[test]
    fn a_target_has_a_category_if_it_is_ours() {
        assert_eq!(category("hatchery::worker::output"), Some("output"));
        assert_eq!(category("hatchery::pool"), Some("pool"));
        assert_eq!(category("hyper::proto"), None);
        assert!(!LogFilter::from_level(Level::TRACE).shows("kitchen", Level::ERROR));
    }
}
