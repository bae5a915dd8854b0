use std::io::{Read, Write};
use std::net::TcpStream;

use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

#[test]
fn a_token_is_printed_once_listed_and_revoked() {
    let sandbox = Sandbox::new();
    sandbox.run(&["token", "list"]).exits(0).prints("").says("there are no tokens");
    let made =
        sandbox.run(&["token", "new", "--scope", "call", "--scope", "observe", "--name", "ci", "--expires", "30d"]);
    let made = made.exits(0).says("ci may call, observe for 30d; it is not shown again");
    let secret = made.stdout.trim_end().to_owned();
    assert!(secret.starts_with("hatchery_") && secret.len() == 52, "{secret}");
    let listed = sandbox.run(&["token", "list", "--json"]).exits(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["name"], &listed[0]["scopes"]), (&"ci".into(), &serde_json::json!(["call", "observe"])));
    assert!(!listed.to_string().contains(&secret[9..]));
    let people = sandbox.run(&["token", "list"]).exits(0).stdout;
    assert!(people.starts_with("NAME  SCOPES") && people.contains("ci    call, observe"), "{people}");
    let again = sandbox.run(&["token", "new", "--scope", "operate", "--json"]).exits(0).json();
    assert_eq!(again["name"], "token-1");
    assert!(again["token"].as_str().unwrap().starts_with("hatchery_"));
    sandbox.run(&["token", "revoke", "ci"]).exits(0).says("revoked ci");
    sandbox.run(&["token", "revoke", "ci"]).exits(2).says("no token is called \"ci\"");
}

#[test]
fn a_token_needs_a_scope_and_a_name_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.run(&["token", "new"]).exits(2).says("--scope");
    sandbox.run(&["token", "new", "--scope", "everything"]).exits(2).says("[possible values: call, observe, operate]");
    sandbox
        .run(&["token", "new", "--scope", "call", "--expires", "soon"])
        .exits(2)
        .says("expected a time like 12h or 30d");
    sandbox.run(&["token", "new", "--scope", "call", "--name", "a b"]).exits(2).says("expected a name of 1 to 64");
    sandbox.run(&["token", "new", "--scope", "call", "--name", "ci"]).exits(0);
    sandbox.run(&["token", "new", "--scope", "call", "--name", "ci"]).exits(4).says("there is one called \"ci\"");
}

fn status(address: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET /v1/status HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_daemon_that_asks_for_tokens_knows_those_that_are_made_and_revoked_meanwhile() {
    let sandbox = Sandbox::with_app();
    sandbox.write("hatchery.toml", "[server]\nauth = \"token\"\n");
    let daemon = Daemon::serve(&sandbox, &["--quiet"]);
    let made = sandbox.run(&["token", "new", "--scope", "observe", "--name", "eye"]).exits(0);
    let secret = made.stdout.trim_end();
    assert_eq!(status(&daemon.address, secret), "HTTP/1.1 200 OK");
    assert_eq!(status(&daemon.address, "wrong"), "HTTP/1.1 401 Unauthorized");
    sandbox.run(&["token", "revoke", "eye"]).exits(0);
    assert_eq!(status(&daemon.address, secret), "HTTP/1.1 401 Unauthorized");
    let finished = daemon.end();
    assert!(!finished.stdout.contains(secret) && !finished.stderr.contains(secret));
}
