//! Lines of real pipes and files.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;

fn in_file() -> OutputLimits {
    OutputLimits { fidelity: Fidelity::File, ..small_ring() }
}

/// As the owner of a run does it once its agent has exited: until the end of what it has left.
pub(super) async fn read_all(mut writer: LogWriter, watcher: Watcher) {
    let mut source = writer.follow(Stream::Stdout, &watcher).unwrap();
    source.exited().unwrap();
    while let Some(batch) = source.next().await.unwrap() {
        writer.write(batch, 0).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on another room")]
pub(super) fn shell(script: &str, stdout: impl Into<Stdio>) -> std::process::Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).stdout(stdout).spawn().unwrap()
}

#[tokio::test]
async fn a_writer_that_ends_in_the_middle_of_a_line_is_heard_whole() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder.path().join("run"), in_file());
    let log = writer.log();
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf half";
    let mut agent = shell(script, writer.agents_end(Stream::Stdout).unwrap());
    agent.wait().unwrap();
    read_all(writer, Watcher::default()).await;
    let heard = texts(hear_all(log.from(1)).await);
    let expected: Vec<String> = (0..3000).map(|line| format!("line {line}")).chain(["half…".to_owned()]).collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_growing_file_is_followed_as_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), in_file());
    let watcher = Watcher::default();
    let mut sources = [Stream::Stdout, Stream::Stderr].map(|stream| writer.follow(stream, &watcher).unwrap());
    assert!(sources.iter().all(|source| source.unwatched().is_none()));
    let mut events = writer.log().from(1);
    for (number, stream) in [Stream::Stdout, Stream::Stderr, Stream::Stdout].into_iter().enumerate() {
        let source = &mut sources[record::number(stream)];
        // It waits already when something is written, and once it was told to wait in vain.
        let nothing = tokio::time::timeout(std::time::Duration::ZERO, source.next()).await;
        assert!(nothing.is_err());
        let mut end: std::fs::File = writer.agents_end(stream).unwrap().into();
        let (batch, ()) = tokio::join!(source.next(), async {
            tokio::task::yield_now().await;
            writeln!(end, "number {number}").unwrap();
        });
        writer.write(batch.unwrap().unwrap(), 0).await;
        let heard = event(events.next().await.unwrap());
        assert_eq!((heard.stream, text(&heard.line)), (stream, format!("number {number}")));
    }
}

#[tokio::test]
async fn a_file_that_nobody_tells_about_is_followed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    let mut file = std::fs::File::create(&path).unwrap();
    let watch = watch::Watch::Looked(std::io::ErrorKind::Other.into());
    let mut source = Source::watched(Stream::Stdout, 1000, &path, (0, 0), watch).unwrap();
    assert!(source.unwatched().is_some());
    let (batch, ()) = tokio::join!(source.next(), async { file.write_all(b"late\n").unwrap() });
    assert_eq!(batch.unwrap().unwrap().lines[0].text.as_deref(), Some(&b"late"[..]));
}

#[tokio::test]
async fn an_agent_that_empties_its_own_file_is_followed_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), in_file());
    let watcher = Watcher::default();
    let mut source = writer.follow(Stream::Stdout, &watcher).unwrap();
    let output = writer.agents_end(Stream::Stdout).unwrap();
    shell("echo one; echo two; printf half", output.try_clone().unwrap()).wait().unwrap();
    let batch = source.next().await.unwrap().unwrap();
    writer.write(batch, 0).await;
    // A shell that is told to write to /dev/stdout opens it again, and empties it.
    shell("echo three >/dev/stdout; echo four", output).wait().unwrap();
    source.exited().unwrap();
    while let Some(batch) = source.next().await.unwrap() {
        writer.write(batch, 0).await;
    }
    let (log, run) = (writer.log(), folder.path().join("run"));
    drop(writer);
    for log in [log, Log::open(&run, id()).unwrap()] {
        let heard = hear_all(log.from(1)).await;
        assert_eq!(heard[0], Heard::Gap(crate::agent::Gap { from: 1, events: 2, bytes: Some(6) }));
        let rest = texts(heard[1..].to_vec());
        assert_eq!(rest, ["4 bytes at 8", "three", "four"], "what was begun when it was emptied is gone");
    }
    let mut again = LogWriter::reopen(&run, id(), in_file()).unwrap();
    let mut source = again.follow(Stream::Stdout, &watcher).unwrap();
    std::fs::OpenOptions::new().append(true).open(run.join("output")).unwrap().write_all(b"five\n").unwrap();
    let batch = source.next().await.unwrap().unwrap();
    assert_eq!(again.write(batch, 0).await.last, 6);
    assert_eq!(text(&event(again.log().from(6).next().await.unwrap()).line), "five");
}

#[tokio::test]
async fn a_pipe_that_somebody_else_holds_is_read_until_what_the_agent_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), limits());
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let held = write.try_clone().unwrap();
    let mut source = writer.drain(Stream::Stdout, read).unwrap();
    let mut agent = shell("echo last; printf half", write);
    agent.wait().unwrap();
    source.exited().unwrap();
    let log = writer.log();
    while let Some(batch) = source.next().await.unwrap() {
        writer.write(batch, 0).await;
    }
    drop(writer);
    assert_eq!(texts(hear_all(log.from(1)).await), ["last", "half…"]);
    drop(held);
}

#[tokio::test]
async fn a_pipe_that_somebody_else_fills_for_ever_is_left_after_one_pipeful() {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    let mut source = Source::pipe(Stream::Stdout, 1000, read).unwrap();
    let size = rustix::pipe::fcntl_getpipe_size(&write).unwrap();
    source.exited().unwrap();
    let mut taken = 0;
    let piece = vec![b'\n'; 4096];
    rustix::io::write(&write, &piece).unwrap();
    while let Some(batch) = source.next().await.unwrap() {
        taken += batch.bytes.len();
        assert!(taken <= size, "{taken} of {size} bytes");
        rustix::io::write(&write, &piece).unwrap();
    }
    assert_eq!(taken, size);
}

#[tokio::test]
async fn a_pipe_is_over_when_everybody_has_closed_it() {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut source = Source::pipe(Stream::Stderr, 1000, read).unwrap();
    rustix::io::write(&write, b"a\nb").unwrap();
    drop(write);
    let batch = source.next().await.unwrap().unwrap();
    assert_eq!(batch.lines[0].text.as_deref(), Some(&b"a"[..]));
    let tail = source.next().await.unwrap().unwrap();
    assert_eq!((tail.lines[0].at, tail.lines[0].length, tail.lines[0].end), (2, 1, 0));
    assert!(source.next().await.unwrap().is_none());
}
