use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// Where the other process of a test finds the data dir.
const VARIABLE: &str = "HATCHERY_TEST_CLAIMS";

fn key(session: &str) -> Key {
    Key::new("stream-json", Path::new("/somebody/.agent"), &AgentSessionId::new(session))
}

fn files(data_dir: &Path) -> usize {
    std::fs::read_dir(data_dir.join("agents/claims")).unwrap().count()
}

#[test]
fn the_second_is_told_who_has_it_and_gets_it_when_that_is_over() {
    let data = tempfile::tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| Claims::new(data.path()));
    let [first, second] = [(); 2].map(|()| AgentRunId::random());
    let claim = one.take(&key("a"), first).unwrap();
    let error = other.take(&key("a"), second).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.details().unwrap()["run"], first.to_string());
    assert_eq!(error.details().unwrap()["pid"], std::process::id());
    let of_another = other.take(&key("b"), second).unwrap();
    assert_eq!(files(data.path()), 2);
    drop((claim, of_another));
    assert_eq!(files(data.path()), 0, "what nobody holds is gone");
    drop(other.take(&key("a"), second).unwrap());
}

#[test]
fn a_key_is_of_family_home_and_name_and_their_borders_matter() {
    let key = |family, home: &str, session| Key::new(family, Path::new(home), &AgentSessionId::new(session)).file;
    let keys =
        [key("a", "/h", "s"), key("b", "/h", "s"), key("a", "/i", "s"), key("a", "/h", "S"), key("a", "/", "hs")];
    let different: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
    assert_eq!(keys[0], key("a", "/h", "s"));
    assert_eq!(keys[0].len(), 64);
}

#[test]
fn another_name_is_taken_before_the_old_one_is_let_go() {
    let data = tempfile::tempdir().unwrap();
    let claims = Claims::new(data.path());
    let [first, second] = [(); 2].map(|()| AgentRunId::random());
    let mut claim = claims.take(&key("a"), first).unwrap();
    let held_elsewhere = claims.take(&key("b"), second).unwrap();
    assert_eq!(claim.rekey(&key("b")).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(claim.key.session.as_str(), "a");
    assert!(claims.take(&key("a"), second).is_err(), "it has kept what it had");
    drop(held_elsewhere);
    claim.rekey(&key("b")).unwrap();
    claim.rekey(&key("b")).unwrap();
    assert_eq!(claim.key.session.as_str(), "b");
    assert!(claims.take(&key("b"), second).is_err());
    drop(claims.take(&key("a"), second).unwrap());
}

#[test]
fn what_is_handed_on_stays_held_until_the_last_copy_is_closed() {
    let data = tempfile::tempdir().unwrap();
    let claims = Claims::new(data.path());
    let [first, second] = [(); 2].map(|()| AgentRunId::random());
    let descriptor = claims.take(&key("a"), first).unwrap().hand_on().unwrap();
    assert!(claims.take(&key("a"), second).is_err());
    let claim = claims.take_over(key("a"), first, descriptor);
    assert!(claims.take(&key("a"), second).is_err());
    drop(claim);
    assert_eq!(files(data.path()), 0);
    drop(claims.take(&key("a"), second).unwrap());
}

#[test]
fn of_many_that_want_it_at_once_one_has_it_and_a_removed_file_is_nobody_s() {
    let data = tempfile::tempdir().unwrap();
    let claims = Claims::new(data.path());
    let held = std::sync::atomic::AtomicU32::new(0);
    let contend = || {
        for _ in 0..200 {
            if let Ok(claim) = claims.take(&key("a"), AgentRunId::random()) {
                use std::sync::atomic::Ordering::SeqCst;
                assert_eq!(held.fetch_add(1, SeqCst), 0, "two have it");
                held.fetch_sub(1, SeqCst);
                drop(claim);
            }
            claims.remove_stale();
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(contend))));
    claims.remove_stale();
    assert_eq!(files(data.path()), 0);
}

/// Holds a claim until it is killed.
#[expect(clippy::disallowed_methods, reason = "these tests do not rest on the process room")]
fn holder(data_dir: &Path) -> (Child, AgentRunId) {
    let test = concat!(module_path!(), "::hold_a_claim_until_killed").split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(VARIABLE, data_dir);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let run = lines.map_while(Result::ok).find_map(|line| AgentRunId::parse(line.rsplit(' ').next()?));
    (child, run.expect("it has taken the claim"))
}

#[test]
#[ignore = "the other process of the next test"]
fn hold_a_claim_until_killed() {
    let data_dir = std::env::var_os(VARIABLE).unwrap();
    let run = AgentRunId::random();
    let _claim = Claims::new(Path::new(&data_dir)).take(&key("a"), run).unwrap();
    println!("{run}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn it_is_free_at_once_when_the_holder_s_process_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let claims = Claims::new(data.path());
    let (mut child, run) = holder(data.path());
    let error = claims.take(&key("a"), AgentRunId::random()).unwrap_err();
    assert_eq!(error.details().unwrap()["run"], run.to_string());
    assert_eq!(error.details().unwrap()["pid"], child.id());
    assert_eq!(claims.remove_stale(), 0, "it is held");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(files(data.path()), 1, "its file is left");
    drop(claims.take(&key("a"), AgentRunId::random()).unwrap());
    assert_eq!(files(data.path()), 0);
}

#[test]
fn files_of_the_dead_are_removed_and_those_of_the_living_are_not() {
    let data = tempfile::tempdir().unwrap();
    let claims = Claims::new(data.path());
    let held = claims.take(&key("a"), AgentRunId::random()).unwrap();
    std::fs::copy(data.path().join("agents/claims").join(&held.key.file), data.path().join("agents/claims/dead"))
        .unwrap();
    assert_eq!(claims.remove_stale(), 1);
    assert!(claims.take(&key("a"), AgentRunId::random()).is_err());
    assert_eq!(files(data.path()), 1);
}
