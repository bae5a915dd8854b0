use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::access::Client;

fn new(name: &str, scopes: &[Scope]) -> NewToken {
    NewToken { name: Some(name.to_owned()), scopes: scopes.to_vec(), expires: None }
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(&folder.path().join("data"));
    assert_eq!(tokens.list().unwrap(), []);
    let (_, ci) = tokens.make(&new("ci", &[Scope::Observe, Scope::Call, Scope::Call])).unwrap();
    assert_eq!((ci.name.as_str(), ci.scopes.as_slice()), ("ci", &[Scope::Call, Scope::Observe][..]));
    let unnamed = NewToken { scopes: vec![Scope::Call], ..NewToken::default() };
    assert_eq!(tokens.make(&unnamed).unwrap().1.name, "token-1");
    assert_eq!(tokens.make(&unnamed).unwrap().1.name, "token-2");
    let names = || tokens.list().unwrap().into_iter().map(|token| token.name).collect::<Vec<_>>();
    assert_eq!(names(), ["ci", "token-1", "token-2"]);
    assert_eq!(tokens.revoke("token-1").unwrap().name, "token-1");
    assert_eq!(names(), ["ci", "token-2"]);
    assert_eq!(tokens.revoke("token-1").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(tokens.make(&new("ci", &[Scope::Call])).unwrap_err().kind(), ErrorKind::Conflict);
    for wrong in ["", "a b", "é", &"x".repeat(65)] {
        assert_eq!(tokens.make(&new(wrong, &[Scope::Call])).unwrap_err().kind(), ErrorKind::Validation, "{wrong}");
    }
    assert!(tokens.make(&new("x", &[])).unwrap_err().message().contains("at least one scope"));
}

#[test]
fn only_its_hash_is_kept_in_a_file_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, _) = Tokens::of(folder.path()).make(&new("ci", &[Scope::Call])).unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(secret.text().trim_start_matches("hatchery_")), "{path:?}");
        files += 1;
    }
    assert_eq!(files, 2, "the file and the lock of its writers");
}

#[test]
fn who_shows_it_is_its_caller_until_it_is_over_or_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, known) = (Tokens::of(folder.path()), Known::of(folder.path()));
    let now = SystemTime::now();
    assert!(known.caller(&Hash::of("anything"), now).unwrap().is_none());
    assert!(!known.has_valid(now).unwrap());
    let short = NewToken { expires: Some(Duration::from_secs(3600)), ..new("short", &[Scope::Call]) };
    let (secret, _) = tokens.make(&short).unwrap();
    let (other, _) = tokens.make(&new("other", &[Scope::Operate])).unwrap();
    let caller = known.caller(&Hash::of(secret.text()), now).unwrap().unwrap();
    assert_eq!(caller.client(), &Client::Token("short".into()));
    assert!(caller.require(Scope::Call).is_ok() && caller.require(Scope::Observe).is_err());
    for wrong in ["", "hatchery_", &secret.text()[1..], &format!("{}x", secret.text())] {
        assert!(known.caller(&Hash::of(wrong), now).unwrap().is_none(), "{wrong}");
    }
    let later = now + Duration::from_secs(3601);
    assert!(known.caller(&Hash::of(secret.text()), later).unwrap().is_none(), "it is over");
    tokens.revoke("other").unwrap();
    assert!(known.caller(&Hash::of(other.text()), now).unwrap().is_none(), "it is revoked");
    assert!(known.has_valid(now).unwrap() && !known.has_valid(later).unwrap());
}

#[test]
fn a_damaged_file_is_kept_and_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, known) = (Tokens::of(folder.path()), Known::of(folder.path()));
    let (secret, _) = tokens.make(&new("ci", &[Scope::Call])).unwrap();
    let path = folder.path().join("tokens.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert!(known.caller(&Hash::of(secret.text()), SystemTime::now()).unwrap().is_some());
    let half = &whole[..whole.len() / 2];
    for damaged in
        [half, "", "{}", "[]", &whole.replace("\"version\": 1", "\"version\": 2"), &whole.replace("\"ci\"", "7")]
    {
        std::fs::write(&path, damaged).unwrap();
        let error = known.caller(&Hash::of(secret.text()), SystemTime::now()).unwrap_err();
        assert_eq!(error.message(), "tokens cannot be read; the log of the daemon says why", "{damaged}");
        assert!(known.has_valid(SystemTime::now()).is_err());
        assert!(tokens.make(&new("more", &[Scope::Call])).is_err() && tokens.revoke("ci").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "it is kept");
    }
    std::fs::write(&path, whole).unwrap();
    assert!(known.caller(&Hash::of(secret.text()), SystemTime::now()).unwrap().is_some(), "it is mended");
}

#[test]
fn a_file_that_others_may_have_written_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(folder.path());
    tokens.make(&new("ci", &[Scope::Call])).unwrap();
    let path = folder.path().join("tokens.json");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).unwrap();
    assert!(tokens.list().unwrap_err().message().contains("others may write it (mode 620)"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &path).unwrap();
    assert!(tokens.list().is_err());
}
