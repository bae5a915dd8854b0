//! What readers hear: everything, or exactly how much they do not.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::agent::Gap;

#[tokio::test]
async fn who_follows_hears_each_event_and_then_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), limits());
    let mut events = writer.log().from(1);
    let mut out = Speaker::new(Stream::Stdout);
    let mut batch = out.say("{\"a\":1}\r\nplain\nhal");
    batch.lines[0].signals = vec![Signal::TurnStarted, said("one")];
    assert_eq!(writer.write(batch, 7).await.last, 2);
    assert_eq!(writer.note("ours", vec![], 8).await.last, 3);
    assert_eq!(writer.write(out.say("f\n"), 9).await.last, 4);
    let log = writer.log();
    drop(writer);

    let first = event(events.next().await.unwrap());
    assert_eq!((first.run, first.seq, first.t_ms, first.stream), (id(), 1, 7, Stream::Stdout));
    assert_eq!(first.signals, [Signal::TurnStarted, said("one")]);
    assert_eq!(text(&first.line), "{\"a\":1}");
    assert_eq!(texts(hear_all(events).await), ["plain", "ours", "half"]);
    assert_eq!(log.from(5).next().await, None);
    assert_eq!(texts(hear_all(log.from(4)).await), ["half"]);
}

#[tokio::test]
async fn who_waits_is_woken_and_may_give_up_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path().join("run").as_path(), small_ring());
    let mut events = writer.log().from(0);
    tokio::select! {
        biased;
        _ = events.next() => panic!("nothing was said yet"),
        () = std::future::ready(()) => {}
    }
    let waiting = tokio::spawn(async move { (events.next().await, events) });
    writer.write(Speaker::new(Stream::Stderr).say("now\n"), 0).await;
    let (heard, events) = waiting.await.unwrap();
    assert_eq!(text(&event(heard.unwrap()).line), "now");
    drop(writer);
    assert_eq!(hear_all(events).await, []);
}

#[tokio::test]
async fn a_long_line_is_handed_out_by_reference() {
    let folder = tempfile::tempdir().unwrap();
    let limits = OutputLimits { max_line: 200_000, ..limits() };
    let mut writer = writer(&folder.path().join("run"), limits);
    let log = writer.log();
    let mut out = Speaker { stream: Stream::Stdout, splitter: Splitter::new(limits.max_line, 0), at: 0 };
    let (fits, long, longer) = ("a".repeat(65_536), "b".repeat(65_537), "c".repeat(300_000));
    let mut batch = out.say(format!("{fits}\n{long}\n{longer}\nend\n"));
    assert_eq!(batch.lines.iter().map(|line| line.text.is_some()).collect::<Vec<_>>(), [true, true, false, true]);
    batch.lines[1].signals = vec![said("long")];
    writer.write(batch, 0).await;
    drop(writer);

    let expected = [fits, "65537 bytes at 65537".to_owned(), "300000 bytes at 131075".to_owned(), "end".to_owned()];
    assert_eq!(texts(hear_all(log.from(1)).await), expected);
    let from_disk = Log::open(&folder.path().join("run"), id()).unwrap();
    let heard = hear_all(from_disk.from(1)).await;
    assert_eq!(event(heard[1].clone()).signals, [said("long")]);
    assert_eq!(texts(heard), expected);
    for log in [log, from_disk] {
        assert_eq!(log.bytes(Stream::Stdout, 65_537, 65_537).await.unwrap().unwrap(), long);
        assert_eq!(log.bytes(Stream::Stdout, 131_075 + 299_999, 2).await.unwrap().unwrap(), "c\n");
        assert_eq!(log.bytes(Stream::Stdout, 131_075, 1_000_000).await.unwrap(), None);
        assert_eq!(log.bytes(Stream::Stderr, 0, 1).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_in_memory_is_not_held_by_what_was_read_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), limits());
    let batch = Speaker::new(Stream::Stdout).say(format!("short\n{}\n", "x".repeat(1 << 20)));
    let bytes = batch.bytes.clone();
    writer.write(batch, 0).await;
    assert!(bytes.is_unique());
}

/// What is done in a case: something is said, or one of the readers goes on so far.
#[derive(Clone, Debug)]
enum Step {
    Say { stream: Stream, lengths: Vec<usize>, signals: usize },
    Hear { reader: usize, count: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stream = prop_oneof![3 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    let say = (stream, prop::collection::vec(prop_oneof![9 => 0..200_usize, 1 => 0..3000_usize], 1..20), 0..60_usize)
        .prop_map(|(stream, lengths, signals)| Step::Say { stream, lengths, signals });
    let hear = (0..2_usize, 0..40_usize).prop_map(|(reader, count)| Step::Hear { reader, count });
    prop::collection::vec(prop_oneof![2 => say, 1 => hear], 1..40)
}

/// What a reader has to hear.
#[derive(Default)]
struct Model {
    lines: RefCell<Vec<(Stream, String, Vec<Signal>)>>,
}

impl Model {
    /// The number after what was heard.
    fn check(&self, next: u64, heard: &Heard) -> u64 {
        let lines = self.lines.borrow();
        match heard {
            Heard::Event(event) => {
                let (stream, line, signals) = &lines[event.seq as usize - 1];
                assert_eq!((event.seq, event.stream, &event.signals), (next, *stream, signals));
                assert_eq!(&text(&event.line), line);
                next + 1
            }
            Heard::Gap(Gap { from, events, bytes }) => {
                assert_eq!(*from, next);
                assert!(*events > 0);
                let missing = &lines[next as usize - 1..][..*events as usize];
                let expected: usize = missing.iter().map(|(_, line, _)| line.len()).sum();
                assert_eq!(*bytes, Some(expected as u64));
                next + events
            }
        }
    }
}

async fn play(steps: Vec<Step>, limits: OutputLimits) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), limits);
    let model = Model::default();
    let mut speakers = [Speaker::new(Stream::Stdout), Speaker::new(Stream::Stderr)];
    let mut readers = [(writer.log().from(1), 1), (writer.log().from(1), 1)];
    let mut follower = (writer.log().from(1), 1);
    for step in steps {
        match step {
            Step::Say { stream, lengths, signals } => {
                let lines: Vec<String> = lengths.iter().map(|length| "y".repeat(*length)).collect();
                let mut batch = speakers[record::number(stream)].say(lines.join("\n") + "\n");
                let signals = if signals > 30 { vec![said(&"s".repeat(signals))] } else { vec![] };
                batch.lines[0].signals.clone_from(&signals);
                let one = |(n, line)| (stream, line, if n == 0 { signals.clone() } else { vec![] });
                model.lines.borrow_mut().extend(lines.into_iter().enumerate().map(one));
                let written = writer.write(batch, 0).await;
                assert!(written.trouble.is_none(), "{written:?}");
                assert_eq!(written.last, model.lines.borrow().len() as u64);
                assert!(oldest_of(&writer.log()) <= written.last);
            }
            Step::Hear { reader, count } => {
                let (events, next) = &mut readers[reader];
                for _ in 0..count {
                    if *next > writer.log().last() {
                        break;
                    }
                    *next = model.check(*next, &events.next().await.unwrap());
                }
            }
        }
        while follower.1 <= writer.log().last() {
            follower.1 = model.check(follower.1, &follower.0.next().await.unwrap());
        }
    }
    let log = writer.log();
    drop(writer);
    for (mut events, mut next) in readers {
        while let Some(heard) = events.next().await {
            next = model.check(next, &heard);
        }
        assert_eq!(next, log.last() + 1, "the end was heard");
    }
    // Without a memory, and long after.
    let from_disk = Log::open(&folder.path().join("run"), id()).unwrap();
    assert_eq!(from_disk.last(), log.last());
    let mut next = 1;
    for heard in hear_all(from_disk.from(1)).await {
        next = model.check(next, &heard);
    }
    assert_eq!(next, log.last() + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_heard_is_what_was_said_but_for_gaps_that_are_exact(
        steps in steps(),
        ring in prop_oneof![Just(1_usize), 500..5000_usize],
        // Three quarters of it are enough for the longest line: that one is never a reference.
        spool in prop_oneof![Just(None), (5000..20_000_u64).prop_map(Some)],
    ) {
        let limits = OutputLimits { ring, spool, ..limits() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(steps, limits));
    }
}
