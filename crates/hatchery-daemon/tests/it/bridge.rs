//! `snakepit.bridge` for clients that are no workers, as `hatchery_grpc::bridge::Client` speaks it.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use hatchery::{
    Builder, ErrorKind, Hatchery, HostCaller, HostTool, HostToolSource, Payload, PythonApp, Result, Scope, Settings,
    ToolSpec,
};
use hatchery_daemon::{Daemon, HandedOver, NewToken, Phase, Tokens};
use hatchery_grpc::bridge::{Client, Connection, Peer, RequestOptions, ToolCall, tools};
use hatchery_grpc::v1;
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::access::Open;
use crate::client::get;

type Bridge = Client<Connection>;

/// A port on which somebody listens, and a bridge that takes the first free one from there on.
pub(crate) fn beside_a_taken_port() -> (TcpListener, String) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = format!("[bridge]\nmode = \"external_pool\"\nhost = \"127.0.0.1\"\nbase_port = {port}\n");
    (taken, text)
}

/// A daemon with tools of its pool as host tools, one that streams, and one of its own that no worker sees.
struct Rig {
    address: SocketAddr,
    bridge: SocketAddr,
    folder: tempfile::TempDir,
    _taken: TcpListener,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
}

fn pools(folder: &Path) -> Builder {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../hatchery/tests/fixtures/apps/basics.py");
    let greet = |name: Value, caller: HostCaller| async move {
        Ok(
            json!({ "name": name, "session": caller.session_id(), "id": caller.correlation(), "worker": caller.worker() }),
        )
    };
    let count = HostTool::payload(ToolSpec { streaming: true, ..ToolSpec::new("count") }, |_, _| ready(Ok(item(&3))));
    let count = count.streams(|_, _| Ok(Box::pin(stream::iter([1, 2, 3].map(|number| Ok(item(&number)))))));
    let count = count.source(HostToolSource::Pool { pool: "other".to_owned(), tool: "count".to_owned() });
    let builder =
        Hatchery::builder().pool_tool("again", "default", "echo").pool_tool("wait", "default", "wait_for_file");
    let builder = builder.with_host_tool(count).with_host_tool(HostTool::new("greet", greet).exposed(false));
    builder.pool("default", PythonApp::file(app)).done().data_dir(folder)
}

fn item(number: &i32) -> Payload {
    Payload::encode(number).unwrap()
}

impl Rig {
    /// What `[server]` says besides where it listens; a token for each of these.
    async fn of<const N: usize>(server: &str, scopes: [Scope; N]) -> (Rig, [String; N]) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::of(folder.path());
        let made = scopes.map(|scope| {
            let new = NewToken { name: Some(scope.to_string()), scopes: vec![scope], expires: None };
            tokens.make(&new).unwrap().0.text().to_owned()
        });
        let (taken, text) = beside_a_taken_port();
        let config = format!("{text}[server]\nlisten = \"127.0.0.1:0\"\n{server}");
        let config = Settings::parse(&config, Path::new("/f")).config().unwrap();
        let daemon = Daemon::open(folder.path(), &config.server, HandedOver::default()).await.unwrap();
        let (address, mut phases) = (daemon.address(), daemon.phases());
        let bridge: SocketAddr = daemon.bridge().unwrap().parse().unwrap();
        assert!(bridge.port() > taken.local_addr().unwrap().port(), "the next that is free");
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(daemon.start(pools(folder.path()), async { drop(stopped.await) }));
        let reached = *phases.wait_for(|phase| *phase >= Phase::Serving).await.unwrap();
        assert_eq!(reached, Phase::Serving, "it ended: {:?}", ended.await);
        (Rig { address, bridge, folder, _taken: taken, stop, ended }, made)
    }

    async fn client(&self) -> Bridge {
        connected(self.bridge).await
    }

    async fn end(self) {
        let _has_ended_by_itself = self.stop.send(());
        self.ended.await.unwrap().unwrap();
        assert!(TcpStream::connect(self.bridge).await.is_err(), "nobody listens any more");
    }
}

async fn connected(to: SocketAddr) -> Bridge {
    let stream = TcpStream::connect(to).await.unwrap();
    let (connection, driver) = Connection::handshake(stream).await.unwrap();
    tokio::spawn(driver);
    Client::with_origin(connection, Peer::Host, format!("http://{to}").parse().unwrap())
}

fn plain() -> RequestOptions {
    RequestOptions::new()
}

fn with(token: &str) -> RequestOptions {
    plain().header("authorization", &format!("Bearer {token}")).unwrap()
}

fn of_session(tool: &str, arguments: Value) -> ToolCall {
    ToolCall::new(tool, Payload::from_json(arguments).unwrap()).session("user-7")
}

fn reason(error: &hatchery::Error) -> &str {
    error.details().and_then(|details| details["reason"].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn a_client_has_sessions_and_calls_host_tools() {
    let (rig, []) = Rig::of("", []).await;
    let client = rig.client().await;
    assert_eq!(client.ping("hello", &plain()).await.unwrap().message, "pong: hello");
    let no_session = client.execute_host_tool(of_session("again", json!({"value": 1})), &plain()).await.unwrap_err();
    assert!(no_session.message().contains("user-7"), "{no_session}");
    assert_eq!(client.get_session("user-7", &plain()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!client.heartbeat("user-7", &plain()).await.unwrap(), "no such session is no error");
    client.initialize_session("user-7", [("lang".into(), "de".into())].into(), None, &plain()).await.unwrap();
    assert!(client.heartbeat("user-7", &plain()).await.unwrap());
    let session = client.get_session("user-7", &plain()).await.unwrap();
    assert_eq!((session.metadata["lang"].as_str(), session.tool_count), ("de", 4));
    assert_eq!(get(rig.address, "/v1/sessions/user-7").await.json()["metadata"], json!({"lang": "de"}));
    let exposed = client.get_exposed_tools("user-7", &plain()).await.unwrap();
    let names: Vec<&str> = exposed.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["again", "count", "wait"], "what workers see");
    for value in [json!([1, "ü", null]), json!({"a": 1.5}), json!("text"), json!(null), json!(true)] {
        let call = of_session("again", json!({ "value": value }));
        assert_eq!(client.execute_tool(call.clone(), &plain()).await.unwrap().value.to_json().unwrap(), value);
        assert_eq!(client.execute_host_tool(call, &plain()).await.unwrap().value.to_json().unwrap(), value);
    }
    let greeted = client.execute_tool(of_session("greet", json!({"n": 1})), &plain().correlation_id("order-1")).await;
    let expected = json!({"name": {"n": 1}, "session": "user-7", "id": "order-1", "worker": null});
    assert_eq!(
        greeted.unwrap().value.to_json().unwrap(),
        expected,
        "a client is no worker, and sees what those do not"
    );
    assert_eq!(client.cleanup_session("user-7", &plain()).await.unwrap(), 1);
    client.cleanup_session("user-7", &plain()).await.unwrap();
    get(rig.address, "/v1/sessions/user-7").await.fails(404, "not_found", "user-7");
    rig.end().await;
}

#[tokio::test]
async fn what_fails_is_told_as_it_is() {
    let (rig, []) = Rig::of("", []).await;
    let client = rig.client().await;
    client.initialize_session("user-7", [].into(), None, &plain()).await.unwrap();
    let missing = client.execute_tool(of_session("agian", json!({})), &plain()).await.unwrap_err();
    assert_eq!((missing.kind(), reason(&missing)), (ErrorKind::NotFound, "tool_not_found"), "{missing}");
    let nameless = client.initialize_session("", [].into(), None, &plain()).await.unwrap_err();
    assert_eq!(nameless.kind(), ErrorKind::Validation, "{nameless}");
    let wrong = client.execute_tool(of_session("again", json!({"n": 1})), &plain()).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Validation, "{wrong}");
    let long = plain().correlation_id("x".repeat(300));
    let refused = client.execute_tool(of_session("again", json!({"value": 1})), &long).await.unwrap_err();
    assert!(refused.message().contains("correlation_id: expected 1 to 256 characters, found 300"), "{refused}");
    rig.end().await;
}

#[tokio::test]
async fn a_stream_has_its_items_and_a_function_has_none() {
    let (rig, []) = Rig::of("", []).await;
    let client = rig.client().await;
    client.initialize_session("user-7", [].into(), None, &plain()).await.unwrap();
    let mut chunks = client.execute_streaming_tool(of_session("count", json!({})), &plain()).await.unwrap();
    let mut items = Vec::new();
    while let Some(item) = chunks.next_item().await {
        items.push(item.unwrap().to_json().unwrap());
    }
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    let refused = match client.execute_streaming_tool(of_session("greet", json!({})), &plain()).await {
        Ok(mut chunks) => chunks.next_item().await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert!(refused.message().contains("those do not stream: use ExecuteTool") && !refused.is_retryable(), "{refused}");
    rig.end().await;
}

#[tokio::test]
async fn what_only_a_worker_can_ask_is_refused_with_the_reason() {
    let (rig, []) = Rig::of("", []).await;
    let client = rig.client().await;
    client.initialize_session("user-7", [].into(), None, &plain()).await.unwrap();
    let refused =
        client.register_tools("user-7", "python-1", vec![tools::write(&ToolSpec::new("mine")).into()], &plain()).await;
    let refused = refused.unwrap_err();
    assert_eq!((reason(&refused), refused.is_retryable()), ("forbidden", false), "{refused}");
    assert!(refused.message().contains("only a worker registers tools"), "{refused}");
    assert_eq!(client.get_session("user-7", &plain()).await.unwrap().tool_count, 4, "nothing was added");
    let mut telemetry = client.stream_telemetry(&plain()).await;
    let refused = match &mut telemetry {
        Ok(telemetry) => telemetry.next().await.unwrap().unwrap_err(),
        Err(error) => error.clone(),
    };
    assert!(refused.message().contains("no telemetry here"), "{refused}");
    rig.end().await;
}

#[tokio::test]
async fn a_token_lets_in_as_far_as_its_scopes_go() {
    let (rig, [observe, call]) = Rig::of("auth = \"token\"", [Scope::Observe, Scope::Call]).await;
    let client = rig.client().await;
    for shown in [plain(), with("wrong")] {
        let refused = client.ping("x", &shown).await.unwrap_err();
        assert_eq!(reason(&refused), "unauthenticated", "{refused}");
        let refused = client.register_tools("s", "python-1", Vec::new(), &shown).await.unwrap_err();
        assert_eq!(reason(&refused), "unauthenticated", "{refused}");
    }
    client.ping("x", &with(&observe)).await.unwrap();
    assert_eq!(client.get_exposed_tools("user-7", &with(&observe)).await.unwrap().len(), 3);
    let again = || of_session("again", json!({"value": 1}));
    let refusals = [
        client.execute_tool(again(), &with(&observe)).await.unwrap_err(),
        client.execute_host_tool(again(), &with(&observe)).await.unwrap_err(),
        client.initialize_session("user-7", [].into(), None, &with(&observe)).await.unwrap_err(),
        client.cleanup_session("user-7", &with(&observe)).await.unwrap_err(),
        client.get_session("user-7", &with(&observe)).await.unwrap_err(),
        client.heartbeat("user-7", &with(&observe)).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(reason(&refused), "forbidden", "{refused}");
        assert!(refused.message().contains("token observe has no scope `call`"), "{refused}");
    }
    client.initialize_session("user-7", [].into(), None, &with(&call)).await.unwrap();
    assert_eq!(client.execute_tool(again(), &with(&call)).await.unwrap().value.to_json().unwrap(), json!(1));
    Tokens::of(rig.folder.path()).revoke("call").unwrap();
    assert_eq!(reason(&client.ping("x", &with(&call)).await.unwrap_err()), "unauthenticated", "revoked is revoked");
    rig.end().await;
}

#[tokio::test]
async fn each_door_has_its_own_service_behind_it() {
    let (rig, []) = Rig::of("", []).await;
    let bridge = rig.bridge.to_string();
    assert_eq!(get(rig.address, "/v1/status").await.json()["bridge"], bridge.as_str());
    let record = std::fs::read_to_string(rig.folder.path().join("daemon.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&record).unwrap()["bridge"], bridge.as_str());
    get(rig.bridge, "/v1/status").await.fails(404, "not_found", "snakepit.bridge is spoken, by gRPC");
    let misled = connected(rig.address).await.ping("x", &plain()).await.unwrap_err();
    assert!(misled.message().contains("not implemented") && !misled.is_retryable(), "{misled}");
    let channel = Endpoint::from_shared(format!("http://{}", rig.bridge)).unwrap().connect().await.unwrap();
    let misled = HatcheryClient::new(channel).status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(misled.code(), Code::Unimplemented, "{misled}");
    rig.end().await;
}

#[tokio::test]
async fn the_limits_of_the_daemon_are_those_of_its_bridge() {
    let server = "limits.body = \"4KiB\"\nlimits.requests_per_second = 0.001\nlimits.burst = 3";
    let (rig, []) = Rig::of(server, []).await;
    let client = rig.client().await;
    client.initialize_session("user-7", [].into(), None, &plain()).await.unwrap();
    let large = of_session("again", json!({"value": "x".repeat(8 << 10)}));
    let refused = client.execute_tool(large, &plain()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit, "{refused}");
    assert!(refused.message().contains("more than 4KiB"), "{refused}");
    client.ping("x", &plain()).await.unwrap();
    let refused = client.ping("x", &plain()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit, "{refused}");
    assert!(refused.message().contains("asks too often"), "{refused}");
    rig.end().await;
}

#[tokio::test]
async fn a_call_lasts_no_longer_than_its_client_waits() {
    let (rig, []) = Rig::of("", []).await;
    let client = rig.client().await;
    client.initialize_session("user-7", [].into(), None, &plain()).await.unwrap();
    let junk = of_session("again", json!({"value": 1})).metadata("timeout_ms", "soon");
    client.execute_tool(junk, &plain()).await.unwrap();
    let never = rig.folder.path().join("never").to_str().unwrap().to_owned();
    let for_ever = || of_session("wait", json!({"path": never}));
    let late = client.execute_tool(for_ever().metadata("timeout_ms", "1"), &plain()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Deadline, "{late}");
    let late = client.execute_host_tool(for_ever(), &plain().timeout(Duration::from_millis(1))).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Deadline, "{late}");
    rig.end().await;
}

/// Why a daemon with this configuration does not start; it has left nothing.
async fn refusal(folder: &Path, text: &str) -> hatchery::Error {
    let config = Settings::parse(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{text}"), Path::new("/f")).config();
    let error = Daemon::open(folder, &config.unwrap().server, HandedOver::default()).await.err().unwrap();
    assert!(!folder.join("daemon.json").exists() && !folder.join("daemon.sock").exists());
    error
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_conflict_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let external = format!("[bridge]\nmode = \"external\"\nhost = \"localhost\"\nport = {port}");
    let error = refusal(folder.path(), &external).await;
    let expected =
        format!("listen on 127.0.0.1:{port} for `[bridge]`: another program listens there; give it another `port`, or");
    assert!(error.kind() == ErrorKind::Conflict && error.message().starts_with(&expected), "{error}");
    let (first, second) = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.0.1", port + 1)) {
            break (first, second);
        }
    };
    let (base, last) = (first.local_addr().unwrap().port(), second.local_addr().unwrap().port());
    let pool = format!("[bridge]\nmode = \"external_pool\"\nhost = \"localhost\"\nbase_port = {base}\npool_size = 2");
    let error = refusal(folder.path(), &pool).await;
    let expected = format!("other programs listen on all ports from {base} to {last}; give it another `base_port`");
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains(&expected), "{error}");
}

#[tokio::test]
async fn nobody_listens_for_others_without_knowing_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_taken, text) = beside_a_taken_port();
    let everywhere = format!("insecure_plaintext = true\n{text}bind_host = \"0.0.0.0\"\nunsafe_bind = true");
    let error = refusal(folder.path(), &everywhere).await;
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("nobody could show a token"), "{error}");
}

#[tokio::test]
async fn whoever_comes_from_elsewhere_shows_a_token_though_loopback_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewToken { scopes: vec![Scope::Observe], ..NewToken::default() };
    let (token, _) = Tokens::of(folder.path()).make(&new).unwrap();
    let (_taken, text) = beside_a_taken_port();
    let text = format!(
        "listen = \"127.0.0.1:0\"\ninsecure_plaintext = true\n{text}bind_host = \"0.0.0.0\"\nunsafe_bind = true"
    );
    let open = Open::with(folder, &text).await;
    let client = connected(open.bridge.unwrap()).await;
    assert_eq!(reason(&client.ping("x", &plain()).await.unwrap_err()), "unauthenticated");
    client.ping("x", &with(token.text())).await.unwrap();
    assert_eq!(get(open.address, "/v1/status").await.status, 200, "the other door is on loopback");
    open.end().await;
}
