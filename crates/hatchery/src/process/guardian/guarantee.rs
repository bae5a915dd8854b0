//! What holds on this machine, in words.

use std::fmt;
use std::io;

use super::message::Layers;
use super::program::Source;

/// What the mark is called among the layers.
pub(in crate::process) const MARK: &str = "mark";

/// How well the processes of a run are contained, layer by layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    layers: Vec<Layer>,
}

/// One means of containment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// A short name, like `cgroup leaf`.
    pub name: &'static str,
    /// Whether it holds here, and why not.
    pub state: LayerState,
}

/// Whether a layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// It does; with how, where there is more than one way, else empty.
    Holds(String),
    /// It does not, for this reason.
    Lost(String),
    /// Nobody asked for it.
    NotAsked,
}

impl Guarantee {
    pub(super) fn new(
        kept: Layers,
        ready: Layers,
        no_cgroup: Option<&io::Error>,
        source: &Source,
        pidns: bool,
    ) -> Guarantee {
        let cgroup = match no_cgroup {
            Some(error) => LayerState::Lost(error.to_string()),
            None if kept.cgroup == 0 && ready.cgroup == 0 => {
                LayerState::Holds(String::from(match kept.clone_into_cgroup {
                    0 => "born into it",
                    _ => "entered before the program runs",
                }))
            }
            None => holds(if kept.cgroup == 0 { ready.cgroup } else { kept.cgroup }),
        };
        let pid_namespace = if pidns { LayerState::Holds(String::new()) } else { LayerState::NotAsked };
        let layer = |name, state| Layer { name, state };
        Guarantee {
            layers: vec![
                layer("death signal", LayerState::Holds(String::new())),
                layer("keeper and guardian", LayerState::Holds(source.to_string())),
                layer("cgroup leaf", cgroup),
                layer(MARK, holds(kept.mark)),
                layer("pid namespace", pid_namespace),
            ],
        }
    }

    /// Every layer, from the weakest to the strongest.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The promise that these layers make, in one sentence.
    pub fn promise(&self) -> &'static str {
        let holds = |name| self.layers.iter().any(|layer| layer.name == name && layer.holds());
        if holds("pid namespace") {
            "no orphan, not even after kill -9 of the supervisor and both its guardians"
        } else {
            "no orphan after kill -9 of the supervisor, of any one guardian, or of the supervisor and a guardian together"
        }
    }

    /// Layers that were wanted and do not hold.
    pub fn lost(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| matches!(layer.state, LayerState::Lost(_)))
    }

    pub(crate) fn set(&mut self, name: &'static str, state: LayerState) {
        self.layers.retain(|layer| layer.name != name);
        self.layers.push(Layer { name, state });
    }
}

impl Layer {
    /// Whether it is in force.
    pub fn holds(&self) -> bool {
        matches!(self.state, LayerState::Holds(_))
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            LayerState::Holds(how) if how.is_empty() => f.write_str(self.name),
            LayerState::Holds(how) => write!(f, "{} ({how})", self.name),
            LayerState::Lost(why) => write!(f, "no {}: {why}", self.name),
            LayerState::NotAsked => write!(f, "no {}: not asked for", self.name),
        }
    }
}

fn holds(errno: i32) -> LayerState {
    match errno {
        0 => LayerState::Holds(String::new()),
        errno => LayerState::Lost(io::Error::from_raw_os_error(errno).to_string()),
    }
}
