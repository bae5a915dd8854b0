use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::open::Open;

async fn status(socket: &Path, path: &str) -> u16 {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "daemon").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    status
}

#[tokio::test]
async fn who_runs_the_daemon_needs_no_token_on_its_socket() {
    let open = Open::here("auth = \"token\"").await;
    let socket = open.folder.path().join("daemon.sock");
    assert_eq!(open.socket.as_ref(), Some(&socket));
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(status(&socket, "/v1/status").await, 200);
    let record = std::fs::read_to_string(open.folder.path().join("daemon.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["socket"], socket.to_str().unwrap());
    assert_eq!((record["address"].as_str(), record["tls"].as_bool()), (Some(&*open.address.to_string()), Some(false)));
    open.end().await;
}

/// What another user hears of the socket: the head of the answer, or why there is none.
fn heard_by_nobody(socket: &Path) -> String {
    const ASK: &str = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        try:\n s.connect(sys.argv[1])\n s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n')\n print(s.recv(4096).decode())\n\
        except OSError as why:\n print(type(why).__name__)\n";
    #[expect(clippy::disallowed_methods, reason = "a client of another user, which ends by itself")]
    let mut client = std::process::Command::new("/usr/bin/env");
    client.args(["python3", "-c", ASK]).arg(socket).uid(65534).gid(65534).stdin(Stdio::null());
    let output = client.output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_kept_out_by_the_file_and_by_the_kernel_s_word() {
    if !rustix::process::geteuid().is_root() {
        // Only root can be somebody else.
        return;
    }
    let open = Open::here("").await;
    let socket = open.folder.path().join("daemon.sock");
    assert_eq!(heard_by_nobody(&socket).trim(), "PermissionError");
    // Even where somebody has opened the folder and the file to all.
    std::fs::set_permissions(open.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    let heard = heard_by_nobody(&socket);
    assert!(heard.starts_with("HTTP/1.1 403 ") && heard.contains("uid 65534 has no scope `observe`"), "{heard}");
    open.end().await;
}

#[tokio::test]
async fn there_is_no_socket_where_none_is_wanted_or_none_is_safe() {
    let open = Open::here("socket = \"none\"").await;
    assert_eq!(open.socket, None);
    open.end().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let open = Open::with(folder, "listen = \"127.0.0.1:0\"").await;
    assert_eq!(open.socket, None);
    open.end().await;
}
