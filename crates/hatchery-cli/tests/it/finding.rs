//! How a daemon is found, how it is shown who asks, and what is said where that goes wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread::JoinHandle;

use crate::daemon::Daemon;
use crate::sandbox::{Finished, Running, Sandbox};

/// Answers one request with this, and tells what was asked.
fn answering(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
        let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        client.write_all(answer.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let _until_the_command_hangs_up = std::io::copy(&mut client, &mut std::io::sink());
        asked.join("\n")
    });
    (address, thread)
}

const NOTHING: &str = "HTTP/1.1 200 OK\r\nserver: hatchery/99.0\r\ncontent-length: 2\r\n\r\n[]";

fn with_variables(sandbox: &Sandbox, words: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = sandbox.command(words);
    Running::new(command.envs(variables.iter().copied()).spawn().unwrap()).finish()
}

#[test]
fn a_token_comes_from_a_file_or_a_variable_and_never_from_the_command_line() {
    let sandbox = Sandbox::new();
    sandbox.write("token", "hatchery_of_the_file\n");
    let asked = |words: &[&str]| {
        let (address, thread) = answering(NOTHING);
        let words = [&["taints", "--json", "-q", "--addr", &address], words].concat();
        with_variables(&sandbox, &words, &[("HATCHERY_TOKEN", "hatchery_of_the_variable")]).exits(0).prints("[]");
        thread.join().unwrap()
    };
    assert!(asked(&[]).contains("authorization: Bearer hatchery_of_the_variable"));
    assert!(asked(&["--token-file", "token"]).contains("authorization: Bearer hatchery_of_the_file"));
    sandbox.run(&["taints", "--token", "x"]).exits(2).says("--token-file");
    sandbox.write("empty", "\n");
    let refused = |words: &[&str], said: &str| {
        let words = [&["taints", "--addr", "127.0.0.1:1"], words].concat();
        sandbox.run(&words).exits(2).prints("").says(said);
    };
    refused(&["--token-file", "empty"], "empty: expected one token, as `hatchery token new` prints it");
    refused(&["--token-file", "gone"], "read the token in gone: No such file");
    let words = ["taints", "--addr", "127.0.0.1:1"];
    let finished = with_variables(&sandbox, &words, &[("HATCHERY_TOKEN", "secret words")]).exits(2);
    finished.says("HATCHERY_TOKEN: expected one token").hides("secret");
}

#[test]
fn another_version_is_told_of() {
    let sandbox = Sandbox::new();
    let (address, thread) = answering(NOTHING);
    let told = sandbox.run(&["taints", "--addr", &address]).exits(0).prints("nothing is tainted");
    told.says("warning: the daemon is hatchery 99.0, and this is ");
    thread.join().unwrap();
    let (address, thread) = answering(NOTHING);
    assert_eq!(sandbox.run(&["taints", "--addr", &address, "-q"]).exits(0).stderr, "");
    thread.join().unwrap();
    let (address, thread) = answering("HTTP/1.1 200 OK\r\nserver: hatchery/99.0\r\ncontent-length: 3\r\n\r\n[1]");
    let told = sandbox.run(&["taints", "--addr", &address]).exits(4).prints("");
    told.says("warning: the daemon is hatchery 99.0").says("error: the daemon answers what this version does not know");
    thread.join().unwrap();
}

#[test]
fn the_same_version_is_no_news() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    assert_eq!(sandbox.run(&["status"]).exits(0).stderr, "");
    assert_eq!(sandbox.run(&["status", "--addr", &daemon.address]).exits(0).stderr, "");
    daemon.end();
}

#[test]
fn who_is_not_let_in_learns_what_would_help() {
    let sandbox = Sandbox::new();
    for (answer, said, hint) in [
        (
            concat!(
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 117\r\n\r\n",
                r#"{"error":{"kind":"unavailable","message":"who is it?","retryable":false,"details":{"reason":"unauthenticated"}}}     "#
            ),
            "error: who is it?",
            "hint: show the daemon a token with --token-file FILE or HATCHERY_TOKEN",
        ),
        (
            concat!(
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 117\r\n\r\n",
                r#"{"error":{"kind":"unavailable","message":"token ci may not","retryable":false,"details":{"reason":"forbidden"}}}     "#
            ),
            "error: token ci may not",
            "hint: looking takes a token of `hatchery token new --scope observe`",
        ),
    ] {
        let (address, thread) = answering(answer);
        sandbox.run(&["stop", "--addr", &address]).exits(4).prints("").says(said).says(hint);
        thread.join().unwrap();
    }
}

#[test]
fn what_was_looked_for_and_where_is_said() {
    let sandbox = Sandbox::new();
    let data_dir = sandbox.name("state/hatchery/default");
    let said = format!("none has the data directory {data_dir}, and neither --addr nor HATCHERY_ADDR names one");
    for command in
        [&["stats"][..], &["sessions"], &["events"], &["stop"], &["scale", "default", "2"], &["taints", "reset"]]
    {
        sandbox.run(command).exits(4).prints("").says("no daemon is running; ").says(&said).says("`hatchery serve");
    }
    let socket = format!("unix:{}", sandbox.name("daemon.sock"));
    let nobody = sandbox.run(&["stats", "--addr", &socket]).exits(4);
    nobody.says(&format!("no daemon is running at {socket}: No such file"));
    drop(std::os::unix::net::UnixListener::bind(sandbox.path("daemon.sock")).unwrap());
    let dead = sandbox.run(&["stats", "--addr", &socket]).exits(4);
    dead.says(&format!("no daemon is running at {socket}: Connection refused"));
    let words = ["stats", "--addr", "unix:"];
    sandbox.run(&words).exits(2).says("https://host:7411 or unix:/path/of/daemon.sock");
}

#[test]
fn what_is_for_tls_is_for_tls_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "no certificate\n");
    let plain = |flags: &[&str]| sandbox.run(&[&["stats", "--addr", "127.0.0.1:1"], flags].concat()).exits(2);
    plain(&["--ca", "file"]).says("--ca is for an address that begins with https://");
    plain(&["--cert", "file", "--key", "file"]).says("--cert is for an address that begins with https://");
    plain(&["--cert", "file"]).says("--key");
    let tls = |flags: &[&str]| sandbox.run(&[&["stats", "--addr", "https://127.0.0.1:1"], flags].concat()).exits(2);
    tls(&["--ca", "file"]).says("read the certificates in file: there is none, in PEM");
    tls(&["--ca", "gone"]).says("read the certificates in gone: ");
    let own = sandbox.run(&["tools", "--app", "app.py", "--token-file", "file"]).exits(2);
    own.says("--token-file is for a daemon, not for --app");
}

#[test]
fn nobody_is_spoken_to_in_the_clear_who_is_to_be_spoken_to_by_tls() {
    let sandbox = Sandbox::new();
    sandbox.write("authority.pem", include_str!("apps/authority.pem"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let overheard = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        let _cut_off = client.read_to_end(&mut bytes);
        bytes
    });
    let words = ["stats", "--addr", &address, "--ca", "authority.pem"];
    let finished = with_variables(&sandbox, &words, &[("HATCHERY_TOKEN", "hatchery_secret")]).exits(4);
    finished.says(&format!("cannot connect to the daemon at {address}: "));
    let bytes = overheard.join().unwrap();
    assert!(!bytes.is_empty() && !String::from_utf8_lossy(&bytes).contains("secret"));
}

/// A daemon that asks everybody who comes over TCP who they are.
fn asking_for_tokens(sandbox: &Sandbox, server: &str) -> Daemon {
    let server = format!("[server]\nlisten = \"127.0.0.1:0\"\nauth = \"token\"\n{server}\n");
    sandbox.write("hatchery.toml", &format!("{server}[[pools]]\nname = \"default\"\napp = \"app.py\"\n"));
    Daemon::start(sandbox, &["serve"])
}

fn token(sandbox: &Sandbox, scope: &str) {
    let made = sandbox.run(&["token", "new", "--scope", scope, "--name", scope, "-q"]).exits(0);
    sandbox.write(scope, &made.stdout);
}

#[test]
fn the_socket_knows_us_and_the_port_asks_for_a_token() {
    let sandbox = Sandbox::with_app();
    let daemon = asking_for_tokens(&sandbox, "");
    token(&sandbox, "observe");
    token(&sandbox, "operate");
    let socket = format!("unix:{}", sandbox.name("state/hatchery/default/daemon.sock"));
    sandbox.run(&["stats", "-q"]).exits(0);
    sandbox.run(&["stats", "-q", "--addr", &socket]).exits(0);
    // A token that is for another daemon does not shut us out of our own.
    with_variables(&sandbox, &["scale", "default", "1"], &[("HATCHERY_TOKEN", "hatchery_of_another")]).exits(0);
    let nobody = sandbox.run(&["stats", "--addr", &daemon.address]).exits(4).prints("");
    nobody.says("hint: show the daemon a token with --token-file FILE or HATCHERY_TOKEN");
    sandbox.run(&["stats", "--addr", &daemon.address, "--token-file", "observe"]).exits(0);
    let order = ["scale", "default", "1", "--addr", &daemon.address, "--token-file"];
    let refused = sandbox.run(&[&order[..], &["observe"]].concat()).exits(4).prints("");
    refused.says("no scope `operate`").says("hint: looking takes a token of");
    sandbox.run(&[&order[..], &["operate"]].concat()).exits(0).prints("pool default has 1 workers already");
    daemon.end();
}

#[test]
fn a_socket_that_was_taken_away_leaves_the_port() {
    let sandbox = Sandbox::with_app();
    let daemon = Daemon::serve(&sandbox, &[]);
    std::fs::remove_file(sandbox.path("state/hatchery/default/daemon.sock")).unwrap();
    sandbox.run(&["stats"]).exits(0);
    daemon.end();
}

#[test]
fn a_daemon_behind_tls_is_trusted_if_its_authority_is() {
    let sandbox = Sandbox::with_app();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    sandbox.write("cert.pem", &own.cert.pem());
    sandbox.write("key.pem", &own.signing_key.serialize_pem());
    sandbox.write("other.pem", include_str!("apps/authority.pem"));
    let daemon = asking_for_tokens(&sandbox, "tls = { cert = \"cert.pem\", key = \"key.pem\" }");
    token(&sandbox, "operate");
    let address = format!("https://{}", daemon.address);
    let ask = ["stats", "--addr", &address, "--token-file", "operate", "--ca"];
    sandbox.run(&[&ask[..], &["cert.pem"]].concat()).exits(0);
    let refused = sandbox.run(&[&ask[..], &["other.pem"]].concat()).exits(4).prints("");
    refused.says(&format!("cannot connect to the daemon at {address}: invalid peer certificate"));
    sandbox.run(&["stats", "--addr", &daemon.address, "--token-file", "operate"]).exits(4).prints("");
    let words =
        ["call", "word_count", "text=a b", "-q", "--addr", &address, "--token-file", "operate", "--ca", "cert.pem"];
    sandbox.run(&words).exits(0).prints(r#"{"a":1,"b":1}"#);
    daemon.end();
}
