//! What the command line asks for.

use std::path::PathBuf;

use crate::Result;
use crate::workload::{Size, Workload};

/// One run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) rounds: usize,
    pub(crate) size: Size,
    pub(crate) python: PathBuf,
    /// Where the report goes besides the terminal.
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    /// The folder of the flame graphs, if any are asked for.
    pub(crate) flame: Option<PathBuf>,
}

/// What is measured by itself, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Calls(Workload),
    /// W5.
    Startup,
    /// W6.
    Outage,
    /// W7.
    Survivors,
    Scale,
    Daemon,
}

impl Part {
    pub(crate) const ALL: [Part; 9] = [
        Part::Calls(Workload::W1),
        Part::Calls(Workload::W2),
        Part::Calls(Workload::W3),
        Part::Calls(Workload::W4),
        Part::Startup,
        Part::Outage,
        Part::Survivors,
        Part::Scale,
        Part::Daemon,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Calls(workload) => workload.name(),
            Part::Startup => "w5",
            Part::Outage => "w6",
            Part::Survivors => "w7",
            Part::Scale => "scale",
            Part::Daemon => "daemon",
        }
    }

    fn named(name: &str) -> Result<Part> {
        let found = Part::ALL.into_iter().find(|part| part.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("no such option or workload: `{name}`; {USAGE}").into())
    }
}

const USAGE: &str =
    "there are w1 to w7, scale, daemon, --quick, --rounds N, --markdown FILE, --json FILE and --flame FOLDER";

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let (parts, markdown, json, flame) = Default::default();
        let python = PathBuf::from("python3");
        let mut options = Options { parts, rounds: 5, size: Size::FULL, python, markdown, json, flame };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => (options.rounds, options.size) = (1, Size::QUICK),
                "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
                "--python" => options.python = value()?.into(),
                "--markdown" => options.markdown = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--flame" => options.flame = Some(value()?.into()),
                name => options.parts.push(Part::named(name)?),
            }
        }
        if options.parts.is_empty() {
            options.parts = Part::ALL.to_vec();
        }
        options.rounds = options.rounds.max(1);
        Ok(options)
    }

    /// Whether a single round of the smaller sizes is enough.
    pub(crate) fn is_quick(&self) -> bool {
        self.rounds == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_named_is_measured_in_full() {
        let options = parse("").unwrap();
        assert_eq!((&options.parts[..], options.rounds, options.json), (&Part::ALL[..], 5, None));
        let options = parse("W4 scale --quick --json j --markdown m --python p").unwrap();
        assert_eq!((&options.parts[..], options.rounds), (&[Part::Calls(Workload::W4), Part::Scale][..], 1));
        assert_eq!((options.json, options.markdown), (Some("j".into()), Some("m".into())));
        assert_eq!(parse("w7 --quick --rounds 3").unwrap().rounds, 3);
    }

    #[test]
    fn what_is_not_known_is_said() {
        assert!(parse("w8").unwrap_err().to_string().starts_with("no such option or workload: `w8`"));
        assert!(parse("--json").is_err() && parse("--rounds many").is_err());
    }
}
