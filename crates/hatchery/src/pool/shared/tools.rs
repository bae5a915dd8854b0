//! Which tools a pool's workers have, and under which name and number a call of one is known.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result, near_match};
use crate::pool::counts::Meter;
use crate::pool::roster::ToolNumber;
use crate::tool::ToolSpec;
use crate::worker::Line;

#[derive(Default)]
pub(super) struct Tools {
    pub(super) specs: Arc<[ToolSpec]>,
    by_name: HashMap<Arc<str>, Known>,
    /// What holds for all tools that are not among these, if workers are given calls of such.
    undeclared: Option<Unnamed>,
}

impl Tools {
    /// Those that the worker has; `numbered` says how the roster and the counts call one.
    pub(super) fn of(line: &Line, numbered: impl Fn(&Arc<str>) -> (ToolNumber, Arc<Meter>)) -> Tools {
        let known = |spec: &ToolSpec| {
            let name: Arc<str> = spec.name.as_str().into();
            let (number, meter) = numbered(&name);
            (name, Known { is_streaming: spec.streaming, number, meter })
        };
        let unnamed = || {
            let (number, meter) = numbered(&Arc::from(UNDECLARED));
            Unnamed { number, meter }
        };
        let by_name = line.tools.iter().map(known).collect();
        Tools { specs: Arc::clone(&line.tools), by_name, undeclared: line.takes_any_tool.then(unnamed) }
    }

    /// How a call of the tool is known, if it may be called so.
    pub(super) fn look_up(&self, name: &str, is_stream: bool) -> Result<(Arc<str>, Known)> {
        let Some((declared, known)) = self.by_name.get_key_value(name) else {
            return self.look_up_undeclared(name, is_stream);
        };
        match (known.is_streaming, is_stream) {
            (true, false) => {
                Err(Error::new(ErrorKind::Validation, format!("{name} is a streaming tool: use `stream`")))
            }
            (false, true) => Err(Error::new(ErrorKind::Validation, format!("{name} returns once: use `call`"))),
            _ => Ok((Arc::clone(declared), known.clone())),
        }
    }

    fn look_up_undeclared(&self, name: &str, is_streaming: bool) -> Result<(Arc<str>, Known)> {
        let Some(Unnamed { number, meter }) = &self.undeclared else {
            let near = near_match(name, self.specs.iter().map(|spec| spec.name.as_str()));
            return Err(Error::new(ErrorKind::NotFound, format!("no such tool: {name}{near}")));
        };
        if name.is_empty() || name.len() > LONGEST_NAME {
            let message =
                format!("expected the name of a tool, of 1 to {LONGEST_NAME} bytes, found {} bytes", name.len());
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok((name.into(), Known { is_streaming, number: *number, meter: Arc::clone(meter) }))
    }
}

/// As [`ToolSpec`] says.
const LONGEST_NAME: usize = 256;

/// Under which name all undeclared tools are counted: what a caller may make up is no label.
const UNDECLARED: &str = "undeclared";

struct Unnamed {
    number: ToolNumber,
    meter: Arc<Meter>,
}

/// A tool that there is.
#[derive(Clone)]
pub(super) struct Known {
    is_streaming: bool,
    /// How the roster calls it.
    pub(super) number: ToolNumber,
    pub(super) meter: Arc<Meter>,
}
