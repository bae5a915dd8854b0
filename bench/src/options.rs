//! What the command line asks for.

use std::path::PathBuf;

use crate::Result;
use crate::workload::{Size, Workload};

/// One run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) workloads: Vec<Workload>,
    /// W6.
    pub(crate) outage: bool,
    pub(crate) scale: bool,
    pub(crate) rounds: usize,
    pub(crate) size: Size,
    pub(crate) json: bool,
    pub(crate) python: PathBuf,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Options> {
        let python = PathBuf::from("python3");
        let (workloads, outage, scale, json) = Default::default();
        let mut options = Options { workloads, outage, scale, rounds: 5, size: Size::FULL, json, python };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => (options.rounds, options.size) = (1, Size::QUICK),
                "--json" => options.json = true,
                "--python" => options.python = arguments.next().ok_or("--python needs a path")?.into(),
                "w6" => options.outage = true,
                "scale" => options.scale = true,
                name => options.workloads.push(Workload::named(name)?),
            }
        }
        if options.workloads.is_empty() && !options.outage && !options.scale {
            options.workloads = Workload::ALL.to_vec();
            (options.outage, options.scale) = (true, true);
        }
        Ok(options)
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
        assert_eq!((&options.workloads[..], options.rounds, options.json), (&Workload::ALL[..], 5, false));
        assert!(options.outage && options.scale);
        let options = parse("scale").unwrap();
        assert_eq!((options.workloads.len(), options.outage, options.scale), (0, false, true));
        let options = parse("w4 --quick --json --python p").unwrap();
        assert_eq!((options.workloads, options.rounds, options.json), (vec![Workload::W4], 1, true));
        assert!(parse("w3").is_err());
    }
}
