use hyper::Request;

use crate::client::send;
use crate::rig::{Rig, basics};

/// What a page could do that had its own name point to this machine, or that posts across sites.
#[tokio::test]
async fn web_pages_of_others_stay_outside() {
    let rig = Rig::of(basics()).await;
    for (name, value) in [("host", "evil.example:7411"), ("origin", "http://evil.example"), ("origin", "null")] {
        for path in ["/v1/status", "/v1/pools/default/call/who", "/nowhere"] {
            let request = Request::post(path).header(name, value).body(String::new()).unwrap();
            let reply = send(rig.address, request).await;
            reply.fails(400, "validation", value);
        }
    }
    assert_eq!(rig.workers().await[0]["calls"], 0, "none of them ran");
    rig.end().await;
}

#[tokio::test]
async fn no_answer_invites_other_sites() {
    let rig = Rig::of(basics()).await;
    let request = Request::options("/v1/pools/default/call/who").header("origin", format!("http://{}", rig.address));
    let response = crate::client::open(rig.address, request.body(String::new()).unwrap()).await.unwrap();
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control")), "{response:?}");
    rig.end().await;
}
