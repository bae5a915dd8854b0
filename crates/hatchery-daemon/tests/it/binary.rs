use hyper::Request;
use serde_json::json;

use crate::client::{Answer, ask};
use crate::rig::{Rig, basics};

const CALL: &str = "/v1/pools/default/call/";
const OCTETS: &str = "application/octet-stream";
const NPY: &str = "application/x-npy";

async fn call(rig: &Rig, tool: &str, media_type: &str, accept: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(format!("{CALL}{tool}")).header("content-type", media_type).header("accept", accept);
    ask(rig.address, request.body(body).unwrap()).await
}

/// What `numpy.save` makes of these two numbers.
fn array() -> Vec<u8> {
    let header = format!("{:117}\n", "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }");
    [b"\x93NUMPY\x01\0", &u16::try_from(header.len()).unwrap().to_le_bytes()[..], header.as_bytes(), &[1, 0, 2, 0]]
        .concat()
}

#[tokio::test]
async fn bytes_go_in_and_come_out_as_they_are() {
    let rig = Rig::of(basics()).await;
    let every: Vec<u8> = (0..=255).collect();
    let answer = call(&rig, "reverse", OCTETS, OCTETS, every.clone()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, OCTETS));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.body.iter().copied().eq(every.into_iter().rev()));
    let answer = call(&rig, "reverse", OCTETS, "application/json", b"\xff".to_vec()).await;
    assert_eq!(answer.json(), json!({"$bytes": "/w=="}));
    let answer = call(&rig, "word_count", OCTETS, OCTETS, b"a".to_vec()).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let answer = call(&rig, "who", OCTETS, OCTETS, b"a".to_vec()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "it is no bytes");
    rig.end().await;
}

#[tokio::test]
async fn arrays_go_in_and_come_out_as_numpy_has_them() {
    let rig = Rig::of(basics()).await;
    let answer = call(&rig, "echo", NPY, NPY, array()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, NPY), "{answer:?}");
    assert!(answer.body.starts_with(b"\x93NUMPY") && answer.body.ends_with(&[1, 0, 2, 0]), "{answer:?}");
    let answer = call(&rig, "echo", NPY, "*/*", array()).await;
    assert_eq!(answer.json(), json!({"$array": {"dtype": "<i2", "shape": [2], "base64": "AQACAA=="}}));
    let answer = call(&rig, "echo", NPY, "*/*", b"\x93NUMPY\x01\0\xff\xff".to_vec()).await;
    assert_eq!((answer.status, &answer.json()["error"]["kind"]), (400, &json!("validation")));
    rig.end().await;
}

#[tokio::test]
async fn parts_are_arguments() {
    let rig = Rig::of(basics()).await;
    let mut body = b"--x\r\nContent-Disposition: form-data; name=\"data\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n".to_vec();
    body.extend(b"\x00\xff\r\n--x\r\nContent-Disposition: form-data; name=\"args\"\r\n\r\n{}\r\n--x--\r\n");
    let answer = call(&rig, "reverse", "multipart/form-data; boundary=x", OCTETS, body.clone()).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"\xff\x00"[..]), "{answer:?}");
    body.truncate(100);
    let answer = call(&rig, "reverse", "multipart/form-data; boundary=x", OCTETS, body).await;
    assert_eq!((answer.status, &answer.json()["error"]["kind"]), (400, &json!("validation")));
    rig.end().await;
}

#[tokio::test]
async fn too_large_a_part_is_a_limit() {
    let rig = Rig::of(basics()).await;
    let answer = call(&rig, "reverse", OCTETS, OCTETS, vec![0; (64 << 20) + 1]).await;
    assert_eq!((answer.status, &answer.json()["error"]["kind"]), (413, &json!("limit")));
    rig.end().await;
}
