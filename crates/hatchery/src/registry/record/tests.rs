use proptest::prelude::*;

use super::*;
use crate::process::Worn;

pub(in crate::registry) fn other_run() -> RunId {
    RunId::random()
}

/// Of a run that this process would begin.
pub(in crate::registry) fn header(run: RunId) -> Header {
    let outer = Worn::by_this_process().map(|worn| worn.mark);
    Header::of_this_process(run, Instance::default(), Mark::of_run(run, outer))
}

fn text(header: &Header, lines: &[Line]) -> String {
    let lines = lines.iter().map(|line| serde_json::to_string(line).unwrap());
    let header = serde_json::to_string(header).unwrap();
    std::iter::once(header).chain(lines).map(|line| line + "\n").collect()
}

fn some_lines() -> Vec<Line> {
    let own = Remembered::this_process();
    let reserved = |number| Line::Reserved { number, worker: format!("default-{number}"), pool: "default".to_owned() };
    vec![
        Line::Cgroup("/sys/fs/cgroup/hatchery.0".to_owned()),
        Line::Guard(own),
        Line::Cgroup("/sys/fs/cgroup/hatchery.1".to_owned()),
        reserved(1),
        Line::Started { number: 1, identity: own, command: "python app.py".to_owned() },
        reserved(2),
        reserved(3),
        Line::Gone { number: 3 },
        Line::Spared { number: 9 },
    ]
}

#[test]
fn a_record_tells_what_was_not_seen_to_end() {
    let run = other_run();
    let record = Record::parse(text(&header(run), &some_lines()).as_bytes(), run).unwrap();
    assert_eq!(record.workers.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(record.workers[&1].started.as_ref().unwrap().1, "python app.py");
    assert_eq!(record.workers[&2].started, None);
    assert_eq!(record.cgroups, ["/sys/fs/cgroup/hatchery.0", "/sys/fs/cgroup/hatchery.1"], "one for each pair");
    assert_eq!(record.guards.len(), 1);
    assert_eq!((record.spared.len(), record.damaged), (1, 0));
}

#[test]
fn a_record_that_claims_to_be_another_s_is_refused() {
    let (run, other) = (other_run(), other_run());
    let honest = header(run);
    let refused = |header: &Header, folder| match Record::parse(text(header, &[]).as_bytes(), folder) {
        Err(why) => why.to_string(),
        Ok(record) => panic!("{record:?}"),
    };
    assert!(refused(&honest, other).contains("another run's id"));
    assert!(refused(&Header { mark: Mark::of_run(other, None), ..honest.clone() }, run).contains("another run's mark"));
    assert!(refused(&Header { mark: Mark { hard: 0, ..honest.mark }, ..honest.clone() }, run).contains("mark"));
    assert!(refused(&Header { version: 3, ..honest }, run).contains("version 3"));
}

#[test]
fn no_size_is_too_hostile() {
    let run = other_run();
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join(RECORD)).unwrap();
    file.set_len(1 << 40).unwrap();
    let folder = Folder::base(folder.path()).unwrap();
    assert!(matches!(Record::read(&folder, run), Err(Unreadable::NoHeader(_))));
    let deep =
        text(&header(run), &[]) + &"[".repeat(1 << 20) + "\n" + &format!("{{\"cgroup\":\"{}\"}}", "x".repeat(1 << 20));
    let record = Record::parse(deep.as_bytes(), run).unwrap();
    assert_eq!((record.damaged, record.cgroups), (2, vec![]));
}

proptest! {
    #[test]
    fn wherever_it_was_cut_it_is_refused_or_true(cut in 0.0..1.0) {
        let run = RunId::from_bits(7 << 90);
        let whole = text(&header(run), &some_lines());
        let cut = (whole.len() as f64 * cut) as usize;
        let is_whole_header = cut >= whole.find('\n').unwrap();
        match Record::parse(&whole.as_bytes()[..cut], run) {
            Ok(record) => {
                prop_assert!(is_whole_header);
                prop_assert!(record.damaged <= 1);
                prop_assert!(record.workers.keys().all(|number| [1, 2, 3].contains(number)));
            }
            Err(_) => prop_assert!(!is_whole_header),
        }
    }

    #[test]
    fn garbage_is_refused_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Record::parse(&bytes, RunId::from_bits(1)).is_err());
    }

    #[test]
    fn garbage_after_the_header_is_only_damage(garbage in "[^\n]{1,60}", flipped in any::<prop::sample::Index>()) {
        let run = RunId::from_bits(7);
        let record = Record::parse((text(&header(run), &[]) + &garbage + "\n").as_bytes(), run).unwrap();
        prop_assert!(record.damaged == 1 || serde_json::from_str::<Line>(&garbage).is_ok());
        let mut bytes = text(&header(run), &some_lines()).into_bytes();
        let at = flipped.index(bytes.len());
        bytes[at] ^= 1;
        let _either = Record::parse(&bytes, run);
    }
}
