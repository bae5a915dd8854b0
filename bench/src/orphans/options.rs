//! What the command line of `orphans` asks for.

use std::path::{Path, PathBuf};

use crate::Result;

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) python: PathBuf,
    /// Parts of names; none is everything.
    only: Vec<String>,
    /// Seconds after the kill.
    pub(super) surveys: Vec<u64>,
    pub(super) markdown: Option<PathBuf>,
    /// Whether the time to the last death is measured too, how often, and of how many workers.
    pub(super) speed: bool,
    pub(super) rounds: usize,
    pub(super) sizes: Vec<usize>,
}

impl Options {
    pub(super) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut options = Options {
            python: "python3".into(),
            only: Vec::new(),
            surveys: vec![1, 30],
            markdown: None,
            speed: true,
            rounds: 5,
            sizes: vec![1, 16],
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--python" => options.python = value()?.into(),
                "--markdown" => options.markdown = Some(value()?.into()),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--quick" => (options.surveys, options.rounds) = (vec![1, 3], 1),
                "--no-speed" => options.speed = false,
                "--200" => options.sizes.push(200),
                _ => return Err(format!("no such option: `{argument}`; {USAGE}").into()),
            }
        }
        Ok(options)
    }

    /// For a matrix that is looked at after so many seconds, and nothing else.
    pub(super) fn surveying(python: &Path, surveys: &[u64]) -> Options {
        let (only, markdown, sizes) = Default::default();
        Options { python: python.into(), only, surveys: surveys.to_vec(), markdown, speed: false, rounds: 1, sizes }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

const USAGE: &str = "there are --markdown FILE, --only NAME[,NAME], --quick (3 s instead of 30 s, one round), --200 (a size more) and --no-speed";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_asked_for_is_the_full_matrix() {
        let options = parse("").unwrap();
        assert_eq!((options.surveys.as_slice(), options.rounds, options.speed), ([1, 30].as_slice(), 5, true));
        assert!(options.wants("loky, idle"));
        let options = parse("--only loky,node --quick --200 --markdown m.md").unwrap();
        assert!(options.wants("loky, idle") && !options.wants("honcho"));
        assert_eq!(
            (options.sizes.as_slice(), options.surveys.as_slice()),
            ([1, 16, 200].as_slice(), [1, 3].as_slice())
        );
        assert!(parse("--markdown").is_err() && parse("w1").is_err());
    }
}
