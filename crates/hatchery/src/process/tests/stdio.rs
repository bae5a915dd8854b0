//! What a process has for its descriptors 0 and 1.

use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;

use super::*;

fn with(stdin: Stdin, stdout: Stdout, program: &str, args: &[&str]) -> Spec {
    Spec { stdio: Stdio { stdin, stdout, stderr: Stdout::Pipe }, ..spec(program, args.iter().map(Into::into)) }
}

async fn written_to(mut file: fs::File, child: Child) -> String {
    bounded(child.exited()).await;
    end(child, &AT_ONCE, || ()).await;
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn what_is_written_arrives_and_the_end_of_input_is_the_end_of_the_only_writer() {
    let Spawned { child, stdin, stdout, .. } = spawn(with(Stdin::Pipe, Stdout::Pipe, "cat", &[])).unwrap();
    let mut lines = Lines::of(stdout.unwrap());
    let mut stdin = Sender::from_owned_fd(stdin.unwrap()).unwrap();
    stdin.write_all(b"one\n").await.unwrap();
    assert_eq!(lines.next().await.unwrap(), "one");
    assert!(!child.has_exited());
    drop(stdin);
    assert!(lines.rest().await.is_empty());
    bounded(child.exited()).await;
    assert_eq!(end(child, &AT_ONCE, || ()).await.status, Status::Exited(0));
}

#[tokio::test]
async fn a_file_is_written_with_no_pipe_of_ours() {
    let output = tempfile::tempfile().unwrap();
    let stdout = Stdout::File(output.try_clone().unwrap().into());
    let Spawned { child, stdin, stdout, .. } = spawn(with(Stdin::Null, stdout, "echo", &["said"])).unwrap();
    assert!(stdin.is_none() && stdout.is_none());
    assert_eq!(written_to(output, child).await, "said\n");
}

#[tokio::test]
async fn both_outputs_may_be_one_file() {
    let output = tempfile::tempfile().unwrap();
    let [stdout, stderr] = [(); 2].map(|()| Stdout::File(output.try_clone().unwrap().into()));
    let stdio = Stdio { stdin: Stdin::Null, stdout, stderr };
    let spec = Spec { stdio, ..spec("sh", ["-c".into(), "echo one; echo two >&2".into()]) };
    let Spawned { child, stdin, stdout, stderr, .. } = spawn(spec).unwrap();
    assert!(stdin.is_none() && stdout.is_none() && stderr.is_none());
    assert_eq!(written_to(output, child).await, "one\ntwo\n");
}

#[tokio::test]
async fn the_child_has_these_descriptors_and_no_others() {
    let output = tempfile::tempfile().unwrap();
    let listing = fixture("list_descriptors.sh");
    let stdio =
        Stdio { stdin: Stdin::Pipe, stdout: Stdout::File(output.try_clone().unwrap().into()), stderr: Stdout::Pipe };
    let Spawned { child, stdin, .. } = spawn(Spec { stdio, ..listing }).unwrap();
    assert_eq!(written_to(output, child).await, "0\n1\n2\n");
    drop(stdin);
}

#[tokio::test]
async fn the_writing_end_of_its_input_is_ours_non_blocking_and_in_no_other_process() {
    let Spawned { child, stdin, .. } = spawn(with(Stdin::Pipe, Stdout::Pipe, "sleep", &["60"])).unwrap();
    let stdin = stdin.unwrap();
    assert!(fcntl_getfl(&stdin).unwrap().contains(OFlags::NONBLOCK));
    assert!(fcntl_getfd(&stdin).unwrap().contains(FdFlags::CLOEXEC));
    // Another test may be between its fork and its exec.
    let only_ours = async {
        while holders(&stdin, OFlags::WRONLY) != [std::process::id()] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded(only_ours).await;
    let leader = child.identity().pid().get().unsigned_abs();
    assert_eq!(holders(&stdin, OFlags::RDONLY), [leader], "and the reading end is its");
    end(child, &AT_ONCE, || ()).await;
}

/// The processes that have this pipe open in this way.
fn holders(pipe: impl AsFd, wanted: OFlags) -> Vec<u32> {
    let pipe = fs::read_link(format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd())).unwrap();
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers.filter(|pid| has_open(*pid, &pipe, wanted)).collect()
}

fn has_open(pid: u32, pipe: &Path, wanted: OFlags) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut same = descriptors.filter(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == *pipe));
    same.any(|entry| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_str().unwrap()));
        let flags = info.ok().and_then(|info| u32::from_str_radix(info.split_whitespace().nth(3)?, 8).ok());
        flags.is_some_and(|flags| OFlags::from_bits_retain(flags) & OFlags::RWMODE == wanted)
    })
}
