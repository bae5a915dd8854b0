use hyper::Request;
use serde_json::json;

use crate::client::{delete, get, post, put, send};
use crate::rig::{Rig, basics, eventually_told};

#[tokio::test]
async fn a_session_is_made_found_shown_and_deleted() {
    let rig = Rig::of(basics()).await;
    let body = json!({"id": "user-7", "ttl": "30m", "metadata": {"language": "de"}}).to_string();
    let made = post(rig.address, "/v1/sessions", body.clone()).await.json();
    assert_eq!((&made["created"], &made["id"], &made["ttl_seconds"]), (&json!(true), &json!("user-7"), &json!(1800.0)));
    assert_eq!(post(rig.address, "/v1/sessions", body).await.json()["created"], false);
    let shown = get(rig.address, "/v1/sessions/user-7").await.json();
    assert_eq!((&shown["metadata"], &shown["programs"]), (&json!({"language": "de"}), &json!([])));
    assert_eq!(delete(rig.address, "/v1/sessions/user-7").await.json(), json!({"deleted": true}));
    get(rig.address, "/v1/sessions/user-7").await.fails(404, "not_found", "no such session");
    delete(rig.address, "/v1/sessions/user-7").await.fails(404, "not_found", "no such session");
    rig.end().await;
}

#[tokio::test]
async fn a_session_without_a_name_gets_one_that_nobody_guesses() {
    let rig = Rig::of(basics()).await;
    let ids = [post(rig.address, "/v1/sessions", "").await, post(rig.address, "/v1/sessions", "{}").await];
    let ids = ids.map(|reply| reply.json()["id"].as_str().unwrap().to_owned());
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 32), "{ids:?}");
    let endless = post(rig.address, "/v1/sessions", r#"{"ttl": "infinity"}"#).await.json();
    assert_eq!(endless["ttl_seconds"], json!(null));
    rig.end().await;
}

#[tokio::test]
async fn sessions_come_a_page_at_a_time_in_the_order_of_their_ids() {
    let rig = Rig::of(basics()).await;
    for id in ["c", "a", "b"] {
        post(rig.address, "/v1/sessions", json!({ "id": id }).to_string()).await;
    }
    let page = async |query: &str| {
        let page = get(rig.address, &format!("/v1/sessions?{query}")).await.json();
        let ids: Vec<String> =
            page["sessions"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        (ids.join(" "), page["next"].clone())
    };
    assert_eq!(page("limit=2").await, ("a b".into(), json!("b")));
    assert_eq!(page("limit=2&after=b").await, ("c".into(), json!(null)));
    assert_eq!(page("limit=3").await, ("a b c".into(), json!(null)));
    for (wrong, said) in [("limit=0", "1 to 1000"), ("limit=x", "limit"), ("page=2", "unknown field `page`")] {
        get(rig.address, &format!("/v1/sessions?{wrong}")).await.fails(400, "validation", said);
    }
    rig.end().await;
}

#[tokio::test]
async fn programs_and_facts_are_any_json_value() {
    let rig = Rig::of(basics()).await;
    post(rig.address, "/v1/sessions", r#"{"id": "s"}"#).await;
    for kind in ["programs", "metadata"] {
        let path = format!("/v1/sessions/s/{kind}/a%20%2F%20b");
        assert_eq!(put(rig.address, &path, r#"{"steps": [1, null]}"#).await.json(), json!({"stored": true}));
        assert_eq!(get(rig.address, &path).await.json(), json!({"steps": [1, null]}));
        put(rig.address, &path, "{").await.fails(400, "validation", "the body of the request");
        assert_eq!(delete(rig.address, &path).await.json(), json!({"deleted": true}));
        get(rig.address, &path).await.fails(404, "not_found", "session `s`");
        delete(rig.address, &path).await.fails(404, "not_found", "session `s`");
        put(rig.address, &format!("/v1/sessions/none/{kind}/a"), "1").await.fails(404, "not_found", "no such session");
    }
    let large = format!("\"{}\"", "x".repeat(100 << 10));
    put(rig.address, "/v1/sessions/s/metadata/large", large).await.fails(413, "limit", "metadata");
    let shown = get(rig.address, "/v1/sessions/s").await.json();
    assert_eq!((&shown["program_count"], &shown["metadata_count"]), (&json!(0), &json!(0)));
    rig.end().await;
}

#[tokio::test]
async fn a_call_makes_its_session_and_those_whose_time_is_over_are_pruned() {
    let rig = Rig::of(basics()).await;
    let call = Request::post("/v1/pools/default/call/who").header("X-Hatchery-Session", "s").body(String::new());
    assert_eq!(send(rig.address, call.unwrap()).await.json()["session"], "s");
    assert_eq!(get(rig.address, "/v1/sessions/s").await.json()["last_worker"]["worker"], "default-1");
    post(rig.address, "/v1/sessions", r#"{"id": "brief", "ttl": "1ms"}"#).await;
    eventually_told("its time is over", async || get(rig.address, "/v1/sessions/brief").await.status != 200).await;
    let pruned = post(rig.address, "/v1/sessions/prune", "").await.json();
    assert_eq!(pruned["remaining"], 1);
    rig.end().await;
}

#[tokio::test]
async fn a_body_says_what_is_wrong_with_it() {
    let rig = Rig::of(basics()).await;
    let create = async |body: &str| post(rig.address, "/v1/sessions", body).await;
    create(r#"{"id": "s", "colour": 1}"#).await.fails(400, "validation", "unknown field `colour`");
    create(r#"["s", null, {}]"#).await.fails(400, "validation", "expected a JSON object");
    create(r#"{"ttl": "soon"}"#).await.fails(400, "validation", "ttl: expected a duration");
    create(&json!({"id": "x".repeat(300)}).to_string()).await.fails(400, "validation", "256");
    rig.end().await;
}
