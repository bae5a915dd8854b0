use std::time::Duration;

use bytes::Bytes;
use hatchery::{ErrorKind, Scope};
use hatchery_daemon::{Daemon, HandedOver, NewToken, Tokens};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::open::{Open, server};

/// Whatever the daemon says that it can be asked, and what it does not say.
async fn operations(open: &Open, token: &str) -> Vec<(String, String)> {
    let document = open.get("/openapi.json", token).await.json();
    let mut all = vec![("GET".to_owned(), "/nowhere".to_owned()), ("POST".to_owned(), "/".to_owned())];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            all.push((method.to_uppercase(), path.replace(['{', '}'], "")));
        }
    }
    all
}

#[tokio::test]
async fn no_path_answers_those_who_show_nothing() {
    let (open, [token]) = Open::to_all([Scope::Operate], "").await;
    let operations = operations(&open, &token).await;
    assert!(operations.len() > 30, "{operations:?}");
    for (method, path) in operations {
        if ["/healthz", "/readyz"].contains(&path.as_str()) {
            continue;
        }
        for shown in ["", "wrong", "hatchery_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            let reply = open.ask(&method, &path, shown).await;
            if method != "HEAD" {
                let error = reply.fails(401, "unavailable", "");
                assert_eq!(error["details"]["reason"], "unauthenticated", "{method} {path}");
                assert_eq!(error["retryable"], false, "{method} {path}");
            }
        }
    }
    assert_eq!(open.get("/healthz", "").await.status, 200);
    assert_eq!(open.get("/readyz", "").await.status, 503, "its workers never come");
    open.end().await;
}

/// The code and the message of the gRPC answer to an empty message that fails.
pub(super) async fn grpc(open: &Open, path: &str, token: &str) -> (String, String) {
    grpc_with(open, path, token, &[0, 0, 0, 0, 0]).await
}

/// Those of the answer to these bytes.
pub(super) async fn grpc_with(open: &Open, path: &str, token: &str, sent: &'static [u8]) -> (String, String) {
    let stream = TcpStream::connect(open.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{}{path}", open.address)).header("content-type", "application/grpc");
    let request = if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
    let sent = Full::new(Bytes::from_static(sent));
    let response = sender.send_request(request.body(sent).unwrap()).await.unwrap();
    let mut headers = response.headers().clone();
    if let Some(trailers) = response.into_body().collect().await.unwrap().trailers() {
        headers.extend(trailers.clone());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (text("grpc-status"), text("grpc-message"))
}

#[tokio::test]
async fn no_rpc_answers_those_who_show_nothing() {
    let (open, [call]) = Open::to_all([Scope::Call], "").await;
    let methods = ["Call", "StreamCall", "ListWorkers", "Status", "Scale", "Stop", "Reload", "NoSuch"];
    let ours = methods.map(|method| format!("/hatchery.v1.Hatchery/{method}"));
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned();
    for path in ours.into_iter().chain([reflection]) {
        assert_eq!(grpc(&open, &path, "").await.0, "16", "{path}");
        assert_eq!(grpc(&open, &path, "wrong").await.0, "16", "{path}");
    }
    assert_eq!(grpc(&open, "/hatchery.v1.Hatchery/Stop", &call).await.0, "7");
    assert_ne!(grpc(&open, "/grpc.health.v1.Health/Check", "").await.0, "16");
    open.end().await;
}

#[tokio::test]
async fn a_token_lets_in_as_far_as_its_scopes_go() {
    let (open, [call, observe, operate]) = Open::to_all([Scope::Call, Scope::Observe, Scope::Operate], "").await;
    let refused = async |method: &str, path: &str, token: &str, said: &str| {
        let error = open.ask(method, path, token).await.fails(403, "unavailable", said);
        assert_eq!(error["details"]["reason"], "forbidden");
    };
    refused("GET", "/v1/status", &call, "token call has no scope `observe`").await;
    refused("POST", "/v1/stop", &call, "token call has no scope `operate`").await;
    refused("POST", "/v1/stop", &observe, "token observe has no scope `operate`").await;
    refused("POST", "/v1/pools/a/call/b", &observe, "token observe has no scope `call`").await;
    for token in [&observe, &operate] {
        assert_eq!(open.get("/v1/status", token).await.json()["phase"], "filling");
    }
    // Who may call may look up what there is to call.
    for token in [&call, &observe, &operate] {
        open.get("/v1/pools/a/tools", token).await.fails(503, "unavailable", "takes no calls");
    }
    for token in [&call, &observe, &operate] {
        assert_eq!(grpc(&open, "/hatchery.v1.Hatchery/Tools", token).await.0, "14");
    }
    // Whoever may call is told that there are no pools yet.
    for token in [&call, &operate] {
        open.ask("POST", "/v1/pools/a/call/b", token).await.fails(503, "unavailable", "takes no calls");
    }
    assert_eq!(open.ask("POST", "/v1/stop", &operate).await.status, 200);
    open.end().await;
}

#[tokio::test]
async fn a_token_that_is_over_lets_nobody_in() {
    let (open, [first]) = Open::to_all([Scope::Observe], "").await;
    assert_eq!(open.get("/v1/status", &first).await.status, 200);
    open.tokens().revoke("observe").unwrap();
    open.get("/v1/status", &first).await.fails(401, "unavailable", "not known, or it has expired");
    let short =
        NewToken { expires: Some(Duration::from_nanos(1)), scopes: vec![Scope::Observe], ..NewToken::default() };
    let (expired, _) = open.tokens().make(&short).unwrap();
    open.get("/v1/status", expired.text()).await.fails(401, "unavailable", "not known, or it has expired");
    let (fresh, _) = open.tokens().make(&NewToken { expires: None, ..short }).unwrap();
    assert_eq!(open.get("/v1/status", fresh.text()).await.status, 200, "one that is made meanwhile is known");
    std::fs::write(open.folder.path().join("tokens.json"), "{\"version\": 1, \"tok").unwrap();
    open.get("/v1/status", fresh.text()).await.fails(503, "unavailable", "tokens cannot be read");
    open.end().await;
}

#[tokio::test]
async fn nobody_listens_for_others_without_knowing_them() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |text: &str| {
        let error = Daemon::open(folder.path(), &server(text), HandedOver::default()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Validation);
        error.message().to_owned()
    };
    let plain = "listen = \"0.0.0.0:0\"\ninsecure_plaintext = true";
    assert!(refused(plain).await.contains("hatchery token new --scope call"));
    let over = NewToken { expires: Some(Duration::from_nanos(1)), scopes: vec![Scope::Call], ..NewToken::default() };
    Tokens::of(folder.path()).make(&over).unwrap();
    assert!(refused(plain).await.contains("none that is valid"));
    assert!(Daemon::bind("0.0.0.0:0").await.err().unwrap().message().contains("only loopback addresses"));
    assert!(!folder.path().join("daemon.json").exists());
}

#[tokio::test]
async fn who_asks_for_a_token_on_loopback_gets_one_there_too() {
    let open = Open::here("auth = \"token\"").await;
    open.get("/v1/status", "").await.fails(401, "unavailable", "Bearer TOKEN");
    let new = NewToken { scopes: vec![Scope::Observe], ..NewToken::default() };
    let (token, _) = open.tokens().make(&new).unwrap();
    assert_eq!(open.get("/v1/status", token.text()).await.status, 200);
    open.end().await;
}
