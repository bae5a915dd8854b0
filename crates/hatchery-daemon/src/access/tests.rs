use std::net::IpAddr;

use axum::http::HeaderValue;
use hatchery::{ServerConfig, Settings};

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn config(text: &str) -> ServerConfig {
    Settings::parse(&format!("[server]\n{text}"), Path::new("/f")).config().unwrap().server
}

fn access(text: &str, data_dir: Option<&Path>) -> Access {
    Access::new(Policy::of(&config(text)), data_dir)
}

fn showing(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
}

/// Who it is and what they may do, or the reason why they are nobody.
fn seen(access: &Access, arrival: &Arrival, headers: &HeaderMap) -> String {
    match access.caller(&access.policy(), arrival, headers) {
        Ok(caller) => {
            let scopes = Scope::ALL.into_iter().filter(|scope| caller.require(*scope).is_ok());
            let scopes = scopes.map(Scope::as_str).collect::<Vec<_>>().join("+");
            format!("{}: {scopes}", caller.client())
        }
        Err(error) => {
            assert_eq!(Denial::of(&error), Some(Denial::Unauthenticated));
            "nobody".to_owned()
        }
    }
}

#[test]
fn who_calls_is_known_by_what_is_shown_first() {
    let folder = tempfile::tempdir().unwrap();
    let new = |name: &str, scope| NewToken { name: Some(name.to_owned()), scopes: vec![scope], expires: None };
    let (secret, _) = Tokens::of(folder.path()).make(&new("ci", Scope::Call)).unwrap();
    let (nothing, token) = (HeaderMap::new(), showing(&format!("Bearer {}", secret.text())));
    let loopback = Arrival::over_tcp(HERE, HERE);
    let public = Arrival::over_tcp(ELSEWHERE, ELSEWHERE);
    let known = public.clone().encrypted(Some("robot".into()));
    let ours = geteuid().as_raw();
    for (text, arrival, headers, expected) in [
        ("", &loopback, &nothing, "127.0.0.1: call+observe+operate"),
        ("", &loopback, &token, "token ci: call"),
        ("auth = \"token\"", &loopback, &nothing, "nobody"),
        ("auth = \"token\"", &loopback, &token, "token ci: call"),
        ("", &public, &nothing, "nobody"),
        ("", &public, &token, "token ci: call"),
        ("", &known, &nothing, "certificate robot: call+observe+operate"),
        ("", &known, &token, "token ci: call"),
        ("", &Arrival::over_tcp(ELSEWHERE, HERE), &nothing, "nobody"),
        ("auth = \"token\"", &Arrival::over_socket(0), &nothing, "uid 0: call+observe+operate"),
        ("", &Arrival::over_socket(ours), &nothing, &format!("uid {ours}: call+observe+operate")),
        ("", &Arrival::over_socket(4242), &nothing, "uid 4242: "),
        ("", &Arrival::over_socket(4242), &token, "token ci: call"),
    ] {
        let access = access(text, Some(folder.path()));
        assert_eq!(seen(&access, arrival, headers), expected, "{text} {arrival:?}");
    }
    let wrong = access("", Some(folder.path()));
    for text in ["Bearer wrong", "Bearer", "Bearer ", "Basic YTpi", "x"] {
        assert_eq!(seen(&wrong, &loopback, &showing(text)), "nobody", "who shows something is judged by it: {text}");
    }
    let mut twice = token.clone();
    twice.append(header::AUTHORIZATION, token[header::AUTHORIZATION].clone());
    assert_eq!(seen(&wrong, &loopback, &twice), "nobody");
    assert_eq!(seen(&access("", None), &loopback, &token), "nobody", "it has no tokens at all");
}

#[test]
fn clients_with_certificates_may_do_what_is_said() {
    let text = "tls = { cert = \"c\", key = \"k\", client_ca = \"a\", client_scopes = [\"observe\"] }";
    let robot = Arrival::over_tcp(ELSEWHERE, ELSEWHERE).encrypted(Some("robot".into()));
    assert_eq!(seen(&access(text, None), &robot, &HeaderMap::new()), "certificate robot: observe");
}

/// It had come when a token would do.
#[test]
fn who_came_without_a_certificate_is_nobody_once_one_is_asked_for() {
    let with = |auth: &str| {
        access(&format!("auth = \"{auth}\"\ntls = {{ cert = \"c\", key = \"k\", client_ca = \"a\" }}"), None)
    };
    let (bare, nothing) = (Arrival::over_tcp(HERE, HERE).encrypted(None), HeaderMap::new());
    let access = with("token");
    assert_eq!(seen(&access, &bare, &nothing), "nobody");
    access.obey(Policy::clone(&with("none").policy()));
    assert_eq!(seen(&access, &bare, &nothing), "nobody");
    let robot = bare.encrypted(Some("robot".into()));
    assert_eq!(seen(&access, &robot, &nothing), "certificate robot: call+observe+operate");
}

#[test]
fn a_denial_does_not_repeat_what_was_shown() {
    let access = access("", None);
    for shown in ["Bearer a-secret", "Basic a-secret", "a-secret"] {
        let loopback = Arrival::over_tcp(HERE, HERE);
        let error = access.caller(&access.policy(), &loopback, &showing(shown)).unwrap_err();
        assert!(!error.to_json().to_string().contains("a-secret"), "{error}");
    }
}

#[test]
fn a_client_has_so_much_and_no_more() {
    let access = access("limits = { requests_per_second = 1, burst = 2, calls_per_client = 1 }", None);
    let (policy, client, other) = (access.policy(), Client::User(1), Client::User(2));
    for matter in [Matter::Other, Matter::Health] {
        let pace = |client| access.pace(&policy, client, matter);
        assert!(pace(&client).is_ok() && pace(&client).is_ok());
        let error = pace(&client).unwrap_err();
        assert_eq!(error.message(), "uid 1 asks too often");
        assert!(matches!(Denial::of(&error), Some(Denial::TooMany { retry_after }) if retry_after <= SOON));
        assert!(pace(&other).is_ok());
        let call = |client| access.call(&policy, client, matter);
        let held = call(&client).unwrap();
        assert!(call(&client).is_err() && call(&other).is_ok());
        drop(held);
        assert!(call(&client).is_ok());
    }
}

#[test]
fn whoever_comes_from_wherever_takes_no_room_from_those_who_are_known() {
    let mut access = access("limits = { requests_per_second = 1, burst = 1 }", None);
    (access.known, access.strangers) = (Account::new(1), Account::new(1));
    let (policy, known) = (access.policy(), Client::Token("ci".into()));
    let pace = |client: &Client| access.pace(&policy, client, Matter::Other).is_ok();
    let strangers = (1..=9).map(|last| Client::Address(IpAddr::from([192, 0, 2, last])));
    assert_eq!(strangers.filter(pace).count(), 2, "one of its own, and one for all others together");
    assert!(pace(&known));
}

#[test]
fn connections_from_elsewhere_are_fewer_unless_somebody_says_how_many() {
    let open = |text: &str, arrival: &Arrival, count| {
        let access = access(text, None);
        (0..count).map_while(|_| access.connection(&access.policy(), arrival)).collect::<Vec<_>>().len()
    };
    let (here, elsewhere) = (Arrival::over_tcp(HERE, HERE), Arrival::over_tcp(ELSEWHERE, ELSEWHERE));
    assert_eq!((open("", &here, 1000), open("", &elsewhere, 1000)), (1000, 256));
    let text = "limits.connections_per_client = 3";
    assert_eq!((open(text, &here, 1000), open(text, &elsewhere, 1000)), (3, 3));
}
