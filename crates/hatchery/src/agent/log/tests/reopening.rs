//! A log whose writer has gone, and that somebody else goes on with.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

#[tokio::test]
async fn only_its_owner_may_look_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    drop(writer(&folder, limits()));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["output", "errors", "notes", "index"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    let error = LogWriter::create(&folder, id(), limits()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
}

async fn three(folder: &Path) {
    let mut writer = writer(folder, limits());
    let mut batch = Speaker::new(Stream::Stdout).say("one\ntwo\n");
    batch.lines[1].signals = vec![said("two")];
    writer.write(batch, 1).await;
    writer.note("three", vec![said("three")], 2).await;
}

#[tokio::test]
async fn numbers_go_on_behind_what_is_there_whole() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    three(&folder).await;
    let whole = folder.join("index").metadata().unwrap().len();
    for torn in 1..=record::SIZE as u64 {
        let index = OpenOptions::new().write(true).open(folder.join("index")).unwrap();
        index.set_len(whole - torn).unwrap();
        let mut writer = LogWriter::reopen(&folder, id(), limits()).unwrap();
        assert_eq!(writer.log().last(), 2, "torn by {torn}");
        assert_eq!(writer.note("again", vec![said("again")], 3).await.last, 3);
        let log = writer.log();
        drop(writer);
        let heard = hear_all(log.from(1)).await;
        assert_eq!(event(heard[1].clone()).signals, [said("two")]);
        assert_eq!(event(heard[2].clone()).signals, [said("again")]);
        assert_eq!(texts(heard), ["one", "two", "again"]);
    }
}

#[tokio::test]
async fn a_record_of_nothing_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    three(&folder).await;
    let index = OpenOptions::new().write(true).open(folder.join("index")).unwrap();
    let length = index.metadata().unwrap().len();
    index.write_all_at(&[0; 2 * record::SIZE], length).unwrap();
    index.write_all_at(b"!", length - 1).unwrap();
    assert_eq!(Log::open(&folder, id()).unwrap().last(), 2, "the third is broken, the others were never written");
}

#[tokio::test]
async fn what_the_agent_wrote_meanwhile_is_read_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let limits = OutputLimits { fidelity: Fidelity::File, ..small_ring() };
    let first = writer(&folder, limits);
    let output: std::fs::File = first.agents_end(Stream::Stdout).unwrap().into();
    std::io::Write::write_all(&mut &output, b"one\nhal").unwrap();
    following::read_all(first, Watcher::default()).await;
    std::io::Write::write_all(&mut &output, b"f\nthree\n").unwrap();
    let index = OpenOptions::new().write(true).open(folder.join("index")).unwrap();
    // The first one ended in the middle of a line, which it has not numbered: only the tail of one that is over is.
    index.set_len(4096 + record::SIZE as u64).unwrap();

    let second = LogWriter::reopen(&folder, id(), limits).unwrap();
    let log = second.log();
    following::read_all(second, Watcher::default()).await;
    assert_eq!(texts(hear_all(log.from(1)).await), ["one", "half", "three"]);
}

#[tokio::test]
async fn what_is_forgotten_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let limits = OutputLimits { spool: Some(20_000), ..small_ring() };
    let mut first = writer(&folder, limits);
    let mut out = Speaker::new(Stream::Stdout);
    for _ in 0..500 {
        first.write(out.say("x".repeat(99) + "\n"), 0).await;
    }
    let kept = oldest_of(&first.log());
    assert!(kept > 1);
    drop(first);
    let mut second = LogWriter::reopen(&folder, id(), limits).unwrap();
    assert_eq!((oldest_of(&second.log()), second.log().last()), (kept, 500));
    assert_eq!(second.write(out.say("and on\n"), 0).await.last, 501);
    let log = second.log();
    drop(second);
    assert_eq!(text(&event(hear_all(log.from(501)).await.remove(0)).line), "and on");
}
