//! Runs a program to its end, for its output. For questions that take milliseconds to answer.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::guardian::{Guardian, Plan};
use super::{Escalation, SpawnError, Spawned, Spec, Status, drain, end};

/// What is left of a program that has ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: Status,
    /// What it wrote to descriptor 1, by lines.
    pub(crate) stdout: String,
    /// What it wrote to descriptor 2.
    pub(crate) stderr: String,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("it did not end within {0:?}, and was killed")]
    Late(Duration),
    #[error("watch it: {0}")]
    Watch(#[from] io::Error),
}

impl RunError {
    /// Whether nothing at all can be started here, whatever the program.
    pub(crate) fn is_unguarded(&self) -> bool {
        matches!(self, RunError::Spawn(SpawnError::Unguarded | SpawnError::NoGuardian(_)))
    }
}

/// Runs the program and waits for it, but no longer than `patience`; keeps up to `max_output` bytes of each output that is a pipe.
///
/// Blocks, in a thread with a runtime of its own: the caller's thread may be one in which nothing may block on a task.
pub(crate) fn run_to_end(spec: Spec, patience: Duration, max_output: usize) -> Result<Output, RunError> {
    std::thread::scope(|scope| {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(watched(spec, patience, max_output))
        };
        let panicked = |_| Err(io::Error::other("the thread that watched it panicked").into());
        scope.spawn(run).join().unwrap_or_else(panicked)
    })
}

async fn watched(spec: Spec, patience: Duration, max_output: usize) -> Result<Output, RunError> {
    let guardian = Guardian::start(Plan::unrecorded()).map_err(SpawnError::from)?;
    let Spawned { child, stdout, stderr, .. } = guardian.spawn(1, spec)?;
    let (out, err) = (RefCell::new(String::new()), RefCell::new(String::new()));
    let keep = |text: &RefCell<String>, line: &str| {
        let mut text = text.borrow_mut();
        if text.len() + line.len() < max_output {
            text.push_str(line);
            text.push('\n');
        }
    };
    let read = async {
        let drained = async |pipe: Option<OwnedFd>, text| match pipe {
            Some(pipe) => drain(pipe, child.exited(), |line| keep(text, line)).await,
            None => Ok(()),
        };
        tokio::try_join!(drained(stdout, &out), drained(stderr, &err))
    };
    tokio::time::timeout(patience, read).await.map_err(|_| RunError::Late(patience))??;
    let death = end(child, &Escalation::AT_ONCE, || {}).await;
    Ok(Output { status: death.status, stdout: out.into_inner(), stderr: err.into_inner() })
}

#[cfg(test)]
mod tests {
    use super::super::{Confinement, Stdio};
    use super::*;

    fn shell(script: &str) -> Spec {
        Spec {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![],
            cwd: None,
            stdio: Stdio::default(),
            fds: vec![],
            confinement: Confinement::default(),
        }
    }

    #[test]
    fn outputs_and_status_are_kept() {
        let output = run_to_end(shell("echo out; echo err >&2; exit 3"), Duration::from_secs(60), 1000).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.status, Status::Exited(3));
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let output =
            run_to_end(shell("while echo 0123456789; do :; done | head -c 100000"), Duration::from_secs(60), 100);
        let length = output.unwrap().stdout.len();
        assert!((80..=100).contains(&length), "{length}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let error = run_to_end(shell("sleep 3600"), Duration::from_millis(50), 100).unwrap_err();
        assert!(matches!(error, RunError::Late(_)), "{error}");
    }

    #[tokio::test]
    async fn it_may_be_called_where_nothing_may_block_on_a_task() {
        assert_eq!(run_to_end(shell("exit 0"), Duration::from_secs(60), 1).unwrap().status, Status::Exited(0));
    }
}
