//! What holds on this machine, in words.

use std::fmt;
use std::io;

use super::message::Layers;

/// What the mark is called among the layers.
pub(in crate::process) const MARK: &str = "mark";

/// And a group of version 2 for each worker.
pub(super) const LEAF: &str = "cgroup leaf";

/// How well the processes of a run are contained, layer by layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    layers: Vec<Layer>,
    notes: Vec<String>,
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
        source: &impl fmt::Display,
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
                layer(LEAF, cgroup),
                layer(MARK, holds(kept.mark)),
                layer("pid namespace", pid_namespace),
            ],
            notes: notes(kept, ready).collect(),
        }
    }

    /// Every layer, from the weakest to the strongest.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The promise that these layers make, in one sentence.
    pub fn promise(&self) -> &'static str {
        if self.holds("pid namespace") {
            "no orphan, not even after kill -9 of the supervisor and both its guardians"
        } else {
            "no orphan after kill -9 of the supervisor, of any one guardian, or of the supervisor and a guardian together"
        }
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        self.layers.iter().any(|layer| layer.name == name && layer.holds())
    }

    /// Layers that were wanted and do not hold.
    pub fn lost(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| matches!(layer.state, LayerState::Lost(_)))
    }

    /// What takes nothing from the promise, and is good to know all the same, in a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    #[cfg(test)]
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
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

/// A keeper that the kernel ends for want of memory is a lost guardian, which the promise covers; but all its workers end.
fn notes(kept: Layers, ready: Layers) -> impl Iterator<Item = String> {
    let slow = "a guardian looks for its children in all of /proc, which takes long where there are many processes";
    let exposed = "the out-of-memory killer may choose keeper and guardian, and all workers end with either";
    let first = |one: i32, other: i32| if one == 0 { other } else { one };
    let notes = [
        (slow, first(kept.children_file, ready.children_file)),
        (exposed, first(kept.oom_protection, ready.oom_protection)),
    ];
    let missing = notes.into_iter().filter(|(_, errno)| *errno != 0);
    missing.map(|(what, errno)| format!("{what}: {}", io::Error::from_raw_os_error(errno)))
}

fn holds(errno: i32) -> LayerState {
    match errno {
        0 => LayerState::Holds(String::new()),
        errno => LayerState::Lost(io::Error::from_raw_os_error(errno).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_layer_is_noted() {
        let of = |kept, ready| Guarantee::new(kept, ready, None, &"memory", false);
        assert_eq!(of(Layers::default(), Layers::default()).notes(), [""; 0]);
        let kept = Layers { oom_protection: libc::EACCES, ..Layers::default() };
        let guarantee = of(kept, Layers { children_file: libc::ENOENT, ..Layers::default() });
        let [slow, exposed] = guarantee.notes() else { panic!("{guarantee:?}") };
        assert!(slow.contains("/proc") && slow.contains("No such file"), "{slow}");
        assert!(exposed.contains("out-of-memory") && exposed.contains("Permission denied"), "{exposed}");
        assert_eq!(guarantee.lost().count(), 0);
    }
}
