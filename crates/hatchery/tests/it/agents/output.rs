//! What runs say, and how much of it is kept for whom.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hatchery::agent::{AgentEvent, Fidelity, Gap, Heard, Line, OutcomeKind, OutputLimits};

use super::rig::{Rig, all, fake, heard, over, with};

const LINE: u64 = 1024;
const LINES: u64 = 32 * 1024;
const CAP: u64 = 4 << 20;

/// A6, with 32 MiB.
#[tokio::test]
async fn what_nobody_reads_is_kept_up_to_a_bound_and_its_last_word_always() {
    let rig = Rig::new().await;
    for fidelity in [Fidelity::File, Fidelity::Pipe] {
        let steps = ["init".to_owned(), format!("lines={LINES},{LINE}"), "result=the last".to_owned()];
        let (run, outcome) = rig.run(with(fake("stream-json", steps), |spec| spec.output = small(fidelity))).await;
        assert_eq!((outcome.kind, outcome.last_result), (OutcomeKind::Completed, Some("the last".into())));
        let info = run.info();
        assert!(info.events == LINES + 2 && info.bytes > LINES * LINE, "{info:?}");
        assert_eq!(info.notes, [""; 0], "the file system takes no holes");
        let kept = on_disk(&Path::new(&rig.path("agents")).join(run.id().to_string()));
        assert!(kept <= CAP + (1 << 16), "{fidelity:?}: {kept} bytes are on disk");
        let (events, gaps) = heard(&run).await;
        is_exact(&gaps, &events, info.events);
        let mut of_one_that_is_over = rig.hatchery.agents().events(&run.id().to_string(), info.events).await.unwrap();
        let Some(Heard::Event(last)) = of_one_that_is_over.next().await else { panic!("its last event is gone") };
        assert_eq!(Some(&last), events.last());
    }
    rig.end().await;
}

/// A7.
#[tokio::test]
async fn a_reader_that_stops_reading_holds_up_nobody_and_is_told_exactly_what_it_has_missed() {
    let rig = Rig::new().await;
    for fidelity in [Fidelity::File, Fidelity::Pipe] {
        let go = format!("go {fidelity:?}");
        let steps = [
            "init".to_owned(),
            format!("wait={}", rig.path(&go)),
            format!("lines={LINES},{LINE}"),
            "result".to_owned(),
        ];
        let run = rig.start(with(fake("stream-json", steps), |spec| spec.output = small(fidelity))).await;
        let mut slow = run.events(0);
        let Some(Heard::Event(first)) = slow.next().await else { panic!("it has said nothing") };
        assert_eq!(first.seq, 1);
        rig.touch(&go);
        assert_eq!(over(&run).await.kind, OutcomeKind::Completed);
        let (mut events, mut gaps) = (vec![first], Vec::new());
        while let Some(next) = slow.next().await {
            match next {
                Heard::Event(event) => events.push(event),
                Heard::Gap(gap) => gaps.push(gap),
            }
        }
        is_exact(&gaps, &events, LINES + 2);
        let [gap] = gaps[..] else { panic!("{gaps:?}") };
        assert_eq!((gap.from, gap.bytes), (2, Some(gap.events * (LINE - 1))), "without the line ends");
    }
    rig.end().await;
}

#[tokio::test]
async fn who_begins_anywhere_hears_the_same() {
    let rig = Rig::new().await;
    let (run, _) = rig.run(fake("stream-json", ["init", "lines=50,100", "result"])).await;
    let events = all(&run).await;
    for from in [1, 2, 30, 52] {
        let mut reader = run.events(from);
        for expected in &events[usize::try_from(from).unwrap() - 1..] {
            assert_eq!(reader.next().await, Some(Heard::Event(expected.clone())));
        }
        assert_eq!(reader.next().await, None);
    }
    rig.end().await;
}

#[tokio::test]
async fn what_is_no_json_and_no_text_passes_as_it_is() {
    let rig = Rig::new().await;
    let (run, outcome) =
        rig.run(fake("stream-json", ["init", "bytes=ff00fe0a", "line={\"half\":", "stderr=aside", "result"])).await;
    assert_eq!(outcome.kind, OutcomeKind::Completed, "{outcome:?}");
    let lines: Vec<_> = all(&run).await.into_iter().map(|event| event.line).collect();
    for expected in [&b"\xff\x00\xfe"[..], b"{\"half\":", b"aside"] {
        assert!(lines.contains(&Line::Here(expected.to_vec().into())), "{expected:?} in {lines:?}");
    }
    rig.end().await;
}

/// One gap, and everything else, once and in its order.
fn is_exact(gaps: &[Gap], events: &[AgentEvent], last: u64) {
    let [gap] = gaps else { panic!("{gaps:?}") };
    let missed = gap.from..gap.from + gap.events;
    let expected = (1..=last).filter(|seq| !missed.contains(seq));
    assert!(events.iter().map(|event| event.seq).eq(expected), "{gap:?}, and {} events of {last}", events.len());
    assert!(gap.events > 0);
}

fn small(fidelity: Fidelity) -> OutputLimits {
    OutputLimits { fidelity, ring: 1 << 16, spool: Some(CAP), ..OutputLimits::default() }
}

fn on_disk(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files.map(|file| file.metadata().unwrap().blocks() * 512).sum()
}
