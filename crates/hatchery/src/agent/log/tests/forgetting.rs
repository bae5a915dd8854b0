//! What is forgotten, and that it is given back.

use std::io;

use rustix::io::Errno;

use super::super::writer::Trouble;
use super::*;
use crate::agent::Gap;

const CAP: u64 = 256 * 1024;

fn capped() -> OutputLimits {
    OutputLimits { spool: Some(CAP), ..small_ring() }
}

/// Says numbered lines, so many at once.
async fn say(writer: &mut LogWriter, out: &mut Speaker, numbers: std::ops::Range<u32>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for number in numbers {
        let lines: String = (0..100).map(|line| format!("{:0>200}\n", number * 100 + line)).collect();
        troubles.extend(writer.write(out.say(lines), 0).await.trouble);
    }
    troubles
}

#[tokio::test]
async fn the_spool_stays_below_its_cap_and_keeps_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let mut writer = writer(&folder, capped());
    let mut behind = writer.log().from(1);
    assert_eq!(text(&event(first_of(&mut writer, &mut behind).await).line), "the first");
    let mut out = Speaker { at: 10, ..Speaker::new(Stream::Stdout) };
    out.splitter = Splitter::new(limits().max_line, 10);
    for number in 0..200 {
        assert!(say(&mut writer, &mut out, number..number + 1).await.is_empty());
        // A batch and some pages beside it.
        assert!(on_disk(&folder) <= CAP + 64 * 1024, "{} bytes", on_disk(&folder));
    }
    let log = writer.log();
    drop(writer);
    let heard = hear_all(behind).await;
    let Heard::Gap(gap) = heard[0] else { panic!("{:?}", heard[0]) };
    assert_eq!((gap.from, gap.bytes), (2, Some(gap.events * 200)));
    assert_eq!(heard.len() as u64, 1 + 20_001 - (1 + gap.events), "one gap, and all that is left");
    assert_eq!(text(&event(heard.last().unwrap().clone()).line), format!("{:0>200}", 19_999));
    assert!(gap.events < 20_000 - CAP / 2 / 256, "what fits is kept: {gap:?}");
    assert_eq!(oldest_of(&log), 2 + gap.events);
    assert_eq!(log.bytes(Stream::Stdout, 0, 10).await.unwrap(), None);
}

async fn first_of(writer: &mut LogWriter, events: &mut AgentEvents) -> Heard {
    writer.write(Speaker::new(Stream::Stdout).say("the first\n"), 0).await;
    events.next().await.unwrap()
}

#[tokio::test]
async fn who_begins_in_what_is_forgotten_is_told_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), capped());
    let mut out = Speaker::new(Stream::Stdout);
    for _ in 0..20 {
        writer.write(out.say("z".repeat(30_000) + "\n"), 0).await;
    }
    // Only the lines are forgotten so far, and what each of them had is still known.
    let Some(Heard::Gap(gap)) = writer.log().from(3).next().await else { panic!() };
    assert_eq!(gap.bytes, Some(gap.events * 30_000));
    for _ in 0..20 {
        writer.write(out.say("\n".repeat(1000)), 0).await;
    }
    let Some(Heard::Gap(gap)) = writer.log().from(3).next().await else { panic!() };
    assert_eq!((gap.from, gap.bytes), (3, None));
    let Some(Heard::Gap(gap)) = writer.log().from(1).next().await else { panic!() };
    assert_eq!(gap.bytes, Some(20 * 30_000));
}

#[tokio::test]
async fn a_line_without_an_end_is_forgotten_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let mut writer = writer(&folder, capped());
    let mut out = Speaker { splitter: Splitter::new(1000, 0), ..Speaker::new(Stream::Stdout) };
    for _ in 0..100 {
        writer.write(out.say(vec![b'x'; 64 * 1024]), 0).await;
        assert!(on_disk(&folder) <= CAP + 128 * 1024, "{} bytes", on_disk(&folder));
    }
    writer.write(out.say("\nlast\n"), 0).await;
    let log = writer.log();
    drop(writer);
    assert_eq!(texts(hear_all(log.from(1)).await), [format!("{} bytes at 0", 100 * 64 * 1024), "last".to_owned()]);
    assert_eq!(log.bytes(Stream::Stdout, 0, 10).await.unwrap(), None);
    let end = log.bytes(Stream::Stdout, 100 * 64 * 1024 - 10, 10).await.unwrap();
    assert_eq!(end.unwrap(), "x".repeat(10), "its end is still there");
}

fn cannot(_: &spool::Spool, _: &Kept, _: &Kept) -> io::Result<()> {
    Err(Errno::OPNOTSUPP.into())
}

#[tokio::test]
async fn where_nothing_can_be_given_back_only_memory_is_used_and_that_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let mut writer = writer(&folder, OutputLimits { ring: 100_000, ..capped() });
    writer.forget_by(cannot);
    let mut out = Speaker::new(Stream::Stdout);
    let troubles = say(&mut writer, &mut out, 0..40).await;
    assert!(matches!(&troubles[..], [Trouble::OnlyMemory(_)]), "{troubles:?}");
    assert_eq!(on_disk(&folder), 0);
    let log = writer.log();
    drop(writer);
    let heard = hear_all(log.from(1)).await;
    let kept = heard.len() as u64 - 1;
    assert!(kept > 100);
    assert_eq!(heard[0], Heard::Gap(Gap { from: 1, events: 4000 - kept, bytes: Some((4000 - kept) * 200) }));
    assert_eq!(oldest_of(&log), 4001 - kept);
    assert_eq!(hear_all(Log::open(&folder, id()).unwrap().from(1)).await, []);
}

#[tokio::test]
async fn where_nothing_can_be_given_back_a_file_of_the_agents_grows_and_that_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let mut writer = writer(&folder, OutputLimits { fidelity: Fidelity::File, ..capped() });
    writer.forget_by(cannot);
    let troubles = say(&mut writer, &mut Speaker::new(Stream::Stdout), 0..40).await;
    assert!(matches!(&troubles[..], [Trouble::Grows(_)]), "{troubles:?}");
    let log = writer.log();
    drop(writer);
    let heard = hear_all(log.from(oldest_of(&log))).await;
    assert_eq!(text(&event(heard.last().unwrap().clone()).line), format!("{:0>200}", 3999));
}

#[tokio::test]
async fn what_an_agent_writes_itself_is_forgotten_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let writer = writer(&folder, OutputLimits { fidelity: Fidelity::File, ..capped() });
    let log = writer.log();
    let output = writer.agents_end(Stream::Stdout).unwrap();
    following::shell("yes 0123456789 | head -c 2200000; printf last", output).wait().unwrap();
    following::read_all(writer, Watcher::default()).await;
    assert!(on_disk(&folder) <= CAP + 128 * 1024, "{} bytes", on_disk(&folder));
    assert_eq!(folder.join("output").metadata().unwrap().len(), 2_200_004, "offsets stay what they are");
    let mut heard = hear_all(log.from(1)).await;
    let Heard::Gap(gap) = heard.remove(0) else { panic!() };
    assert_eq!((gap.from, gap.bytes), (1, Some(gap.events * 10)));
    assert_eq!(gap.events + heard.len() as u64, 200_001);
    let rest = texts(heard);
    assert_eq!(rest.last().unwrap(), "last…");
    assert!(rest[..rest.len() - 1].iter().all(|line| line == "0123456789"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_a_hole_while_it_is_made() {
    const BATCHES: u64 = 1500;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("run"), OutputLimits { spool: Some(64 * 1024), ..small_ring() });
    let read = async |mut events: AgentEvents| {
        let mut next = 1;
        while let Some(heard) = events.next().await {
            match heard {
                Heard::Event(event) => {
                    assert_eq!((event.seq, text(&event.line)), (next, format!("{next:0>100}")));
                    assert_eq!(event.signals, [said(&next.to_string())]);
                    next += 1;
                }
                Heard::Gap(gap) => {
                    assert_eq!((gap.from, gap.bytes), (next, Some(gap.events * 100)));
                    next += gap.events;
                }
            }
        }
        assert_eq!(next, BATCHES * 20 + 1);
    };
    let readers: Vec<_> = (0..3).map(|_| tokio::spawn(read(writer.log().from(1)))).collect();
    let mut out = Speaker::new(Stream::Stdout);
    for batch in 0..BATCHES {
        let numbers = batch * 20 + 1..=batch * 20 + 20;
        let mut batch = out.say(numbers.clone().map(|number| format!("{number:0>100}\n")).collect::<String>());
        let lines = batch.lines.iter_mut().zip(numbers);
        lines.for_each(|(line, number)| line.signals = vec![said(&number.to_string())]);
        writer.write(batch, 0).await;
    }
    drop(writer);
    for reader in readers {
        reader.await.unwrap();
    }
}
