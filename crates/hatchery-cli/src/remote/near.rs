//! A worker that is not there, and those that are.

use hatchery::{ErrorKind, Result};
use serde::Deserialize;

use super::Daemon;
use crate::exit::Failure;

/// How many workers are named in a hint.
const FEW: usize = 8;

/// How alike two ids are if one is a slip of the other.
const ALIKE: f64 = 0.7;

#[derive(Deserialize)]
struct Worker {
    id: String,
}

impl Daemon {
    /// The answer about a worker, or an order to it. If there is no such worker, the failure names those that there are.
    pub(crate) async fn of_worker(
        &self,
        worker: &str,
        asked: impl Future<Output = Result<String>>,
    ) -> std::result::Result<String, Failure> {
        match asked.await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let hint = self.workers().await.map(|known| hint(worker, &known));
                Err(Failure::from(error).hinted(|_| hint))
            }
            answer => Ok(answer?),
        }
    }

    /// The ids of all workers; `None` if they cannot be had, which is no news beside what failed before.
    async fn workers(&self) -> Option<Vec<String>> {
        let workers: Vec<Worker> = serde_json::from_str(&self.get(&["workers"]).await.ok()?).ok()?;
        Some(workers.into_iter().map(|worker| worker.id).collect())
    }
}

fn hint(meant: &str, known: &[String]) -> String {
    let closeness = |id: &&String| strsim::jaro(meant, id);
    let nearest = known.iter().max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
    match nearest.filter(|id| closeness(id) > ALIKE) {
        _ if known.is_empty() => "the daemon has no workers".to_owned(),
        _ if known.len() <= FEW => format!("the daemon has {}", known.join(", ")),
        Some(near) => format!("did you mean {near}? `hatchery workers` lists all {}", known.len()),
        None => format!("`hatchery workers` lists the {} that there are", known.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_of_many_the_nearest() {
        let workers = |count: usize| (1..=count).map(|number| format!("default-{number}")).collect::<Vec<_>>();
        assert_eq!(hint("defualt-1", &workers(2)), "the daemon has default-1, default-2");
        assert_eq!(hint("defualt-9", &workers(9)), "did you mean default-9? `hatchery workers` lists all 9");
        assert_eq!(hint("gpu", &workers(9)), "`hatchery workers` lists the 9 that there are");
        assert_eq!(hint("gpu", &[]), "the daemon has no workers");
    }
}
